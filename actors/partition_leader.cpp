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
#include "actors/follower_turns.hpp"
#include "actors/leader_claims.hpp"
#include "actors/leader_commits.hpp"
#include "actors/leader_reads.hpp"
#include "actors/log_config.hpp"
#include "actors/peer_links.hpp"
#include "base/log.hpp"

namespace troupe::actors {

/// From a partition_leader to itself.
struct LeaderWakeup {
  enum class Kind : std::uint8_t { deadline, confirm, read_again };
  Kind kind;
  std::uint64_t token;  ///< of the timer, a stale one is dropped; of read_again: the read's
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LeaderWakeup)

namespace troupe::actors {
namespace {

using replication::LeaderEffects;
using replication::LeaderReplica;

constexpr auto open_timeout = std::chrono::seconds(60);  // a recovery may take its time
constexpr auto confirm_pause = std::chrono::milliseconds(500);
constexpr auto read_again_pause = std::chrono::milliseconds(50);

/// The actor's state and handlers.
///
///   closed --- first message that needs the log ---> opening ---> open --- disk away, unknown outcome ---> ended, with the error
///                                                      `--- (confirming) ---^
class PartitionLeaderState {
 public:
  using Self = caf::stateful_actor<PartitionLeaderState>;
  static constexpr const char* name = "partition_leader";

  caf::behavior make_behavior(Self* self, PartitionLeaderOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    log_.partition = options_.partition;
    log_.readers = options_.readers;
    log_.recent.emplace(options_.recent_bytes_max);
    commits_.emplace(*self_, log_);
    reads_.emplace(*self_, log_);
    claims_.emplace(*self_, log_, *options_.clock, claims_token);
    turns_.emplace(*self_, log_);
    self_->monitor(options_.disk_worker);
    self_->set_down_handler([this](caf::down_msg&) { end({Errc::log_offline, "the disk worker is down"}); });
    self_->set_exit_handler([this](caf::exit_msg& exit) { handle([&] { resign(exit.reason); }); });
    row_->set_state(ActorState::running);
    note_replicas();
    return {
        [this](const ProduceSlot& request) { handle([&] { when_open([this, request] { produce(request); }); }); },
        [this](const AppendResults& results) { handle([&] { appended(results); }); },
        [this](const FetchPartition& request) { handle([&] { when_open([this, request] { fetch(request); }); }); },
        [this](const ReadResult& result) { handle([&] { read(result); }); },
        [this](const CancelFetch& request) { handle([&] { reads_->cancel(request); }); },
        [this](const FindOffset& request) { handle([&] { when_open([this, request] { reads_->find(request); }); }); },
        [this](const TimestampResult& result) { handle([&] { found(result); }); },
        [this](const DeleteRecordsBefore& request) {
          handle([&] { when_open([this, request] { delete_records(request); }); });
        },
        [this](const ConfigChanged& change) { handle([&] { change_config(change.config); }); },
        [this](const RunRetention& request) { handle([&] { run_retention(request); }); },
        [this](const AttachTail& request) {
          handle([&] { when_open([this, request] { commits_->attach(request.tail); }); });
        },
        [this](const DetachTail&) { handle([&] { commits_->detach(); }); },
        [this](const PartitionChanged& change) { handle([&] { change_partition(change.state); }); },
        [this](const BrokerBack&) { handle([&] { broker_back(); }); },
        [this](const PeerState& peer) { handle([&] { when_open([this, peer] { link_changed(peer); }); }); },
        [this](const IsrAnswered& answer) { handle([&] { isr_answered(answer); }); },
        [this](const FollowerFetch& request) { handle([&] { when_open([this, request] { follower_fetch(request); }); }); },
        [this](const FollowerTurn& turn) { handle([&] { follower_turn(turn); }); },
        [this](const LeaderWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  enum class Phase : std::uint8_t { closed, opening, open, ended };

  MonotonicMs now() const { return now_of(*self_); }
  LeaderEpoch epoch() const { return options_.state.leader_epoch; }
  std::optional<LeaderReplica>& replica() { return log_.replica; }

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
    return {.epoch = epoch(),
            .timestamp_type = options_.config.timestamp_type,
            .min_insync_replicas = options_.config.min_insync_replicas,
            .flush = options_.config.flush == metadata::FlushMode::fsync ? replication::Flush::fsync
                                                                         : replication::Flush::interval,
            .replica_lag_max_ms = options_.replica_lag_max_ms};
  }

  void opened(const LogSnapshot& snapshot) {
    if (snapshot.health.kind == storage::LogHealth::Kind::offline) {
      return end({Errc::log_offline, "partition " + options_.topic + ": " + snapshot.health.reason});
    }
    log_.view = snapshot.view;
    note_damage(snapshot.health);
    // Its followers would cut off what this log has lost.
    if (damage_ && replicated_) return end(*damage_);
    if (!replica()) {
      if (replicated_ && options_.confirm) {
        opened_ = snapshot;
        return confirm();
      }
      lead(snapshot);
    } else {
      LeaderEffects effects;
      replica()->on_reopened(log_.view.log_start_offset(), log_.view.log_end_offset(), snapshot.state->producers, effects);
      perform(std::move(effects));
    }
    go_on();
  }

  void go_on() {
    phase_ = Phase::open;
    auto waiting = std::move(waiting_);
    waiting_.clear();
    for (auto& work : waiting) work();
  }

  void lead(const LogSnapshot& snapshot) {
    const auto start = snapshot.view.log_start_offset();
    const auto end = snapshot.view.log_end_offset();
    // An open log is on stable storage as far as its topic's flush asks for it: the worker answers behind its syncs.
    replica().emplace(replica_options(), replication::IsrMember{options_.node_id, options_.broker_epoch}, options_.state,
                      replication::ReplicaStart{.log_start = start,
                                                .log_end = end,
                                                .durable_end = end,
                                                .high_watermark = std::clamp(snapshot.high_watermark, start, end),
                                                .epochs = snapshot.state->epochs,
                                                .producers = snapshot.state->producers});
    commits_->begin(replica()->high_watermark());
    LeaderEffects effects;
    replica()->begin(now(), effects);
    perform(std::move(effects));
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

  // --- the partition as it is committed

  void note_replicas() {
    replicated_ = replicated_ || options_.state.replicas.size() > 1;
    if (replicated_ && phase_ == Phase::closed) open();
  }

  void change_partition(const replication::PartitionState& state) {
    if (state.leader_epoch != epoch() || state.partition_epoch <= options_.state.partition_epoch) return;
    options_.state = state;
    note_replicas();
    if (!replica()) return;
    LeaderEffects effects;
    replica()->on_partition(state, now(), effects);
    perform(std::move(effects));
  }

  void broker_back() {
    if (!replica()) return;
    LeaderEffects effects;
    replica()->on_broker_back(now(), effects);
    perform(std::move(effects));
  }

  void link_changed(const PeerState& peer) {
    LeaderEffects effects;
    replica()->on_link(peer.id, peer.up, now(), effects);
    perform(std::move(effects));
  }

  void propose(replication::AlterPartition alter) {
    if (const auto desk = options_.isr_desk ? options_.isr_desk->get() : nullptr) {
      self_->send(desk, ProposeIsr{options_.partition, std::move(alter), caf::actor_cast<caf::actor>(self_)});
    }
  }

  void confirm() {
    replication::AlterPartition alter{
        .request = confirm_request, .leader_epoch = epoch(), .partition_epoch = options_.state.partition_epoch};
    for (const auto broker : options_.state.isr) {
      alter.isr.push_back({broker, broker == options_.node_id ? options_.broker_epoch : no_broker_epoch});
    }
    propose(std::move(alter));
    self_->delayed_send(self_, confirm_pause, LeaderWakeup{LeaderWakeup::Kind::confirm, 0});
  }

  void isr_answered(const IsrAnswered& answer) {
    if (replica()) {
      LeaderEffects effects;
      replica()->on_alter_answer(answer.request, answer.answer, now(), effects);
      return perform(std::move(effects));
    }
    // Refused: the partition has changed, and is asked for again as it is known then.
    if (!opened_ || answer.request != confirm_request || !answer.answer || answer.answer->leader_epoch != epoch()) return;
    options_.state = *answer.answer;
    lead(*std::exchange(opened_, std::nullopt));
    go_on();
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
    replica()->on_produce(slot, request.batches, request.terms, effects);
    perform(std::move(effects));
  }

  void appended(const AppendResults& results) {
    if (!replica()) return;
    for (const auto& log : results.logs) {
      if (log.partition == options_.partition) log_.view = log.view;
    }
    LeaderEffects effects;
    for (const auto& result : results.results) {
      if (replicated_) commits_->appended(result.token, result.status.has_value());
      replica()->on_appended(result.token, result.status, effects);
    }
    perform(std::move(effects));
    if (replica()->failed()) end({Errc::storage_error, "an append has an unknown outcome"});
  }

  void perform(LeaderEffects effects) {
    for (auto& append : effects.appends) {
      std::vector<storage::PlacedBatch> placed;
      placed.reserve(append.batches.size());
      for (const auto& batch : append.batches) placed.push_back({batch.base_offset, epoch(), batch.bytes});
      self_->send(options_.disk_worker,
                  AppendBatches{options_.partition, append.token, std::move(placed), caf::actor_cast<caf::actor>(self_)});
      commits_->sent(std::move(append));
    }
    if (effects.high_watermark) commits_->committed(*effects.high_watermark, replicated_);
    for (auto& answer : effects.answers) this->answer(std::move(answer));
    for (const auto fetch : effects.readable) reads_->serve_parked(fetch);
    for (const auto follower : effects.followers_ready) tell_server(follower);
    if (effects.alter) propose(*std::move(effects.alter));
    if (effects.load_claims) claims_->load();
    if (effects.reopen) {
      commits_->clear();
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

  // --- reads

  void fetch(const FetchPartition& request) {
    reads_->fetch(request);
    arm();
  }

  void read(const ReadResult& result) {
    note_rot(result);
    if (result.token == claims_token) {
      if (const auto loaded = claims_->read(result)) claims_loaded(*loaded);
    } else if ((result.token & FollowerTurns::token_bit) == 0) {
      reads_->read(result);
    } else if (turns_->read(result)) {
      tell_server(FollowerTurns::replica_of(result.token));
    } else {
      self_->delayed_send(self_, read_again_pause, LeaderWakeup{LeaderWakeup::Kind::read_again, result.token});
    }
  }

  /// A batch that was whole when it was written: another replica has it whole still.
  void note_rot(const ReadResult& result) {
    if (!replicated_ || result.slice || result.slice.error().code != Errc::corrupt_message) return;
    if (const auto manager = caf::actor_cast<caf::actor>(options_.manager))
      self_->send(manager, LogRotten{options_.partition, result.slice.error()});
  }

  void found(const TimestampResult& result) {
    if (result.token != claims_token) return reads_->found(result);
    if (const auto loaded = claims_->found(result)) claims_loaded(*loaded);
  }

  void claims_loaded(const Status& status) {
    LeaderEffects effects;
    replica()->on_claims_loaded(status, effects);
    perform(std::move(effects));
  }

  // --- followers

  void follower_fetch(const FollowerFetch& request) {
    LeaderEffects effects;
    const bool news = turns_->fetch(request.fetch, now(), effects);
    if (news) tell_server(request.fetch.replica);
    perform(std::move(effects));
  }

  void follower_turn(const FollowerTurn& turn) {
    std::optional<replication::ReplicaAnswer> answer;
    if (replica()) answer = turns_->turn(turn);
    if (const auto server = replica_server())
      self_->send(server, FollowerTurnAnswer{options_.partition, turn.session, std::move(answer)});
  }

  void tell_server(BrokerId replica) {
    if (const auto server = replica_server()) self_->send(server, FollowerNews{options_.partition, replica});
  }

  caf::actor replica_server() const { return options_.replica_server ? options_.replica_server->get() : nullptr; }

  // --- upkeep

  void delete_records(const DeleteRecordsBefore& request) {
    const auto before = std::min(request.before, replica()->high_watermark());
    const auto answer = [this, request](Result<Offset> result) {
      self_->send(request.reply_to, RecordsDeleted{request.token, std::move(result)});
    };
    if (before <= replica()->log_start()) return answer(replica()->log_start());
    self_->request(options_.disk_worker, open_timeout, AdvanceLogStart{options_.partition, before})
        .then(
            [this, answer](const LogSnapshot& snapshot) {
              handle([&] {
                moved_start(snapshot);
                answer(replica()->log_start());
              });
            },
            [answer](caf::error& error) { answer(from_caf_error(error)); });
  }

  void moved_start(const LogSnapshot& snapshot) {
    log_.view = snapshot.view;
    LeaderEffects effects;
    replica()->on_log_start(snapshot.view.log_start_offset(), effects);
    perform(std::move(effects));
  }

  void change_config(const metadata::TopicConfig& config) {
    // Records that were appended under `interval` count as durable only when the log has been synced for its new setting.
    const bool first_sync = config.flush != options_.config.flush && config.flush == metadata::FlushMode::fsync;
    options_.config = config;
    if (phase_ == Phase::closed) return;  // opened with it later
    if (replica() && !first_sync) replica()->set_options(replica_options());
    self_->request(options_.disk_worker, open_timeout, OpenLog{options_.partition, log_config_of(config)})
        .then(
            [this](const LogSnapshot&) {
              handle([&] {
                if (replica()) replica()->set_options(replica_options());
              });
            },
            [this](caf::error& error) {
              log::warn("topic configuration not taken over by the log",
                        {log::kv("topic", options_.topic), log::kv("error", from_caf_error(error))});
            });
  }

  void run_retention(const RunRetention& request) {
    turns_->forget_stale();
    if (phase_ == Phase::closed && !options_.has_files) return;
    when_open([this, request] {
      keep_watermark();
      self_->request(options_.disk_worker, open_timeout, ApplyRetention{options_.partition, request.now})
          .then([this](const LogSnapshot& snapshot) { handle([&] { moved_start(snapshot); }); },
                [this](caf::error& error) {
                  log::warn("retention failed",
                            {log::kv("topic", options_.topic), log::kv("partition", options_.partition.partition),
                             log::kv("error", from_caf_error(error))});
                });
    });
  }

  void keep_watermark() {
    self_->send(options_.disk_worker, SetHighWatermark{options_.partition, replica()->high_watermark()});
  }

  // --- time

  void arm() {
    const auto due = replica()->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{0}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), LeaderWakeup{LeaderWakeup::Kind::deadline, ++timer_});
  }

  void on_wakeup(const LeaderWakeup& wakeup) {
    switch (wakeup.kind) {
      case LeaderWakeup::Kind::confirm:
        if (opened_) confirm();
        return;
      case LeaderWakeup::Kind::read_again: return tell_server(FollowerTurns::replica_of(wakeup.token));
      case LeaderWakeup::Kind::deadline: break;
    }
    if (wakeup.token != timer_ || !replica()) return;
    armed_for_.reset();
    LeaderEffects effects;
    replica()->on_deadline(now(), effects);
    perform(std::move(effects));
  }

  // --- the end: whoever waits for an answer sees this actor go down

  void resign(const caf::error& reason) {
    if (replica() && replicated_) {
      keep_watermark();  // for who opens the log next
      LeaderEffects effects;
      replica()->resign(effects);
      for (auto& answer : effects.answers) this->answer(std::move(answer));
      for (const auto fetch : effects.readable) reads_->serve_parked(fetch);
    }
    phase_ = Phase::ended;
    self_->quit(reason);
  }

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
  static constexpr std::uint64_t confirm_request = UINT64_MAX;  ///< never one of the rules

  Self* self_ = nullptr;
  PartitionLeaderOptions options_;
  ActorRowPtr row_;
  Phase phase_ = Phase::closed;
  bool replicated_ = false;                    ///< it has, or had in this epoch, more than one replica
  std::optional<Error> damage_;                ///< what the log's opening found: nothing is appended
  std::deque<std::function<void()>> waiting_;  ///< for the log to be open
  std::optional<LogSnapshot> opened_;          ///< while the ISR is confirmed

  LedLog log_;
  std::optional<LeaderCommits> commits_;
  std::optional<LeaderReads> reads_;
  std::optional<LeaderClaims> claims_;
  std::optional<FollowerTurns> turns_;
  std::unordered_map<std::uint64_t, Asked> slots_;
  std::uint64_t next_slot_ = 1;

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
