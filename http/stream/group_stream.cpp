#include "http/stream/group_stream.hpp"

#include <algorithm>

#include "core/consumer/cursor.hpp"
#include "core/group/group_rules.hpp"

namespace troupe::http {
namespace {

/// Batches that may wait here for the socket, as they are stored.
constexpr std::int64_t window_bytes = std::int64_t{256} << 10;
constexpr std::int64_t any_number = std::int64_t{1} << 40;
constexpr Millis release_ms_max = 5'000;
constexpr Millis auto_commit_ms = 1'000;

Error not_its_own() { return {Errc::fenced_member_epoch, "the partition is not this subscription's (any more)"}; }

void add(std::optional<std::int64_t>& to, const std::optional<std::int64_t>& more) {
  if (!more) return;
  to = std::min(any_number, to.value_or(0) + std::min(any_number, *more));
}

/// The consumer keeps its listener, and the stream keeps its consumer: one of the two must not.
class Ear final : public ConsumerListener {
 public:
  explicit Ear(std::weak_ptr<GroupStream> stream) : stream_(std::move(stream)) {}
  void on_event(ConsumerEvent event) override {
    if (const auto stream = stream_.lock()) stream->on_event(std::move(event));
  }

 private:
  const std::weak_ptr<GroupStream> stream_;
};

}  // namespace

Result<std::shared_ptr<GroupStream>> GroupStream::open(ConsumerApi& consumers, GroupDefinition definition,
                                                       const consumer::Credit& credit, ClientName client) {
  ConsumerOptions options{.group = definition.group,
                          .reset = definition.otherwise,
                          .auto_commit_interval_ms = auto_commit_ms,
                          .comes_back = !definition.instance.empty(),
                          .release_ms_max = release_ms_max,
                          .credit = {any_number, window_bytes},
                          .fetch_bytes_max = static_cast<std::size_t>(window_bytes)};
  options.profile.instance_id = definition.instance;
  options.profile.client_id = std::move(client.id);
  options.profile.client_host = std::move(client.host);
  options.profile.topics = definition.topics;
  std::ranges::sort(options.profile.topics);
  options.profile.pattern = definition.pattern;
  options.profile.assignor = definition.assignor;
  TROUPE_TRY(group::check_group_name(definition.group));
  TROUPE_TRY(group::check_profile(options.profile, {}));
  const auto stream = std::shared_ptr<GroupStream>(new GroupStream(std::move(definition)));
  stream->credit_ = credit;
  stream->consumer_ = consumers.open(std::move(options), std::make_shared<Ear>(stream));
  const std::lock_guard lock(stream->mutex_);
  stream->begun_ = true;
  return stream;
}

GroupStream::~GroupStream() = default;

// --- who is there -----------------------------------------------------------------------------------------------------------------

void GroupStream::on_event(ConsumerEvent event) {
  std::function<void()> wake;
  group::PartitionList let_go;
  {
    const std::lock_guard lock(mutex_);
    // Nobody works on it: it need not be waited for.
    if (const auto* revoking = std::get_if<ConsumerRevoking>(&event); revoking != nullptr && !attached_ && begun_) {
      let_go = revoking->partitions;
    }
    inbox_.push_back(std::move(event));
    wake = wake_;
  }
  if (!let_go.empty()) consumer_->released(std::move(let_go));
  if (wake) wake();
}

void GroupStream::attach(std::function<void()> wake) {
  std::function<void()> now;
  {
    const std::lock_guard lock(mutex_);
    attached_ = true;
    wake_ = std::move(wake);
    if (!inbox_.empty()) now = wake_;
  }
  if (now) now();
}

void GroupStream::detach() {
  {
    const std::lock_guard lock(mutex_);
    attached_ = false;
    wake_ = nullptr;
  }
  (void)take();
  group::PartitionList revoking;
  for (const auto& [id, part] : parts_) {
    if (part.revoking) revoking.push_back(id);
  }
  if (!revoking.empty()) consumer_->released(std::move(revoking));
}

void GroupStream::resume(std::function<void()> wake, const consumer::Credit& credit) {
  credit_ = credit;
  untouched_ = true;
  paused_ = false;
  (void)take();
  ConsumerAssigned all{epoch_, {}};
  for (auto& [id, part] : parts_) {
    if (part.revoking) continue;
    if (definition_.manual_ack && part.position != part.done) {
      part.rewinding = true;
      drop_queue(part);
      consumer_->seek(id, {.offset = part.done}, Reply<Offset>{[](const Result<Offset>&) {}});
      part.position = part.done;
    }
    all.partitions.push_back({id, part.topic, part.position});
  }
  if (!all.partitions.empty()) to_tell_.emplace_back(std::move(all));
  attach(wake);
  wake();
}

// --- what comes -------------------------------------------------------------------------------------------------------------------

std::vector<ConsumerEvent> GroupStream::take() {
  std::deque<ConsumerEvent> came;
  {
    const std::lock_guard lock(mutex_);
    came.swap(inbox_);
  }
  auto notes = std::exchange(to_tell_, {});
  for (auto& event : came) {
    if (take_note(event)) notes.push_back(std::move(event));
  }
  if (owed_ > 0) consumer_->credit({0, std::exchange(owed_, 0)});
  return notes;
}

bool GroupStream::take_note(ConsumerEvent& event) {
  if (auto* records = std::get_if<ConsumerRecords>(&event)) {
    take_in(*records);
    return false;
  }
  if (auto* assigned = std::get_if<ConsumerAssigned>(&event)) take_in(*assigned);
  if (const auto* lost = std::get_if<ConsumerLost>(&event)) forget(lost->partitions);
  if (const auto* revoked = std::get_if<ConsumerRevoked>(&event)) forget(revoked->partitions);
  if (const auto* revoking = std::get_if<ConsumerRevoking>(&event)) {
    for (const auto& id : revoking->partitions) {
      const auto found = parts_.find(id);
      if (found == parts_.end()) continue;
      found->second.revoking = true;
      drop_queue(found->second);
    }
    // What was handed on is done: there is nothing to wait for.
    if (!definition_.manual_ack) {
      sent();
      consumer_->released(revoking->partitions);
    }
  }
  if (const auto* reset = std::get_if<ConsumerReset>(&event)) {
    take_in(*reset);
    return reset->reason != ConsumerReset::Reason::seek;
  }
  if (const auto* paused = std::get_if<ConsumerPaused>(&event)) group_paused_ = paused->paused;
  if (std::holds_alternative<ConsumerFailed>(event)) over_ = true;
  return !std::holds_alternative<ConsumerClosed>(event);
}

void GroupStream::take_in(ConsumerAssigned& event) {
  epoch_ = event.epoch;
  for (const auto& one : event.partitions) {
    auto& part = parts_[one.partition];
    part.topic = names_[one.partition.topic_id] = one.topic;
    part.position = part.done = one.next;
  }
}

void GroupStream::take_in(ConsumerRecords& event) {
  const auto found = parts_.find(event.partition);
  const auto bytes = static_cast<std::int64_t>(event.batches.size());
  if (found == parts_.end() || found->second.revoking || found->second.rewinding) return give_back(bytes);
  auto& part = found->second;
  auto from = event.from;
  for (std::size_t at = 0; at < event.batches.size();) {
    auto batch = SharedBatch::decode(event.partition.partition, event.topic,
                                     event.batches.slice(at, event.batches.size() - at), from);
    if (!batch) {
      // It passed its checksum on the way here: damage in this process's memory. The partition's records are not guessed at.
      over_ = true;
      to_tell_.emplace_back(ConsumerFailed{batch.error()});
      return;
    }
    const auto header = record::parse_batch_header(event.batches.view().subspan(at));
    const auto size = header->size_bytes();
    at += size;
    from = (*batch)->run().next;
    const bool last = at >= event.batches.size();
    part.queue.push_back({std::move(*batch), last ? event.next : from, static_cast<std::int64_t>(size)});
  }
}

void GroupStream::take_in(const ConsumerReset& event) {
  const auto found = parts_.find(event.partition);
  if (found == parts_.end()) return;
  auto& part = found->second;
  drop_queue(part);
  part.rewinding = false;
  part.position = part.done = event.to;
}

void GroupStream::forget(const group::PartitionList& partitions) {
  for (const auto& id : partitions) {
    const auto found = parts_.find(id);
    if (found == parts_.end()) continue;
    drop_queue(found->second);
    parts_.erase(found);
  }
}

void GroupStream::drop_queue(Part& part) {
  for (const auto& queued : part.queue) give_back(queued.bytes);
  part.queue.clear();
}

void GroupStream::give_back(std::int64_t bytes) { owed_ += bytes; }

// --- what goes --------------------------------------------------------------------------------------------------------------------

bool GroupStream::fits(std::size_t bytes, consumer::Room room, std::size_t used) const {
  if (credit_.messages && *credit_.messages < 1) return false;
  if (credit_.bytes && *credit_.bytes < static_cast<std::int64_t>(bytes) && !(untouched_ && *credit_.bytes > 0))
    return false;
  return used + bytes <= room.bytes || (room.untouched && used == 0);
}

void GroupStream::spend(std::size_t bytes) {
  untouched_ = false;
  if (credit_.messages) --*credit_.messages;
  if (credit_.bytes) *credit_.bytes = std::max<std::int64_t>(0, *credit_.bytes - static_cast<std::int64_t>(bytes));
}

std::size_t GroupStream::pull_batch(Part& part, consumer::Room room, FeedSink& sink) {
  auto& front = part.queue.front();
  const auto& records = front.batch->run().records;
  const auto rendering = front.batch->render(definition_.kind());
  const auto first = std::ranges::lower_bound(records, part.position, {}, &consumer::RunRecord::offset);
  const auto begin = static_cast<std::size_t>(first - records.begin());
  auto end = begin;
  std::size_t used = 0;
  for (; end < records.size(); ++end) {
    const std::size_t size = rendering->starts[end + 1] - rendering->starts[end];
    if (!fits(size, room, used)) break;
    spend(size);
    used += size;
  }
  if (end > begin) sink.records(*front.batch, rendering, begin, end);
  if (end == records.size()) {
    part.position = front.next;
    give_back(front.bytes);
    part.queue.pop_front();
  } else {
    part.position = records[end].offset;
  }
  return used;
}

std::size_t GroupStream::pull(consumer::Room room, FeedSink& sink) {
  std::size_t used = 0;
  bool moved = !paused_ && !group_paused_;
  while (moved) {
    moved = false;
    const auto count = parts_.size();
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = std::next(parts_.begin(), static_cast<std::ptrdiff_t>((turn_ + i) % count));
      auto& part = at->second;
      if (part.queue.empty() || part.revoking || part.rewinding) continue;
      const auto before = part.queue.size();
      const consumer::Room left{room.bytes - std::min(room.bytes, used), room.untouched && used == 0};
      used += pull_batch(part, left, sink);
      moved = moved || part.queue.size() < before;
    }
    ++turn_;
  }
  if (owed_ > 0) consumer_->credit({0, std::exchange(owed_, 0)});
  return used;
}

void GroupStream::sent() {
  if (definition_.manual_ack) return;
  for (auto& [id, part] : parts_) {
    if (part.rewinding || part.done == part.position) continue;
    part.done = part.position;
    consumer_->consumed(id, part.done);
  }
}

void GroupStream::add_credit(const consumer::Credit& more) {
  add(credit_.messages, more.messages);
  add(credit_.bytes, more.bytes);
  untouched_ = true;
}

void GroupStream::pause() {
  paused_ = true;
  consumer_->pause({});
}

void GroupStream::resume_reading() {
  paused_ = false;
  consumer_->resume({});
}

// --- acknowledgements -------------------------------------------------------------------------------------------------------------

std::optional<TopicIdPartition> GroupStream::find(const std::string& topic, PartitionId partition) const {
  for (const auto& [id, part] : parts_) {
    if (id.partition == partition && part.topic == topic) return id;
  }
  return std::nullopt;
}

std::string GroupStream::topic_of(const TopicIdPartition& id) const {
  const auto found = names_.find(id.topic_id);
  return found == names_.end() ? std::string() : found->second;
}

Status GroupStream::ack(const Positions& positions) {
  for (const auto& [id, next] : positions) {
    const auto found = parts_.find(id);
    if (found == parts_.end()) return not_its_own();
    if (next > found->second.position) {
      return Error{Errc::invalid_argument, "upto: " + found->second.topic + "-" + to_string(id.partition) +
                                               " was delivered below " + to_string(found->second.position) + " only"};
    }
  }
  for (const auto& [id, next] : positions) {
    parts_.at(id).done = next;
    consumer_->consumed(id, next);
  }
  return ok();
}

Status GroupStream::commit(const Positions& positions, Reply<std::vector<CommittedPosition>> done) {
  TROUPE_TRY(ack(positions));
  consumer_->commit(positions, std::move(done));
  return ok();
}

std::string GroupStream::cursor() const {
  std::map<TopicId, consumer::Cursor> cursors;
  for (const auto& [id, part] : parts_) {
    auto& cursor = cursors[id.topic_id];
    cursor.topic_id = id.topic_id;
    cursor.positions[id.partition] = {.next_offset = part.position};
  }
  std::string text;
  for (const auto& [topic, cursor] : cursors) text += (text.empty() ? "" : ".") + cursor.encode();
  return text;
}

Result<GroupStream::Positions> GroupStream::positions_of(const std::string& cursor) const {
  Positions positions;
  std::string_view rest = cursor;
  while (true) {
    const auto dot = rest.find('.');
    TROUPE_TRY_ASSIGN(const auto one, consumer::Cursor::decode(rest.substr(0, dot)));
    for (const auto& [partition, position] : one.positions) {
      const TopicIdPartition id{one.topic_id, partition};
      if (parts_.contains(id)) positions.emplace_back(id, position.next_offset);
    }
    if (dot == std::string_view::npos) return positions;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace troupe::http
