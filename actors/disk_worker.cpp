#include "actors/disk_worker.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "storage/checkpoint_file.hpp"

namespace troupe::actors {

/// From a disk_worker to itself.
struct DiskWorkerWakeup {
  enum class Kind : std::uint8_t { end_turn, flush, open, stop, failed_log };
  Kind kind;
  std::uint64_t token;  ///< of the turn or the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DiskWorkerWakeup)

namespace troupe::actors {
namespace {

using storage::DataDirectory;
using storage::PartitionLog;
using DiskWorkerSelf = DiskWorker::extend<caf::reacts_to<DiskWorkerWakeup>>;

std::size_t bytes_of(const AppendBatches& request) {
  std::size_t bytes = 0;
  for (const auto& placed : request.batches) bytes += placed.batch.size();
  return bytes;
}

/// What a turn decided, by requester.
class Completions {
 public:
  void add(const caf::actor& reply_to, AppendResult result) {
    const auto [at, added] = places_.try_emplace(reply_to.id(), all_.size());
    if (added) all_.push_back({reply_to, {}});
    all_[at->second].results.results.push_back(std::move(result));
  }

  /// The turn could not be made durable: what had been appended in it may not be acknowledged.
  void fail(const Error& error) {
    for (auto& completion : all_) {
      for (auto& result : completion.results.results) {
        if (result.status) result.status = error;
      }
    }
  }

  /// Gives each requester the logs that it appended to, as they are now.
  void add_views(const DataDirectory& directory) {
    for (auto& [reply_to, results] : all_) {
      std::vector<TopicIdPartition> appended;
      for (const auto& result : results.results) {
        if (result.status) appended.push_back(result.partition);
      }
      std::sort(appended.begin(), appended.end());
      appended.erase(std::unique(appended.begin(), appended.end()), appended.end());
      for (const auto& id : appended) {
        if (const auto* log = directory.find(id)) results.logs.push_back({id, log->view()});
      }
    }
  }

  /// Also good while the actor is being destroyed: nobody is named as the sender.
  void send() {
    for (auto& [reply_to, results] : all_) caf::anon_send(reply_to, std::move(results));
    all_.clear();
    places_.clear();
  }

 private:
  struct Completion {
    caf::actor reply_to;
    AppendResults results;
  };
  std::vector<Completion> all_;  ///< in the order of their first append
  std::unordered_map<caf::actor_id, std::size_t> places_;
};

/// The actor's state and handlers.
///
///   waiting, until its cluster is known ---> open
///   open --- the directory fails, or cannot be opened ---> refusing --- stop ---> ended, with the error
///     | `--- CloseDirectory ------------------------------> refusing --- stop ---> ended, without
///     `--- exit message, then `stop' when it has come through the mailbox: turn ended, directory closed, ended with its reason
class DiskWorkerState {
 public:
  using Pointer = DiskWorkerSelf::stateful_pointer<DiskWorkerState>;
  static constexpr const char* name = "disk_worker";

  explicit DiskWorkerState(Pointer self) : self_(self) {}

  ~DiskWorkerState() {
    completions_.fail({Errc::storage_error, "the disk worker was ended before it synced this"});
    completions_.send();
  }

  DiskWorkerSelf::behavior_type make_behavior(DiskWorkerOptions options, ActorRowPtr row) {
    options_ = std::move(options);
    row_ = std::move(row);
    self_->set_exit_handler([this](caf::exit_msg& message) { stop_behind_mailbox(message.reason); });
    self_->set_down_handler([this](caf::down_msg&) { listener_gone(); });
    if (options_.listener) self_->monitor(options_.listener);
    open();
    return {
        [this](const AppendBatches& request) { append(request); },
        [this](const SetHighWatermark& request) {
          const Handling handling{*row_, now()};
          if (directory_) directory_->set_high_watermark(request.partition, request.high_watermark);
        },
        [this](const OpenLog& request) {
          return answer_for<LogSnapshot>(request.partition, [&]() -> Result<LogSnapshot> {
            TROUPE_TRY_ASSIGN(const auto* log, directory_->log(request.partition, request.config));
            return snapshot(request.partition, *log, true);
          });
        },
        [this](const TruncateLog& request) {
          return answer_for<LogSnapshot>(request.partition, [&] {
            return change(request.partition, true, directory_->truncate(request.partition, request.offset));
          });
        },
        [this](const ResetLog& request) {
          return answer_for<LogSnapshot>(request.partition, [&] {
            return change(request.partition, true, directory_->reset(request.partition, request.offset));
          });
        },
        [this](const AdvanceLogStart& request) {
          return answer_for<LogSnapshot>(request.partition, [&] {
            return change(request.partition, false, directory_->advance_log_start(request.partition, request.offset));
          });
        },
        [this](const ApplyRetention& request) {
          return answer_for<LogSnapshot>(request.partition, [&]() -> Result<LogSnapshot> {
            TROUPE_TRY(directory_->apply_retention(request.partition, request.now));
            return change(request.partition, false, ok());
          });
        },
        [this](const NextCleaning& request) {
          return answer<CleaningOffer>([&]() -> Result<CleaningOffer> {
            TROUPE_TRY_ASSIGN(auto plan, directory_->next_cleaning(request.now, request.except));
            return CleaningOffer{std::move(plan)};
          });
        },
        [this](const ReplaceSegments& request) {
          return answer_for<Done>(request.partition,
                                  [&] { return done(directory_->replace(request.partition, request.cleaned)); });
        },
        [this](const RemoveLog& request) {
          return answer<Done>([&] { return done(directory_->remove(request.partition, request.removal)); });
        },
        [this](const QuarantineLog& request) {
          return answer<Done>([&] { return done(directory_->quarantine(request.partition)); });
        },
        [this](const SetAsideLog& request) { return answer<Done>([&] { return set_aside(request.partition); }); },
        [this](const RecoverDirectory& request) { recover(request.partition); },
        [this](const Checkpoint&) { return answer<Done>([&] { return done(directory_->checkpoint()); }); },
        [this](const ListLogs&) {
          return answer<DirectoryContents>([&]() -> Result<DirectoryContents> { return contents(); });
        },
        [this](const WriteSideFile& request) {
          return answer<Done>([&] {
            return done(storage::write_checkpoint(*options_.file_system, options_.directory.path + "/" + request.name,
                                                  request.magic, request.payload));
          });
        },
        [this](const ReadSideFile& request) { return answer<SideFile>([&] { return read_side_file(request); }); },
        [this](const CloseDirectory&) { return answer<Done>([&] { return done(close()); }); },
        [this](const DiskWorkerWakeup& wakeup) { on_wakeup(wakeup); },
    };
  }

 private:
  MonotonicMs now() const { return now_of(*self_); }

  void open() {
    const Handling handling{*row_, now()};
    TROUPE_ASSERT(options_.file_system != nullptr);
    if (options_.cluster_id) {
      options_.directory.cluster_id = options_.cluster_id();
      if (!options_.directory.cluster_id) return open_later();
    }
    refusal_.reset();
    auto opened = DataDirectory::open(*options_.file_system, options_.directory);
    if (!opened) return fail(opened.error());
    directory_ = std::move(opened->directory);
    row_->set_state(ActorState::running);
    log::info("data directory opened", {log::kv("path", options_.directory.path), log::kv("partitions", opened->partitions),
                                        log::kv("repaired_batches", opened->repaired_batches)});
    if (options_.listener) {
      caf::anon_send(options_.listener,
                     DirectoryOpened{row_->restarts(), contents(), opened->repaired_batches, std::move(opened->findings)});
    }
  }

  void open_later() {
    constexpr std::chrono::milliseconds pause{5};
    refusal_ =
        Error{Errc::log_offline, "the data directory " + options_.directory.path + " waits until its cluster is known"};
    self_->delayed_send(self_, pause, DiskWorkerWakeup{DiskWorkerWakeup::Kind::open, 0});
  }

  // --- turns

  void append(const AppendBatches& request) {
    const auto time = now();
    const Handling handling{*row_, time};
    TROUPE_ASSERT(request.reply_to);
    if (!turn_open_) begin_turn(time);
    AppendResult result{request.partition, request.token, ok(), no_offset};
    if (refusal_) {
      result.status = *refusal_;
    } else {
      result.status = directory_->append(request.partition, request.batches, time);
      if (result.status) result.log_end_offset = directory_->find(request.partition)->log_end_offset();
      note_space(result.status, time);
    }
    completions_.add(request.reply_to, std::move(result));
    turn_bytes_ += bytes_of(request);
    if (turn_bytes_ >= options_.turn_bytes_max || time - turn_started_ >= options_.turn_ms_max) end_turn();
    check_log(request.partition);
  }

  void note_space(const Status& appended, MonotonicMs now) {
    if (!options_.space || !options_.space->note(appended, now)) return;
    if (appended) {
      log::info("the disk has space again", {log::kv("directory", options_.directory.path)});
    } else {
      log::warn("the disk is full: what this node leads is refused, what it follows waits",
                {log::kv("directory", options_.directory.path), log::kv("error", appended.error())});
    }
  }

  /// A log that failed comes back by recovery, and so through the next run; or others hold what it should, and it begins anew. The rest
  /// of its turn is made durable first.
  void check_log(const TopicIdPartition& id) {
    if (!directory_) return;
    const auto* log = directory_->find(id);
    if (log == nullptr || log->health().kind != storage::LogHealth::Kind::offline) return;
    const Error error{Errc::storage_error, "partition " + to_string(id) + ": " + log->health().reason};
    end_turn();
    if (!refusal_) log_failed(id, error);
  }

  void log_failed(const TopicIdPartition& id, const Error& error) {
    if (!options_.logs_fail_alone || !options_.listener) return fail(error);
    if (!failed_.try_emplace(id, now()).second) return;
    row_->set_last_error(to_string(error));
    caf::anon_send(options_.listener, LogFailed{id, error});
    self_->delayed_send(self_, std::chrono::milliseconds(options_.failed_log_ms_max),
                        DiskWorkerWakeup{DiskWorkerWakeup::Kind::failed_log, 0});
  }

  /// Failures that showed while something else was done, as a sync behind a turn.
  void look_for_failed_logs() {
    if (!directory_) return;
    for (const auto& id : directory_->failed_logs()) {
      if (failed_.contains(id)) continue;
      const auto* log = directory_->find(id);
      log_failed(id, {Errc::storage_error, "partition " + to_string(id) + ": " + (log ? log->health().reason : "failed")});
      if (!directory_) return;
    }
  }

  Result<Done> set_aside(const TopicIdPartition& id) {
    TROUPE_TRY_ASSIGN(const auto where, directory_->set_aside(id));
    failed_.erase(id);
    if (!where.empty())
      log::warn("a log was set aside; the partition is copied anew", {log::kv("partition", id), log::kv("kept_in", where)});
    return Done{};
  }

  void recover(const TopicIdPartition& id) {
    const Handling handling{*row_, now()};
    if (!failed_.contains(id) || refusal_) return;
    end_turn();
    if (!refusal_) fail({Errc::storage_error, "partition " + to_string(id) + " failed, and nobody else has what it holds"});
  }

  /// Its successor does not know this worker's failed logs: as if there were nobody who could do without them.
  void listener_gone() {
    options_.listener = nullptr;
    if (!failed_.empty()) recover(failed_.begin()->first);
  }

  void on_failed_log() {
    for (const auto& [id, since] : failed_) {
      if (now() - since >= options_.failed_log_ms_max) return recover(id);
    }
  }

  void begin_turn(MonotonicMs time) {
    turn_open_ = true;
    turn_started_ = time;
    turn_bytes_ = 0;
    self_->send(self_, DiskWorkerWakeup{DiskWorkerWakeup::Kind::end_turn, ++turn_});
  }

  void end_turn() {
    if (!turn_open_) return;
    turn_open_ = false;
    if (directory_) {
      const auto committed = directory_->commit(now());
      if (committed) {
        completions_.add_views(*directory_);
      } else {
        completions_.fail(committed.error());
        fail(committed.error());
      }
    }
    completions_.send();
    arm_timer();
    look_for_failed_logs();
  }

  // --- everything else

  /// Carries out a request outside of any turn.
  template <class Reply, class Work>
  caf::result<Reply> answer(Work work) {
    const Handling handling{*row_, now()};
    end_turn();
    if (refusal_) return to_caf_error(*refusal_);
    auto reply = work();
    after_change();
    return to_caf_result<Reply>(std::move(reply));
  }

  /// Of one log, which may turn out to have failed.
  template <class Reply, class Work>
  caf::result<Reply> answer_for(const TopicIdPartition& id, Work work) {
    auto reply = answer<Reply>(std::move(work));
    check_log(id);
    return reply;
  }

  static Result<Done> done(Status status) {
    TROUPE_TRY(std::move(status));
    return Done{};
  }

  Result<LogSnapshot> change(const TopicIdPartition& id, bool with_state, Status status) const {
    TROUPE_TRY(std::move(status));
    const auto* log = directory_->find(id);
    TROUPE_ASSERT(log != nullptr);
    return snapshot(id, *log, with_state);
  }

  LogSnapshot snapshot(const TopicIdPartition& id, const PartitionLog& log, bool with_state) const {
    LogSnapshot snapshot;
    snapshot.partition = id;
    snapshot.view = log.view();
    snapshot.health = log.health();
    if (with_state) snapshot.state = std::make_shared<const storage::LogState>(log.state());
    snapshot.high_watermark = directory_->high_watermark(id);
    snapshot.size_bytes = log.size_bytes();
    return snapshot;
  }

  DirectoryContents contents() const {
    return {directory_->cluster_id(), directory_->directory_id(), directory_->partitions()};
  }

  Result<SideFile> read_side_file(const ReadSideFile& request) const {
    TROUPE_TRY_ASSIGN(auto payload, storage::read_checkpoint(*options_.file_system,
                                                             options_.directory.path + "/" + request.name, request.magic));
    if (!payload) return SideFile{};
    return SideFile{Bytes::adopt(std::move(*payload))};
  }

  void on_wakeup(const DiskWorkerWakeup& wakeup) {
    const Handling handling{*row_, now()};
    switch (wakeup.kind) {
      case DiskWorkerWakeup::Kind::end_turn:
        if (wakeup.token == turn_) end_turn();
        return;
      case DiskWorkerWakeup::Kind::flush:
        if (wakeup.token == timer_) on_timer();
        return;
      case DiskWorkerWakeup::Kind::open:
        if (!stopping_) open();
        return;
      case DiskWorkerWakeup::Kind::stop: return stop();
      case DiskWorkerWakeup::Kind::failed_log: return on_failed_log();
    }
  }

  /// One timer for all that has to be flushed. It may fire early, when what it was armed for has been synced: it is then armed anew.
  void arm_timer() {
    if (!directory_) return;
    const auto due = directory_->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{0}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), DiskWorkerWakeup{DiskWorkerWakeup::Kind::flush, ++timer_});
  }

  void on_timer() {
    armed_for_.reset();
    end_turn();
    if (!directory_) return;
    if (auto flushed = directory_->on_deadline(now()); !flushed) return fail(flushed.error());
    after_change();
  }

  void after_change() {
    if (!directory_) return;
    if (directory_->failure()) return fail({Errc::storage_error, *directory_->failure()});
    arm_timer();
    look_for_failed_logs();
  }

  // --- the end

  /// From here on everything is refused. The directory is let go at once, for the next run to recover it.
  void fail(const Error& error) {
    row_->set_last_error(to_string(error));
    directory_.reset();
    failed_.clear();
    refusal_ = Error{Errc::log_offline, "the data directory " + options_.directory.path + " is offline: " + error.message};
    stop_behind_mailbox({});
    exit_reason_ = to_caf_error(error);  // says more than a wish to stop that came before
  }

  Status close() {
    auto closed = directory_->close();
    if (!closed) {
      fail({Errc::storage_error, "close: " + closed.error().message});
      return closed;
    }
    directory_.reset();
    refusal_ = Error{Errc::log_offline, "the data directory " + options_.directory.path + " was closed"};
    stop_behind_mailbox({});
    return ok();
  }

  /// What waits in the mailbox now is answered before the actor ends.
  void stop_behind_mailbox(const caf::error& reason) {
    if (stopping_) return;
    stopping_ = true;
    exit_reason_ = reason;
    self_->send(self_, DiskWorkerWakeup{DiskWorkerWakeup::Kind::stop, 0});
  }

  void stop() {
    end_turn();
    if (directory_) {
      if (auto closed = directory_->close(); !closed) {
        log::error("data directory not closed",
                   {log::kv("path", options_.directory.path), log::kv("error", closed.error())});
        exit_reason_ = to_caf_error(closed.error());
      }
      directory_.reset();
    }
    self_->quit(exit_reason_);
  }

  const Pointer self_;
  DiskWorkerOptions options_;
  ActorRowPtr row_;
  std::unique_ptr<DataDirectory> directory_;  ///< null when everything is refused
  std::optional<Error> refusal_;
  std::map<TopicIdPartition, MonotonicMs> failed_;  ///< logs that the listener was told of, and when
  bool stopping_ = false;
  caf::error exit_reason_;

  bool turn_open_ = false;
  std::uint64_t turn_ = 0;
  MonotonicMs turn_started_{0};
  std::size_t turn_bytes_ = 0;
  Completions completions_;

  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

DiskWorkerSelf::behavior_type disk_worker(DiskWorkerState::Pointer self, DiskWorkerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(std::move(options), std::move(row));
}

}  // namespace

DiskWorker spawn_disk_worker(caf::actor_system& system, SpawnMode mode, DiskWorkerOptions options, ActorRowPtr row) {
  if (mode == SpawnMode::detached) return system.spawn<caf::detached>(disk_worker, std::move(options), std::move(row));
  return system.spawn(disk_worker, std::move(options), std::move(row));
}

}  // namespace troupe::actors
