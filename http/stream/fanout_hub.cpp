#include "http/stream/fanout_hub.hpp"

#include <algorithm>
#include <utility>

#include "http/stream/feed.hpp"

namespace troupe::http {

/// Brings events from the broker's thread to the hub's. Holds no hub: what comes after the hub's end is dropped.
class FanoutHub::Listener final : public TailListener {
 public:
  Listener(std::weak_ptr<FanoutHub> hub, Post post, std::uint64_t attachment)
      : hub_(std::move(hub)), post_(std::move(post)), attachment_(attachment) {}

  void on_tail(TailEvent event) override {
    post_([hub = hub_, attachment = attachment_, event = std::move(event)]() mutable {
      if (const auto self = hub.lock()) self->on_event(attachment, std::move(event));
    });
  }

 private:
  std::weak_ptr<FanoutHub> hub_;
  Post post_;
  std::uint64_t attachment_;
};

FanoutHub::FanoutHub(BrokerApi& broker, Post post, HubOptions options)
    : broker_(broker), post_(std::move(post)), options_(options), clock_([] { return MonotonicMs{0}; }) {}

FanoutHub::~FanoutHub() = default;

void FanoutHub::open(const TopicIdPartition& id, const std::string& topic, MonotonicMs now) {
  auto& partition = partitions_[id];
  partition.topic = topic;
  ++partition.streams;
  partition.idle_since = now;
  if (!partition.attachment && !partition.gone) attach(id, partition);
}

void FanoutHub::close(const TopicIdPartition& id, MonotonicMs now) {
  const auto found = partitions_.find(id);
  if (found == partitions_.end() || found->second.streams == 0) return;
  --found->second.streams;
  found->second.idle_since = now;
}

void FanoutHub::attach(const TopicIdPartition& id, Partition& partition) {
  partition.attachment_number = next_attachment_++;
  partition.attachment =
      broker_.attach_tail(id, std::make_shared<Listener>(weak_from_this(), post_, partition.attachment_number));
}

FanoutHub::Looked FanoutHub::look(const TopicIdPartition& id, Offset from) {
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return {};
  auto& partition = found->second;
  if (partition.gone) return {.what = Look::gone, .error = partition.gone};
  if (partition.tail_known && from >= partition.tail_end) return {.what = Look::at_tail};
  // Below the log's start the broker answers, also when a batch is still here: those records are gone.
  if (from < partition.log_start || partition.cache.empty()) return {};
  auto cached = partition.cache.upper_bound(from);
  if (cached == partition.cache.begin()) return {};
  --cached;
  if (cached->second.batch->run().next <= from) return {};
  return {.what = Look::found, .batch = cached->second.batch};
}

void FanoutHub::wait(const TopicIdPartition& id, std::weak_ptr<Feed> feed, std::size_t index) {
  const auto found = partitions_.find(id);
  if (found != partitions_.end()) found->second.waiting.emplace_back(std::move(feed), index);
}

std::optional<OffsetAnswer> FanoutHub::tail(const TopicIdPartition& id) const {
  const auto found = partitions_.find(id);
  if (found == partitions_.end() || !found->second.tail_known) return std::nullopt;
  const auto& partition = found->second;
  return OffsetAnswer{.offset = partition.tail_end,
                      .log_start_offset = partition.log_start,
                      .high_watermark = partition.tail_end,
                      .leader_epoch = no_leader_epoch};
}

void FanoutHub::on_event(std::uint64_t attachment, TailEvent event) {
  const auto found = partitions_.find(event.partition);
  if (found == partitions_.end() || found->second.attachment_number != attachment) return;
  auto& partition = found->second;
  switch (event.kind) {
    case TailEvent::Kind::attached:
      // What was kept of an earlier leader's time may not be in the log any more.
      if (event.leader_epoch != partition.leader_epoch || event.next_offset < partition.tail_end) forget(partition);
      break;
    case TailEvent::Kind::records:
      // Without batches we were behind: who wants them fetches them.
      if (!event.batches.empty()) {
        (void)keep_all(event.partition, &partition, partition.topic, event.batches, event.from, clock_());
      }
      break;
    case TailEvent::Kind::ended:
      partition.tail_known = false;
      partition.attachment.reset();
      partition.attachment_number = 0;
      if (event.reason && event.reason->code == Errc::unknown_topic_or_partition) partition.gone = event.reason;
      partition.idle_since = clock_();
      wake(partition);
      return;
  }
  partition.tail_known = true;
  partition.tail_end = event.next_offset;
  partition.log_start = event.log_start_offset;
  partition.leader_epoch = event.leader_epoch;
  wake(partition);
  shrink();
}

void FanoutHub::wake(Partition& partition) {
  // Whoever is woken may wait again at once, or be gone: the list is taken out first.
  const auto end = partition.tail_end;
  width_ = partition.streams;
  for (auto& [feed, index] : std::exchange(partition.waiting, {})) {
    if (const auto alive = feed.lock()) alive->tail_moved(index, end);
  }
}

Millis FanoutHub::pause_ms(Millis flush_ms) const {
  constexpr Millis streams_a_pause = 250;
  constexpr Millis pauses_max = 4;
  return std::min(flush_ms * static_cast<Millis>(width_) / streams_a_pause, flush_ms * pauses_max);
}

Result<FanoutHub::Batches> FanoutHub::keep_all(const TopicIdPartition& id, Partition* partition, const std::string& topic,
                                               const Bytes& batches, Offset from, MonotonicMs arrived) {
  Batches all;
  for (std::size_t at = 0; at < batches.size();) {
    TROUPE_TRY_ASSIGN(const auto view, record::parse_batch(batches.view().subspan(at)));
    TROUPE_TRY_ASSIGN(auto batch, SharedBatch::decode(id.partition, topic, batches.slice(at, view.bytes.size()), from));
    at += view.bytes.size();
    from = batch->run().next;
    batch->arrived = arrived;
    all.push_back(batch);
    if (partition != nullptr) keep(id, *partition, std::move(batch));
  }
  return all;
}

void FanoutHub::keep(const TopicIdPartition& id, Partition& partition, std::shared_ptr<SharedBatch> batch) {
  const auto from = batch->run().from;
  if (const auto old = partition.cache.find(from); old != partition.cache.end()) {
    if (old->second.batch->run().next >= batch->run().next) return;
    cached_bytes_ -= old->second.bytes;
    ages_.erase(old->second.age);
    partition.cache.erase(old);
  }
  // Twice for what will be rendered of it.
  const auto bytes = batch->bytes() * 2;
  cached_bytes_ += bytes;
  ages_.emplace_back(id, from);
  partition.cache[from] = {.batch = std::move(batch), .bytes = bytes, .age = std::prev(ages_.end())};
}

void FanoutHub::shrink() {
  while (cached_bytes_ > options_.cache_bytes_max && !ages_.empty()) {
    const auto [id, from] = ages_.front();
    ages_.pop_front();
    auto& cache = partitions_.at(id).cache;
    const auto cached = cache.find(from);
    cached_bytes_ -= cached->second.bytes;
    cache.erase(cached);
  }
}

void FanoutHub::forget(Partition& partition) {
  for (auto& [from, cached] : partition.cache) {
    cached_bytes_ -= cached.bytes;
    ages_.erase(cached.age);
  }
  partition.cache.clear();
}

void FanoutHub::fetch(const TopicIdPartition& id, Offset from, Offset up_to, Fetched done) {
  const FetchKey key{id, from, up_to};
  auto& waiters = fetches_[key];
  waiters.push_back(std::move(done));
  if (waiters.size() > 1) return;
  if (fetches_running_ >= options_.fetches_max) {
    fetches_waiting_.push_back(key);
  } else {
    start_fetch(key);
  }
}

void FanoutHub::start_fetch(const FetchKey& key) {
  ++fetches_running_;
  broker_.fetch({.partition = key.id, .from = key.from, .bytes_max = options_.fetch_bytes, .up_to = key.up_to},
                [self = weak_from_this(), post = post_, key](Result<FetchResponse> answer) {
                  post([self, key, answer = std::move(answer)]() mutable {
                    if (const auto hub = self.lock()) hub->on_fetched(key, std::move(answer));
                  });
                });
}

void FanoutHub::on_fetched(const FetchKey& key, Result<FetchResponse> answer) {
  --fetches_running_;
  if (!fetches_waiting_.empty()) {
    const auto next = fetches_waiting_.front();
    fetches_waiting_.pop_front();
    start_fetch(next);
  }
  auto waiters = fetches_.extract(key);
  const auto found = partitions_.find(key.id);
  auto* partition = found == partitions_.end() ? nullptr : &found->second;
  Result<Batches> batches = Batches{};
  if (!answer) {
    batches = std::move(answer).error();
  } else if (!answer->batches.empty()) {
    batches =
        keep_all(key.id, partition, partition != nullptr ? partition->topic : "", answer->batches, key.from, MonotonicMs{0});
  } else if (answer->next_offset > key.from) {
    batches = Batches{SharedBatch::hole(key.id.partition, key.from, answer->next_offset)};
  } else if (key.up_to <= answer->high_watermark && key.up_to > key.from) {
    // No batch begins below `up_to`, which is committed: compaction took them all.
    batches = Batches{SharedBatch::hole(key.id.partition, key.from, key.up_to)};
  }
  if (!waiters.empty()) {
    for (auto& done : waiters.mapped()) done(batches);
  }
  shrink();
}

void FanoutHub::find(const TopicIdPartition& id, OffsetSpec spec, bool of_leader,
                     std::function<void(Result<OffsetAnswer>)> done) {
  if (spec.kind == OffsetSpec::Kind::latest && !of_leader) {
    if (const auto known = tail(id)) return done(*known);
  }
  broker_.find_offset(id, spec,
                      [self = weak_from_this(), post = post_, done = std::move(done)](Result<OffsetAnswer> answer) {
                        post([self, done, answer = std::move(answer)]() mutable {
                          if (self.lock()) done(std::move(answer));
                        });
                      });
}

void FanoutHub::tick(MonotonicMs now) {
  for (auto at = partitions_.begin(); at != partitions_.end();) {
    auto& partition = at->second;
    if (partition.streams == 0 && now - partition.idle_since >= options_.idle_ms) {
      forget(partition);
      at = partitions_.erase(at);
      continue;
    }
    const bool again = partition.streams > 0 && !partition.attachment && !partition.gone;
    if (again && now - partition.idle_since >= options_.attach_again_ms) attach(at->first, partition);
    ++at;
  }
}

}  // namespace troupe::http
