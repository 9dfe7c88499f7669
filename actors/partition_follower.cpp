#include "actors/partition_follower.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/follower_reads.hpp"
#include "actors/log_config.hpp"
#include "actors/partition_messages.hpp"
#include "base/log.hpp"
#include "core/replication/follower_replica.hpp"

namespace troupe::actors {

/// From a partition_follower to itself.
struct FollowerWakeup {
  std::uint64_t token;  ///< of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerWakeup)

namespace troupe::actors {
namespace {

using replication::FollowerEffects;
using replication::FollowerReplica;

constexpr auto disk_timeout = std::chrono::seconds(60);  // a recovery may take its time

/// The batches in `bytes`, each with its place; they were checked before.
std::vector<storage::PlacedBatch> placed(const Bytes& bytes) {
  std::vector<storage::PlacedBatch> batches;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto header = record::parse_batch_header(bytes.view().subspan(at));
    TROUPE_ASSERT(header);
    batches.push_back({header->base_offset, header->leader_epoch, bytes.slice(at, header->size_bytes())});
    at += header->size_bytes();
  }
  return batches;
}

/// The actor's state and handlers.
///
///   opening ---> following ---> (told to stop) waits for the disk ---> ended
///      `--- damaged: ended, with log_damaged
class PartitionFollowerState {
 public:
  using Self = caf::stateful_actor<PartitionFollowerState>;
  static constexpr const char* name = "partition_follower";

  caf::behavior make_behavior(Self* self, PartitionFollowerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    reads_.emplace(*self_, options_.partition, *options_.readers, replica_, options_.recent_bytes_max);
    self_->monitor(options_.disk_worker);
    self_->set_down_handler([this](caf::down_msg&) { end({Errc::log_offline, "the disk worker is down"}); });
    self_->set_exit_handler([this](caf::exit_msg& exit) { handle([&] { stop(exit.reason); }); });
    open();
    return {
        [this](const FollowLeader& request) { handle([&] { follow(request); }); },
        [this](const FollowerAnswer& answer) { handle([&] { answered(answer.answer); }); },
        [this](const AppendResults& results) { handle([&] { appended(results); }); },
        [this](const ConfigChanged& change) { handle([&] { change_config(change.config); }); },
        [this](const RunRetention&) {
          handle([&] {
            keep_watermark();
            renew_view();
          });
        },
        [this](const FollowerWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
        [this](const FetchPartition& request) { handle([&] { reads_->fetch(request); }); },
        [this](const ReadResult& result) {
          handle([&] {
            note_rot(result);
            reads_->read(result);
          });
        },
        [this](const FindOffset& request) { handle([&] { reads_->find(request); }); },
        [this](const TimestampResult& result) { handle([&] { reads_->found(result); }); },
        [this](const CancelFetch&) {},  // none waits
        [this](const AttachTail& request) { handle([&] { reads_->attach(request.tail); }); },
        [this](const DetachTail&) { handle([&] { reads_->detach(); }); },
    };
  }

 private:
  MonotonicMs now() const { return now_of(*self_); }

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }

  // --- opening

  void open() {
    self_->request(options_.disk_worker, disk_timeout, OpenLog{options_.partition, log_config_of(options_.config)})
        .then([this](const LogSnapshot& snapshot) { handle([&] { opened(snapshot); }); },
              [this](caf::error& error) { handle([&] { end(from_caf_error(error)); }); });
  }

  void opened(const LogSnapshot& snapshot) {
    if (stopping_) return self_->quit(stop_reason_);
    if (snapshot.health.kind == storage::LogHealth::Kind::offline) {
      return end({Errc::log_offline, "partition " + options_.topic + ": " + snapshot.health.reason});
    }
    if (!snapshot.health.can_append()) {
      return end({Errc::log_damaged, "damaged from offset " + to_string(snapshot.health.from) + " on (" +
                                         snapshot.health.reason + "): this replica is not kept up to date"});
    }
    // What a log holds when it is opened is on stable storage under fsync; under interval nobody counts that.
    const auto& view = snapshot.view;
    replica_.emplace(FollowerReplica::Options{.incarnation = options_.incarnation, .retry_ms = options_.retry_ms},
                     FollowerReplica::Log{.log_start = view.log_start_offset(),
                                          .log_end = view.log_end_offset(),
                                          .durable_end = view.log_end_offset(),
                                          .high_watermark = snapshot.high_watermark,
                                          .epochs = snapshot.state->epochs});
    row_->set_state(ActorState::running);
    reads_->opened(view);
    if (wanted_) follow(*std::exchange(wanted_, std::nullopt));
  }

  // --- the leader

  void follow(const FollowLeader& request) {
    if (!replica_) {
      wanted_ = request;
      return;
    }
    fetcher_ = request.fetcher;
    FollowerEffects effects;
    if (fetcher_) {
      replica_->follow(request.epoch, effects);
    } else {
      replica_->stop(effects);
    }
    effects.moved = true;  // the same epoch over another fetcher
    perform(std::move(effects));
    reads_->moved();
  }

  void answered(const replication::ReplicaAnswer& answer) {
    if (!replica_ || stopping_) return;
    FollowerEffects effects;
    replica_->on_answer(answer, now(), effects);
    perform(std::move(effects));
  }

  void perform(FollowerEffects effects) {
    if (effects.warning) {
      row_->set_last_error(to_string(*effects.warning));
      warn(effects);
    }
    if (effects.log_start) {
      self_->request(options_.disk_worker, disk_timeout, AdvanceLogStart{options_.partition, *effects.log_start})
          .then([this](const LogSnapshot& snapshot) { handle([&] { reads_->changed(snapshot.view); }); },
                [this](caf::error& error) { handle([&] { end(from_caf_error(error)); }); });
    }
    if (effects.append) {
      appending_ = effects.append->token;
      appended_ = *effects.append;
      self_->send(options_.disk_worker, AppendBatches{options_.partition, effects.append->token,
                                                      placed(effects.append->batches), caf::actor_cast<caf::actor>(self_)});
    }
    if (effects.truncate || effects.restart) reads_->cut(effects.records_lost);
    if (effects.truncate) {
      log::info("replica truncated to where it parts from its leader",
                {log::kv("topic", options_.topic), log::kv("partition", options_.partition.partition),
                 log::kv("offset", effects.truncate->offset)});
      change(TruncateLog{options_.partition, effects.truncate->offset}, effects.truncate->token);
    }
    if (effects.restart) change(ResetLog{options_.partition, effects.restart->offset}, effects.restart->token);
    if (effects.high_watermark) reads_->moved();
    if (effects.moved && fetcher_) self_->send(fetcher_, FollowerPosition{options_.partition, replica_->position()});
    arm();
  }

  void warn(const FollowerEffects& effects) const {
    const auto topic = log::kv("topic", options_.topic);
    const auto partition = log::kv("partition", options_.partition.partition);
    const auto reason = log::kv("reason", *effects.warning);
    if (effects.records_lost) {
      log::error("committed records of a replica go: its leader does not have them", {topic, partition, reason});
    } else {
      log::warn("replica does not fit its leader's log", {topic, partition, reason});
    }
  }

  // --- storage

  template <class Request>
  void change(Request request, std::uint64_t token) {
    self_->request(options_.disk_worker, disk_timeout, std::move(request))
        .then(
            [this, token](const LogSnapshot& snapshot) {
              handle([&] {
                reads_->changed(snapshot.view);
                stored(token, ok(), snapshot.view.log_end_offset());
              });
            },
            [this, token](caf::error& error) { handle([&] { stored(token, from_caf_error(error), no_offset); }); });
  }

  void appended(const AppendResults& results) {
    for (const auto& log : results.logs) {
      if (log.partition == options_.partition) reads_->changed(log.view);
    }
    for (const auto& result : results.results) {
      if (appending_ != result.token) continue;
      appending_.reset();
      const auto append = std::exchange(appended_, {});
      if (result.status) reads_->appended(append.base_offset, append.next_offset, append.batches);
      stored(result.token, result.status, result.log_end_offset);
    }
  }

  /// Durable, too, when the topic's flush asks for it: the worker answers behind its sync.
  void stored(std::uint64_t token, const Status& status, Offset log_end) {
    if (!status && status.error().code != Errc::storage_full) return end(status.error());
    note_space(status);
    FollowerEffects effects;
    replica_->on_stored(options_.incarnation, token, status, now(), effects);
    if (status && options_.config.flush == metadata::FlushMode::fsync) {
      replica_->on_durable(options_.incarnation, log_end, effects);
    }
    if (stopping_) return finish_stopping();
    perform(std::move(effects));
  }

  /// It is tried again until there is space; its leader waits for it meanwhile, and so do the producers.
  void note_space(const Status& status) {
    if (std::exchange(full_, !status) == !status) return;
    const auto topic = log::kv("topic", options_.topic), partition = log::kv("partition", options_.partition.partition);
    if (status) return log::info("the replica is written again", {topic, partition});
    row_->set_last_error(to_string(status.error()));
    log::warn("the replica cannot be written: the disk is full", {topic, partition, log::kv("error", status.error())});
  }

  void note_rot(const ReadResult& result) {
    if (result.slice || result.slice.error().code != Errc::corrupt_message) return;
    if (const auto manager = caf::actor_cast<caf::actor>(options_.manager))
      self_->send(manager, LogRotten{options_.partition, result.slice.error()});
  }

  void change_config(const metadata::TopicConfig& config) {
    // What was appended under `interval` counts as durable only when the log has been synced for its new setting.
    self_->request(options_.disk_worker, disk_timeout, OpenLog{options_.partition, log_config_of(config)})
        .then(
            [this, config](const LogSnapshot& snapshot) {
              handle([&] {
                options_.config = config;
                if (!replica_ || config.flush != metadata::FlushMode::fsync) return;
                FollowerEffects effects;
                replica_->on_durable(options_.incarnation, snapshot.view.log_end_offset(), effects);
                perform(std::move(effects));
              });
            },
            [this](caf::error& error) {
              log::warn("topic configuration not taken over by the log",
                        {log::kv("topic", options_.topic), log::kv("error", from_caf_error(error))});
            });
  }

  /// A view keeps what it shows: without appends it would hold segments that were compacted long ago.
  void renew_view() {
    if (!replica_ || !reads_ || !options_.config.compacts()) return;
    self_->request(options_.disk_worker, disk_timeout, OpenLog{options_.partition, log_config_of(options_.config)})
        .then([this](const LogSnapshot& snapshot) { handle([&] { reads_->changed(snapshot.view); }); },
              [](caf::error&) {});  // with the next round, or by who opens the log anew
  }

  /// For who opens the log next.
  void keep_watermark() {
    if (replica_) self_->send(options_.disk_worker, SetHighWatermark{options_.partition, replica_->high_watermark()});
  }

  // --- time

  void arm() {
    const auto due = replica_->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{0}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), FollowerWakeup{++timer_});
  }

  void on_wakeup(const FollowerWakeup& wakeup) {
    if (wakeup.token != timer_ || !replica_) return;
    armed_for_.reset();
    FollowerEffects effects;
    replica_->on_deadline(now(), effects);
    perform(std::move(effects));
  }

  // --- the end

  void stop(const caf::error& reason) {
    if (stopping_) return;
    stopping_ = true;
    stop_reason_ = reason;
    if (!replica_) return;  // the log is being opened
    FollowerEffects effects;
    replica_->stop(effects);
    if (fetcher_) self_->send(fetcher_, FollowerPosition{options_.partition, std::nullopt});
    finish_stopping();
  }

  void finish_stopping() {
    if (!replica_->settled()) return;
    keep_watermark();
    self_->quit(stop_reason_);
  }

  void end(const Error& error) {
    row_->set_last_error(to_string(error));
    self_->quit(to_caf_error(error));
  }

  Self* self_ = nullptr;
  PartitionFollowerOptions options_;
  ActorRowPtr row_;
  std::optional<FollowerReplica> replica_;
  std::optional<FollowLeader> wanted_;  ///< while the log is being opened
  caf::actor fetcher_;
  std::optional<FollowerReads> reads_;
  std::optional<std::uint64_t> appending_;  ///< token
  FollowerEffects::Append appended_;        ///< what it was about
  bool full_ = false;                       ///< its last write was refused for want of space
  bool stopping_ = false;
  caf::error stop_reason_;
  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

caf::behavior partition_follower(PartitionFollowerState::Self* self, PartitionFollowerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_partition_follower(caf::actor_system& system, PartitionFollowerOptions options, ActorRowPtr row) {
  return system.spawn(partition_follower, std::move(options), std::move(row));
}

}  // namespace troupe::actors
