#include "actors/partition_leader.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/log_config.hpp"
#include "actors/recent_batches.hpp"
#include "base/log.hpp"

namespace troupe::actors {

/// From a partition_leader to itself.
struct LeaderWakeup {
  std::uint64_t token;  ///< of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LeaderWakeup)

namespace troupe::actors {
namespace {

using replication::LeaderEffects;
using replication::LeaderReplica;

constexpr auto open_timeout = std::chrono::seconds(60);  // a recovery may take its time
constexpr Millis recent_wanted_ms = 30'000;
constexpr std::size_t claims_read_bytes = std::size_t{1} << 20;

/// The batches of `append` as one run of bytes, with offsets and epoch.
Bytes stamped(const LeaderEffects::Append& append, LeaderEpoch epoch) {
  std::size_t size = 0;
  for (const auto& batch : append.batches) size += batch.bytes.size();
  ByteBuffer bytes;
  grow_capacity(bytes, size);
  for (const auto& batch : append.batches) {
    const auto at = bytes.size();
    append_bytes(bytes, batch.bytes);
    record::stamp_batch(MutableByteView{bytes}.subspan(at), batch.base_offset, epoch);
  }
  return Bytes::adopt(std::move(bytes));
}

/// The batches at the front of `bytes` that begin below `up_to`; at least one.
Bytes below(const Bytes& bytes, Offset up_to, Offset& next_offset) {
  std::size_t end = 0;
  while (end < bytes.size()) {
    const auto header = record::parse_batch_header(bytes.view().subspan(end));
    if (!header || (end > 0 && header->base_offset >= up_to)) break;
    end += header->size_bytes();
    next_offset = header->next_offset();
  }
  return bytes.slice(0, std::min(end, bytes.size()));
}

/// The actor's state and handlers.
///
///   closed --- first message that needs the log ---> opening ---> open --- disk away, unknown outcome ---> ended, with the error
class PartitionLeaderState {
 public:
  using Self = caf::stateful_actor<PartitionLeaderState>;
  static constexpr const char* name = "partition_leader";

  caf::behavior make_behavior(Self* self, PartitionLeaderOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    recent_.emplace(options_.recent_bytes_max);
    self_->monitor(options_.disk_worker);
    self_->set_down_handler([this](caf::down_msg&) { end({Errc::log_offline, "the disk worker is down"}); });
    row_->set_state(ActorState::running);
    return {
        [this](const ProduceSlot& request) { handle([&] { when_open([this, request] { produce(request); }); }); },
        [this](const AppendResults& results) { handle([&] { appended(results); }); },
        [this](const FetchPartition& request) { handle([&] { when_open([this, request] { fetch(request); }); }); },
        [this](const ReadResult& result) { handle([&] { read(result); }); },
        [this](const CancelFetch& request) { handle([&] { cancel(request); }); },
        [this](const FindOffset& request) { handle([&] { when_open([this, request] { find(request); }); }); },
        [this](const TimestampResult& result) { handle([&] { found(result); }); },
        [this](const DeleteRecordsBefore& request) {
          handle([&] { when_open([this, request] { delete_records(request); }); });
        },
        [this](const ConfigChanged& change) { handle([&] { change_config(change.config); }); },
        [this](const RunRetention& request) { handle([&] { run_retention(request); }); },
        [this](const AttachTail& request) { handle([&] { when_open([this, request] { attach(request); }); }); },
        [this](const DetachTail&) { handle([&] { tail_ = nullptr; }); },
        [this](const LeaderWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  enum class Phase : std::uint8_t { closed, opening, open, ended };
  struct Fetch {
    FetchPartition asked;
    bool parked = false;
  };

  MonotonicMs now() const { return now_of(*self_); }

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }

  // --- opening

  template <class Work>
  void when_open(Work work) {
    if (phase_ == Phase::open) return work();
    if (phase_ == Phase::ended) return;
    waiting_.push_back(std::move(work));
    if (phase_ == Phase::closed) open();
  }

  void open() {
    phase_ = Phase::opening;
    self_->request(options_.disk_worker, open_timeout, OpenLog{options_.partition, log_config_of(options_.config)})
        .then([this](const LogSnapshot& snapshot) { handle([&] { opened(snapshot); }); },
              [this](caf::error& error) { handle([&] { end(from_caf_error(error)); }); });
  }

  LeaderReplica::Options replica_options() const {
    return {.epoch = options_.epoch,
            .timestamp_type = options_.config.timestamp_type,
            .min_insync_replicas = options_.config.min_insync_replicas};
  }

  void opened(const LogSnapshot& snapshot) {
    if (snapshot.health.kind == storage::LogHealth::Kind::offline) {
      return end({Errc::log_offline, "partition " + options_.topic + ": " + snapshot.health.reason});
    }
    view_ = snapshot.view;
    has_log_ = true;
    note_damage(snapshot.health);
    if (!replica_) {
      replica_.emplace(replica_options(), view_.log_start_offset(), view_.log_end_offset(), snapshot.state->producers);
    } else {
      LeaderEffects effects;
      replica_->on_reopened(view_.log_start_offset(), view_.log_end_offset(), snapshot.state->producers, effects);
      perform(std::move(effects));
    }
    phase_ = Phase::open;
    auto waiting = std::move(waiting_);
    waiting_.clear();
    for (auto& work : waiting) work();
  }

  /// Reads go on below the damage; nobody waits for a disk that will not get better by itself.
  void note_damage(const storage::LogHealth& health) {
    damage_.reset();
    if (health.can_append()) return;
    damage_ = Error{Errc::log_damaged, "partition " + to_string(options_.partition.partition) + " of \"" + options_.topic +
                                           "\" is damaged from offset " + to_string(health.from) + " on (" + health.reason +
                                           "); nothing was written, records before it can be read"};
    row_->set_last_error(to_string(*damage_));
  }

  // --- produce

  void produce(const ProduceSlot& request) {
    if (damage_) {
      std::vector<Result<replication::PlacedRecords>> refused(request.batches.size(), *damage_);
      self_->send(request.reply_to, SlotAnswered{options_.partition, request.slot, std::move(refused)});
      return;
    }
    const auto slot = next_slot_++;
    slots_.emplace(slot, Asked{request.reply_to, request.slot, request.batches.size()});
    LeaderEffects effects;
    replica_->on_produce(slot, request.batches, effects);
    perform(std::move(effects));
  }

  void appended(const AppendResults& results) {
    if (!replica_) return;
    for (const auto& log : results.logs) {
      if (log.partition == options_.partition) view_ = log.view;
    }
    LeaderEffects effects;
    for (const auto& result : results.results) replica_->on_appended(result.token, result.status, effects);
    perform(std::move(effects));
    if (replica_->failed()) end({Errc::storage_error, "an append has an unknown outcome"});
  }

  void perform(LeaderEffects effects) {
    for (auto& append : effects.appends) {
      std::vector<storage::PlacedBatch> placed;
      placed.reserve(append.batches.size());
      for (const auto& batch : append.batches) placed.push_back({batch.base_offset, options_.epoch, batch.bytes});
      self_->send(options_.disk_worker,
                  AppendBatches{options_.partition, append.token, std::move(placed), caf::actor_cast<caf::actor>(self_)});
      in_flight_.push_back(std::move(append));
    }
    if (effects.high_watermark) committed(*effects.high_watermark);
    for (auto& answer : effects.answers) this->answer(std::move(answer));
    for (const auto fetch : effects.readable) serve_parked(fetch);
    if (effects.load_claims) load_claims();
    if (effects.reopen) {
      in_flight_.clear();
      phase_ = Phase::opening;
      open();
    }
    arm();
  }

  void answer(LeaderEffects::Answer answer) {
    const auto found = slots_.find(answer.slot);
    if (found == slots_.end()) return;
    self_->send(found->second.reply_to, SlotAnswered{options_.partition, found->second.slot, std::move(answer.results)});
    slots_.erase(found);
  }

  void committed(Offset high_watermark) {
    const bool wanted = tail_ != nullptr || now() < recent_wanted_until_;
    if (!wanted) recent_->clear();
    Offset from = no_offset;
    Offset next{0};
    std::vector<Bytes> runs;
    while (!in_flight_.empty() && in_flight_.front().batches.front().base_offset < high_watermark) {
      const auto append = std::move(in_flight_.front());
      in_flight_.pop_front();
      if (!wanted) continue;
      auto bytes = stamped(append, options_.epoch);
      const auto first = append.batches.front().base_offset;
      next = append.next_offset;
      if (from == no_offset) from = first;
      recent_->push(first, next, bytes);
      runs.push_back(std::move(bytes));
    }
    if (!tail_ || runs.empty()) return;
    Bytes all = runs.size() == 1 ? runs.front() : recent_->read(from, SIZE_MAX).value_or(RecentBatches::Range{}).batches;
    self_->send(tail_, TailCommitted{from, next, replica_->log_start(), std::move(all)});
  }

  // --- fetch

  void fetch(const FetchPartition& asked) {
    const auto token = next_fetch_++;
    fetches_.emplace(token, Fetch{asked});
    serve(token, true);
  }

  void serve_parked(std::uint64_t token) { serve(token, false); }

  void serve(std::uint64_t token, bool may_park) {
    const auto found = fetches_.find(token);
    if (found == fetches_.end()) return;
    found->second.parked = false;
    const auto& request = found->second.asked.request;
    if (auto checked = replica_->check_offset(request.from); !checked)
      return answer_fetch(token, std::move(checked).error());
    if (!replica_->has_records_at(request.from)) {
      recent_wanted_until_ = now() + recent_wanted_ms;
      if (!may_park || request.wait_ms_max <= 0) return answer_fetch(token, response({}, request.from));
      found->second.parked = true;
      replica_->park(token, now() + request.wait_ms_max);
      return arm();
    }
    if (const auto recent = recent_->read(request.from, request.bytes_max)) {
      auto next = recent->next_offset;
      auto batches = below(recent->batches, request.up_to, next);
      return answer_fetch(token, response(std::move(batches), next));
    }
    options_.readers->read({.partition = options_.partition,
                            .token = token,
                            .view = view_,
                            .from = request.from,
                            .bytes_max = request.bytes_max,
                            .up_to = replica_->high_watermark(),
                            .reply_to = caf::actor_cast<caf::actor>(self_)});
  }

  FetchResponse response(Bytes batches, Offset next) const {
    return {.batches = std::move(batches),
            .next_offset = next,
            .log_start_offset = replica_->log_start(),
            .high_watermark = replica_->high_watermark(),
            .leader_epoch = options_.epoch};
  }

  void answer_fetch(std::uint64_t token, Result<FetchResponse> response) {
    const auto found = fetches_.find(token);
    if (found == fetches_.end()) return;
    self_->send(found->second.asked.reply_to, FetchAnswered{found->second.asked.token, std::move(response)});
    fetches_.erase(found);
  }

  void read(const ReadResult& result) {
    if (result.token == claims_token) return claims_read(result);
    const auto found = fetches_.find(result.token);
    if (found == fetches_.end()) return;
    if (!result.slice) {
      // The view was taken before a truncation: none happens while a leader leads, but a reset may have.
      return answer_fetch(result.token, result.slice.error());
    }
    auto next = result.slice->next_offset;
    auto batches = below(result.slice->batches, found->second.asked.request.up_to, next);
    answer_fetch(result.token, response(std::move(batches), next));
  }

  void cancel(const CancelFetch& request) {
    const auto found = std::ranges::find_if(fetches_, [&](const auto& entry) {
      return entry.second.asked.token == request.token && entry.second.asked.reply_to == request.reply_to;
    });
    if (found == fetches_.end() || !found->second.parked) return;
    replica_->unpark(found->first);
    answer_fetch(found->first, Error{Errc::cancelled, "the caller gave up"});
  }

  // --- positions

  OffsetAnswer position(Offset offset) const {
    return {.offset = offset,
            .log_start_offset = replica_->log_start(),
            .high_watermark = replica_->high_watermark(),
            .leader_epoch = options_.epoch};
  }

  void find(const FindOffset& request) {
    switch (request.spec.kind) {
      case OffsetSpec::Kind::earliest: return answer_find(request, position(replica_->log_start()));
      case OffsetSpec::Kind::latest: return answer_find(request, position(replica_->high_watermark()));
      case OffsetSpec::Kind::timestamp: break;
    }
    const auto token = next_find_++;
    finds_.emplace(token, request);
    options_.readers->find({.partition = options_.partition,
                            .token = token,
                            .view = view_,
                            .timestamp = request.spec.timestamp,
                            .reply_to = caf::actor_cast<caf::actor>(self_)});
  }

  void answer_find(const FindOffset& request, Result<OffsetAnswer> answer) {
    self_->send(request.reply_to, OffsetAnswered{request.token, std::move(answer)});
  }

  void found(const TimestampResult& result) {
    if (result.token == claims_token) return claims_found(result);
    const auto asked = finds_.find(result.token);
    if (asked == finds_.end()) return;
    if (!result.found) {
      answer_find(asked->second, result.found.error());
    } else {
      const auto end = replica_->high_watermark();
      const auto& first = *result.found;
      answer_find(asked->second, position(first ? std::clamp(first->offset, replica_->log_start(), end) : end));
    }
    finds_.erase(asked);
  }

  void delete_records(const DeleteRecordsBefore& request) {
    const auto before = std::min(request.before, replica_->high_watermark());
    const auto answer = [this, request](Result<Offset> result) {
      self_->send(request.reply_to, RecordsDeleted{request.token, std::move(result)});
    };
    if (before <= replica_->log_start()) return answer(replica_->log_start());
    self_->request(options_.disk_worker, open_timeout, AdvanceLogStart{options_.partition, before})
        .then(
            [this, answer](const LogSnapshot& snapshot) {
              handle([&] {
                moved_start(snapshot);
                answer(replica_->log_start());
              });
            },
            [answer](caf::error& error) { answer(from_caf_error(error)); });
  }

  void moved_start(const LogSnapshot& snapshot) {
    view_ = snapshot.view;
    LeaderEffects effects;
    replica_->on_log_start(snapshot.view.log_start_offset(), effects);
    perform(std::move(effects));
  }

  // --- upkeep

  void change_config(const metadata::TopicConfig& config) {
    options_.config = config;
    if (!has_log_) return;  // opened with it later
    replica_->set_options(replica_options());
    self_->request(options_.disk_worker, open_timeout, OpenLog{options_.partition, log_config_of(config)})
        .then([](const LogSnapshot&) {},
              [this](caf::error& error) {
                log::warn("topic configuration not taken over by the log",
                          {log::kv("topic", options_.topic), log::kv("error", from_caf_error(error))});
              });
  }

  void run_retention(const RunRetention& request) {
    if (phase_ == Phase::closed && !options_.has_files) return;
    when_open([this, request] {
      self_->send(options_.disk_worker, SetHighWatermark{options_.partition, replica_->high_watermark()});
      self_->request(options_.disk_worker, open_timeout, ApplyRetention{options_.partition, request.now})
          .then([this](const LogSnapshot& snapshot) { handle([&] { moved_start(snapshot); }); },
                [this](caf::error& error) {
                  log::warn("retention failed",
                            {log::kv("topic", options_.topic), log::kv("partition", options_.partition.partition),
                             log::kv("error", from_caf_error(error))});
                });
    });
  }

  void attach(const AttachTail& request) {
    tail_ = request.tail;
    recent_wanted_until_ = now() + recent_wanted_ms;
    self_->send(tail_, TailAttached{options_.epoch, replica_->high_watermark(), replica_->log_start()});
  }

  // --- claims: what clients asked for in the last day, read from the log when the first of them asks

  void load_claims() {
    claims_until_ = replica_->high_watermark();
    const auto since = options_.clock->wall_now() - replication::ClaimIndex::kept_ms;
    options_.readers->find({.partition = options_.partition,
                            .token = claims_token,
                            .view = view_,
                            .timestamp = since,
                            .reply_to = caf::actor_cast<caf::actor>(self_)});
  }

  void claims_found(const TimestampResult& result) {
    if (!result.found) return claims_loaded(result.found.error());
    if (!*result.found) return claims_loaded(ok());
    read_claims(std::max((*result.found)->offset, replica_->log_start()));
  }

  void read_claims(Offset from) {
    if (from >= claims_until_) return claims_loaded(ok());
    options_.readers->read({.partition = options_.partition,
                            .token = claims_token,
                            .view = view_,
                            .from = from,
                            .bytes_max = claims_read_bytes,
                            .up_to = claims_until_,
                            .reply_to = caf::actor_cast<caf::actor>(self_)});
  }

  void claims_read(const ReadResult& result) {
    if (!result.slice) return claims_loaded(result.slice.error());
    const auto bytes = result.slice->batches.view();
    for (std::size_t at = 0; at < bytes.size();) {
      const auto batch = record::parse_batch(bytes.subspan(at));
      if (!batch) return claims_loaded(batch.error());
      replica_->on_claims(*batch);
      at += batch->bytes.size();
    }
    if (bytes.empty()) return claims_loaded(ok());
    read_claims(result.slice->next_offset);
  }

  void claims_loaded(const Status& status) {
    LeaderEffects effects;
    replica_->on_claims_loaded(status, effects);
    perform(std::move(effects));
  }

  // --- time

  void arm() {
    const auto due = replica_->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{0}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), LeaderWakeup{++timer_});
  }

  void on_wakeup(const LeaderWakeup& wakeup) {
    if (wakeup.token != timer_ || !replica_) return;
    armed_for_.reset();
    LeaderEffects effects;
    replica_->on_deadline(now(), effects);
    perform(std::move(effects));
  }

  // --- the end: whoever waits for an answer sees this actor go down

  void end(const Error& error) {
    if (phase_ == Phase::ended) return;
    phase_ = Phase::ended;
    row_->set_last_error(to_string(error));
    self_->quit(to_caf_error(error));
  }

  struct Asked {
    caf::actor reply_to;
    std::uint64_t slot;
    std::size_t batches;
  };
  static constexpr std::uint64_t claims_token = 0;

  Self* self_ = nullptr;
  PartitionLeaderOptions options_;
  ActorRowPtr row_;
  Phase phase_ = Phase::closed;
  bool has_log_ = false;
  std::optional<Error> damage_;                ///< what the log's opening found: nothing is appended
  std::deque<std::function<void()>> waiting_;  ///< for the log to be open

  std::optional<LeaderReplica> replica_;
  storage::LogView view_;
  std::deque<LeaderEffects::Append> in_flight_;
  std::unordered_map<std::uint64_t, Asked> slots_;
  std::uint64_t next_slot_ = 1;

  std::unordered_map<std::uint64_t, Fetch> fetches_;
  std::uint64_t next_fetch_ = 1;
  std::unordered_map<std::uint64_t, FindOffset> finds_;
  std::uint64_t next_find_ = 1;
  Offset claims_until_{0};

  caf::actor tail_;
  std::optional<RecentBatches> recent_;
  MonotonicMs recent_wanted_until_{0};

  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

caf::behavior partition_leader(PartitionLeaderState::Self* self, PartitionLeaderOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_partition_leader(caf::actor_system& system, PartitionLeaderOptions options, ActorRowPtr row) {
  return system.spawn(partition_leader, std::move(options), std::move(row));
}

}  // namespace troupe::actors
