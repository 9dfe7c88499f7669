#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/send.hpp>

#include "actors/actor_table.hpp"
#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/handles.hpp"
#include "actors/log_reader.hpp"
#include "actors/metadata_quorum.hpp"
#include "actors/quorum_works.hpp"
#include "base/log.hpp"
#include "core/metadata/quorum_storage.hpp"
#include "core/metadata/snapshot.hpp"

/// The metadata quorum's disk, as its actor sees it: a part of actors/metadata_quorum.cpp, which alone includes this.
namespace troupe::actors {

/// From a QuorumDisk to the actor that it is a part of, which hands it back.
struct QuorumDiskWakeup {
  enum class Kind : std::uint8_t { open, read, work };
  Kind kind;
  std::uint64_t token;  ///< of the attempt to open, or of the read; a stale one is dropped
};

/// A disk that was opened.
struct OpenedQuorumDisk {
  quorum::StoredState stored = {};
  metadata::ImagePtr image = {};  ///< of the snapshot; null: there is none
  Uuid cluster_id = {};           ///< the directory's; nil: of whatever cluster it becomes
};

/// What the actor hears from its disk.
class QuorumDiskOwner {
 public:
  virtual ~QuorumDiskOwner() = default;

  virtual void disk_opened(OpenedQuorumDisk disk) = 0;
  /// Nobody knows what became of what was on its way. `disk_opened` follows, sooner or later.
  virtual void disk_lost() = 0;
  /// It cannot be trusted.
  virtual void disk_failed(const Error& error) = 0;
  /// An error: there is no space, and the work at hand is tried again; nullopt: there is again.
  virtual void disk_full(const std::optional<Error>& error) = 0;

  virtual void work_done(const QuorumWorkDone& end) = 0;
  virtual void snapshot_rejected(std::uint64_t token, const Error& error) = 0;
  virtual void own_snapshot_failed(const Error& error) = 0;
  virtual void entries_read(std::uint64_t token, Result<std::vector<quorum::LogEntry>> entries) = 0;
  virtual void snapshot_read(std::uint64_t token, Result<Bytes> chunk) = 0;
};

/// Does the replica's works one after the other, and opens the disk again when its worker went down. `Self`: the pointer to the actor.
///
///   open: OpenLog, ListLogs, ReadSideFile x2 ---> disk_opened ---> works, reads ...
///     ^                                                              |
///     `-- pause <-- the worker went down, or could not answer -------'
template <class Self>
class QuorumDisk {
 public:
  /// `alone`: a cluster of this node only. A disk from before there was a quorum is then taken over.
  QuorumDisk(Self self, QuorumDiskOwner& owner, const MetadataQuorumOptions& options, ActorRowPtr row, bool alone)
      : self_(self), owner_(owner), options_(options), row_(std::move(row)), alone_(alone) {}

  void open() {
    ++attempt_;
    auto worker = options_.disk_worker();
    if (!worker) return open_later();
    if (worker != worker_) self_->monitor(worker);
    worker_ = std::move(worker);
    storage::LogConfig config;
    config.segment_bytes_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(options_.segment_bytes, UINT32_MAX));
    config.segment_age_ms_max = std::numeric_limits<Millis>::max();  // age is no reason to roll
    config.retention_ms = -1;
    opened_ = {};
    opening<LogSnapshot>(OpenLog{metadata_partition, config}, [this](const LogSnapshot& log) {
      view_ = log.view;
      opened_.stored.log_start_offset = log.view.log_start_offset();
      opened_.stored.log_end_offset = log.view.log_end_offset();
      opened_.stored.epochs = log.state->epochs;
      opening<DirectoryContents>(ListLogs{}, [this](const DirectoryContents& contents) {
        opened_.cluster_id = contents.cluster_id;
        directory_id_ = contents.directory_id;
        read_hard_state();
      });
    });
  }

  // --- works

  void push(QuorumWorks::Work work) { works_.push(std::move(work)); }

  void work_on() {
    if (!worker_ || ended_) return;
    while (auto next = works_.next()) {
      std::visit([this](auto& one) { start_step(one); }, *next);
    }
  }

  void on_appended(const AppendResults& answer) {
    if (append_attempt_ != attempt_) return;
    for (const auto& log : answer.logs) view_ = log.view;
    for (const auto& result : answer.results) {
      if (result.token != append_token_) continue;
      result.status ? step_done() : step_failed(result.status.error());
    }
  }

  // --- reads

  void read(const quorum::ReadEntries& effect) {
    const auto token = ++read_token_;
    reads_.emplace(token, effect);
    read_log(token);
  }
  void read(const quorum::ReadSnapshot& effect) {
    if (sending_ && sending_->snapshot == effect.snapshot) return snapshot_chunk(effect);
    step<SideFile>(
        ReadSideFile{metadata::snapshot_file_name, metadata::snapshot_magic},
        [this, effect](const SideFile& file) {
          sending_.reset();
          if (file.payload) {
            if (auto decoded = quorum::decode_snapshot_file(*file.payload)) sending_ = std::move(*decoded);
          }
          // Written before there was a quorum: it is the one that the replica was told of at its start.
          if (sending_ && !sending_->snapshot) sending_->snapshot = adopted_snapshot_;
          snapshot_chunk(effect);
        },
        [this, effect](const Error& error) { owner_.snapshot_read(effect.token, error); });
  }

  void on_read(const ReadResult& result) {
    const auto at = reads_.find(result.token);
    if (at == reads_.end()) return;
    if (!result.slice) {
      switch (const auto& error = result.slice.error(); error.code) {
        case Errc::overloaded:
        case Errc::stale_log_view:
          self_->delayed_send(self_, reopen_pause, QuorumDiskWakeup{QuorumDiskWakeup::Kind::read, result.token});
          return;
        case Errc::corrupt_message: return fail(error.with_context(std::string("the metadata log is damaged: ") + way_out));
        case Errc::offset_out_of_range: break;
        default: return lost();
      }
    }
    const auto wanted = at->second;
    reads_.erase(at);
    auto entries = [&]() -> Result<std::vector<quorum::LogEntry>> {
      TROUPE_TRY(result.slice);
      read_position_ = result.slice->position;
      TROUPE_TRY_ASSIGN(auto found, quorum::entries_of(result.slice->batches, wanted.from));
      const bool of_quorum = std::ranges::any_of(found, [](const auto& one) { return one.kind != quorum::EntryKind::data; });
      if (adopting_ && of_quorum) {
        return Error{Errc::corrupt_message,
                     "the metadata log is a quorum's and its hard state is missing: with other voters, empty this node's"
                     " metadata directory and it joins as a new replica; alone, put a backup of the directory back"};
      }
      return found;
    }();
    owner_.entries_read(wanted.token, std::move(entries));
  }

  void on_wakeup(const QuorumDiskWakeup& wakeup) {
    switch (wakeup.kind) {
      case QuorumDiskWakeup::Kind::open:
        if (wakeup.token == attempt_) open();
        return;
      case QuorumDiskWakeup::Kind::read:
        if (reads_.contains(wakeup.token)) read_log(wakeup.token);
        return;
      case QuorumDiskWakeup::Kind::work:
        if (wakeup.token != attempt_) return;
        works_.again();
        return work_on();
    }
  }

  /// True: it was the disk's worker that went down.
  bool on_down(const caf::actor_addr& source) {
    if (!worker_ || worker_.address() != source) return false;
    worker_ = nullptr;
    lost();
    return true;
  }

 private:
  static constexpr const char* way_out =
      "with other voters, empty its metadata directory and it joins as a new replica; alone, put a backup of the directory "
      "back";
  static constexpr std::chrono::milliseconds reopen_pause{50};
  static constexpr std::chrono::milliseconds full_pause{200};
  /// Opening may have to recover a large log. Whoever waits longer than their own deadline is answered meanwhile.
  static constexpr std::chrono::minutes disk_timeout{2};

  void start_step(AppendBatches& append) {
    append_attempt_ = attempt_;
    append_token_ = append.token;
    append.reply_to = caf::actor_cast<caf::actor>(self_);
    caf::anon_send(worker_, std::move(append));
  }
  void start_step(SnapshotRejected& rejected) {
    const bool own = works_.is_own_snapshot();
    works_.drop();
    if (own) return owner_.own_snapshot_failed(rejected.error);
    owner_.snapshot_rejected(rejected.token, rejected.error);
  }
  void start_step(WriteSideFile& write) {
    step<Done>(
        std::move(write), [this](const Done&) { step_done(); }, [this](const Error& error) { step_failed(error); });
  }
  template <class Change>
  void start_step(Change& change) {
    step<LogSnapshot>(
        std::move(change),
        [this](const LogSnapshot& log) {
          view_ = log.view;
          step_done();
        },
        [this](const Error& error) { step_failed(error); });
  }

  void step_done() {
    if (std::exchange(full_, false)) owner_.disk_full(std::nullopt);
    const auto end = works_.done();
    if (!end) return work_on();
    if (end->persisted || end->snapshot_taken) owner_.work_done(*end);
    work_on();
  }

  void step_failed(const Error& error) {
    if (works_.is_own_snapshot() && error.code != Errc::log_offline && error.code != Errc::broker_not_available) {
      works_.drop();
      owner_.own_snapshot_failed(error);
      return work_on();
    }
    switch (error.code) {
      case Errc::storage_full:
        if (!std::exchange(full_, true)) log::warn("metadata disk full", {log::kv("error", error)});
        owner_.disk_full(error);
        self_->delayed_send(self_, full_pause, QuorumDiskWakeup{QuorumDiskWakeup::Kind::work, attempt_});
        return;
      case Errc::corrupt_message: return fail(error.with_context(std::string("the metadata log is damaged: ") + way_out));
      default: return lost();
    }
  }

  void read_hard_state() {
    step<SideFile>(
        ReadSideFile{quorum::hard_state_file_name, quorum::hard_state_magic},
        [this](const SideFile& file) {
          if (file.payload) {
            auto decoded = quorum::decode_hard_state(*file.payload);
            if (!decoded) return hard_state_damaged(decoded.error());
            opened_.stored.hard_state = std::move(*decoded);
          }
          read_snapshot();
        },
        [this](const Error& error) { error.code == Errc::corrupt_message ? hard_state_damaged(error) : not_open(error); });
  }

  void hard_state_damaged(const Error& error) {
    fail(error.with_context(std::string(quorum::hard_state_file_name) +
                            " is damaged, so whom this replica voted for is unknown: " + way_out));
  }

  void read_snapshot() {
    step<SideFile>(
        ReadSideFile{metadata::snapshot_file_name, metadata::snapshot_magic},
        [this](const SideFile& file) {
          if (!file.payload) return start({}, {});
          auto decoded = quorum::decode_snapshot_file(*file.payload);
          if (!decoded) return snapshot_damaged(decoded.error());
          auto image = metadata::decode_snapshot(decoded->image);
          if (!image) return snapshot_damaged(image.error());
          start(std::move(*decoded), std::move(*image));
        },
        [this](const Error& error) { error.code == Errc::corrupt_message ? snapshot_damaged(error) : not_open(error); });
  }

  /// No loss while the log reaches back to its beginning.
  void snapshot_damaged(const Error& error) {
    if (opened_.stored.log_start_offset > Offset{0}) {
      return fail(error.with_context(std::string(metadata::snapshot_file_name) + " is needed, the log begins at " +
                                     to_string(opened_.stored.log_start_offset) + ": " + way_out));
    }
    log::warn("metadata", {log::kv("note", std::string(metadata::snapshot_file_name) +
                                               " is damaged, the log is replayed from 0: " + error.message)});
    start({}, {});
  }

  /// The disk as it is: the replica begins.
  void start(quorum::SnapshotFile file, const metadata::ImagePtr& image) {
    const bool empty = opened_.stored.log_end_offset == Offset{0} && !image;
    adopting_ = !opened_.stored.hard_state && !empty && alone_ && !file.snapshot;
    if (adopting_) {
      const quorum::ReplicaKey self{options_.broker.id, directory_id_.is_nil() ? options_.new_uuid() : directory_id_};
      opened_.stored.hard_state = quorum::adopted_hard_state(opened_.cluster_id, self, opened_.stored.epochs);
      log::info("metadata of one node adopted as a quorum's", {log::kv("log_end_offset", opened_.stored.log_end_offset)});
    }
    if (image) {
      if (!file.snapshot && opened_.stored.hard_state) {
        file.snapshot = quorum::adopted_snapshot(image->applied(), file.image, opened_.stored.hard_state->genesis,
                                                 opened_.stored.epochs);
        adopted_snapshot_ = file.snapshot;
      }
      opened_.stored.snapshot = file.snapshot ? file.snapshot : quorum::SnapshotMeta{.end_offset = image->applied()};
    }
    const auto& hard = opened_.stored.hard_state;
    if (hard && !hard->cluster_id.is_nil() && !opened_.cluster_id.is_nil() && hard->cluster_id != opened_.cluster_id) {
      return fail({Errc::wrong_owner, "the metadata is of cluster " + to_string(hard->cluster_id) +
                                          ", its directory of cluster " + to_string(opened_.cluster_id)});
    }
    opened_.image = image;
    owner_.disk_opened(std::exchange(opened_, {}));
  }

  void fail(const Error& error) {
    ended_ = true;
    owner_.disk_failed(error);
  }

  void not_open(const Error& error) {
    log::warn("metadata log not open", {log::kv("error", error)});
    lost();
  }

  /// The replica is gone, and begins anew from the disk.
  void lost() {
    works_.clear();
    reads_.clear();
    sending_.reset();
    adopted_snapshot_.reset();
    ++attempt_;
    owner_.disk_lost();
    open_later();
  }
  void open_later() { self_->delayed_send(self_, reopen_pause, QuorumDiskWakeup{QuorumDiskWakeup::Kind::open, attempt_}); }

  /// One request to the disk worker, of this attempt.
  template <class Answer, class Request, class Then>
  void opening(Request request, Then then) {
    step<Answer>(std::move(request), std::move(then), [this](const Error& error) { not_open(error); });
  }
  template <class Answer, class Request, class Then, class Otherwise>
  void step(Request request, Then then, Otherwise otherwise) {
    self_->request(worker_, disk_timeout, std::move(request))
        .then(
            [this, attempt = attempt_, then](const Answer& answer) {
              const Handling handling{*row_, now_of(*self_)};
              if (attempt == attempt_) then(answer);
            },
            [this, attempt = attempt_, otherwise](const caf::error& error) {
              const Handling handling{*row_, now_of(*self_)};
              if (attempt == attempt_) otherwise(from_caf_error(error));
            });
  }

  void read_log(std::uint64_t token) {
    const auto& wanted = reads_.at(token);
    options_.readers->read({.partition = metadata_partition,
                            .token = token,
                            .view = view_,
                            .from = wanted.from,
                            .bytes_max = wanted.bytes_max,
                            .up_to = wanted.to,
                            .hint = read_position_,
                            .reply_to = caf::actor_cast<caf::actor>(self_)});
  }

  /// Kept in memory while its chunks are sent, up to the last one.
  void snapshot_chunk(const quorum::ReadSnapshot& effect) {
    Result<Bytes> chunk = Error{Errc::not_found, "another snapshot took its place"};
    if (sending_ && sending_->snapshot == effect.snapshot) chunk = sending_->image.slice(effect.position, effect.size);
    if (effect.position + effect.size >= effect.snapshot.size_bytes) sending_.reset();
    owner_.snapshot_read(effect.token, std::move(chunk));
  }

  const Self self_;
  QuorumDiskOwner& owner_;
  const MetadataQuorumOptions& options_;
  const ActorRowPtr row_;
  const bool alone_;

  DiskWorker worker_;          ///< monitored; null while it is away
  std::uint64_t attempt_ = 0;  ///< to open the disk; answers of an earlier one are dropped
  Uuid directory_id_;
  OpenedQuorumDisk opened_;  ///< while opening
  bool adopting_ = false;    ///< the log is from before there was a quorum
  std::optional<quorum::SnapshotMeta> adopted_snapshot_;
  storage::LogView view_;
  storage::ReadPosition read_position_;
  std::uint64_t read_token_ = 0;
  std::map<std::uint64_t, quorum::ReadEntries> reads_;
  std::optional<quorum::SnapshotFile> sending_;
  QuorumWorks works_;
  bool full_ = false;
  bool ended_ = false;
  std::uint64_t append_token_ = 0;
  std::uint64_t append_attempt_ = 0;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::QuorumDiskWakeup)
