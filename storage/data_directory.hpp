#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "storage/manifest.hpp"
#include "storage/partition_log.hpp"

namespace troupe::storage {

/// All partition logs of one directory, the commit log that they share, and what says whose they are.
///
///   <path>/lock                      held by the running process, names it
///   <path>/owner                     cluster id, node id, id of this directory
///   <path>/manifest                  which partitions have files
///   <path>/commit/*.commit           the commit log
///   <path>/partitions/<topic id>/<partition>/*.log .index .state
///   <path>/recovery-points, log-start-offsets, high-watermarks, cleaned-offsets
///   <path>/quarantine/               what nobody owns or understands; never deleted by us
///
/// A turn: any number of `append`s, then one `commit`. What was appended under FlushPolicy::fsync may be acknowledged when `commit`
/// has returned success; under FlushPolicy::interval at once.
///
///   append -> segment (page cache) -> commit log (one fdatasync for the turn) -> acknowledge
///                   `-> segments synced later, a few a turn -> recovery points -> commit-log file used again
///
/// One thread uses it (disk_worker); the LogViews that it hands out may go to any thread.
class DataDirectory {
 public:
  struct Options {
    std::string path;
    std::optional<Uuid> cluster_id;  ///< nullopt: whatever the directory says; needed to create one
    BrokerId node_id{0};
    Uuid directory_id = {};              ///< what a directory that is made now is called; nil: a random one
    std::size_t open_files_max = 1024;   ///< descriptors kept open for reading and writing
    std::size_t dirty_files_max = 1024;  ///< descriptors kept open because they wait for a sync
    std::uint64_t commit_file_bytes = std::uint64_t{128} << 20;
    std::uint64_t commit_grow_bytes = std::uint64_t{1} << 20;
  };

  /// What opening found and did.
  struct Opened {
    std::unique_ptr<DataDirectory> directory;
    std::size_t partitions = 0;
    std::size_t repaired_batches = 0;   ///< appended to segments from the commit log
    std::vector<std::string> findings;  ///< one sentence each, for the log and for people: damage, quarantine, adoptions
  };

  /// Takes the lock, checks the owner, recovers every partition that the commit log speaks of.
  /// Errors: wrong_owner (another process, node or cluster; names it), storage_error, storage_full.
  static Result<Opened> open(FileSystem& file_system, Options options);
  /// Whose a directory is.
  struct Owner {
    Uuid cluster_id = {};
    Uuid directory_id = {};
    BrokerId node_id{0};
  };
  /// nullopt: nobody's yet. Reads one file and takes no lock.
  /// Errors: wrong_owner (it is damaged; names it), storage_error.
  static Result<std::optional<Owner>> owner_of(FileSystem& file_system, const std::string& path);

  ~DataDirectory();

  const Uuid& cluster_id() const { return cluster_id_; }
  const Uuid& directory_id() const { return directory_id_; }
  std::vector<TopicIdPartition> partitions() const { return manifest_.with(Manifest::State::written); }

  /// A partition's log, opened and recovered on first use; empty when it was never written.
  /// Errors: storage_error, unknown_topic_or_partition (it was removed).
  Result<PartitionLog*> log(const TopicIdPartition& id, const LogConfig& config);

  /// A log that is open; null otherwise. Valid until its partition is removed or quarantined.
  const PartitionLog* find(const TopicIdPartition& id) const;

  /// Appends to a log in this turn. Errors: as PartitionLog::append, and nothing was appended.
  Status append(const TopicIdPartition& id, std::span<const PlacedBatch> batches, MonotonicMs now);

  /// Logs whose disk failed while the rest of the directory went on. What the commit log holds of them is kept until they are set aside, or
  /// the directory is recovered: `commit` fails when that takes too many files.
  std::vector<TopicIdPartition> failed_logs() const;

  /// Ends the turn: everything appended since the last one under FlushPolicy::fsync is on stable storage, or none of it may be
  /// acknowledged: the logs of the turn are offline then.
  Status commit(MonotonicMs now);

  /// As PartitionLog's, and recovery knows of it.
  Status truncate(const TopicIdPartition& id, Offset offset);
  Status reset(const TopicIdPartition& id, Offset offset);
  Status advance_log_start(const TopicIdPartition& id, Offset offset);
  Result<bool> apply_retention(const TopicIdPartition& id, std::optional<TimestampMs> now);

  /// The open log that needs compaction most, below its high watermark, of those that are not in `except`; nullopt when none does.
  /// Its closed segments are on stable storage then. Errors: storage_error (of that log, which is offline now).
  Result<std::optional<CleaningPlan>> next_cleaning(std::optional<TimestampMs> now,
                                                    const std::vector<TopicIdPartition>& except = {});
  /// As PartitionLog::replace, and `next_cleaning` knows of it.
  Status replace(const TopicIdPartition& id, const CleanedSegment& cleaned);

  /// Kept in memory, written with the next checkpoint. Retention does not go beyond it.
  void set_high_watermark(const TopicIdPartition& id, Offset offset);
  /// As last written; 0 when nothing is known.
  Offset high_watermark(const TopicIdPartition& id) const;

  enum class Removal : std::uint8_t {
    for_ever,  ///< a committed metadata record says so: `log` refuses it
    for_now,   ///< it is assigned to other nodes: `log` begins an empty one when it is assigned to this one again
  };
  /// Deletes a partition. Views that are still read keep their files until they go.
  Status remove(const TopicIdPartition& id, Removal removal = Removal::for_ever);
  /// Moves a partition's files to the quarantine: its topic is not in the metadata, and no record says that it was deleted.
  Status quarantine(const TopicIdPartition& id);
  /// Moves a log that cannot be used out of the way, whatever its health: others hold the partition, and `log` begins an empty one to copy
  /// theirs to. The last two of a partition are kept in the quarantine. Views answer stale_log_view from now on.
  /// Returns where it lies now; empty: there were no files.
  Result<std::string> set_aside(const TopicIdPartition& id);

  /// Syncs the logs whose flush interval has passed.
  Status on_deadline(MonotonicMs now);
  std::optional<MonotonicMs> next_deadline() const;

  /// Syncs everything, writes the recovery points, empties the commit log: the next open scans nothing.
  Status checkpoint();
  /// `checkpoint`, and every log leaves its index and state behind. No more use afterwards.
  Status close();

  std::size_t open_files() const { return files_->size(); }
  /// Why nothing can be committed any more; nullopt while all is well.
  const std::optional<std::string>& failure() const { return failure_; }

 private:
  struct Entry {
    std::unique_ptr<PartitionLog> log;
    std::optional<MonotonicMs> dirty_since;    ///< FlushPolicy::interval: oldest unsynced append
    std::optional<std::uint64_t> commit_file;  ///< FlushPolicy::fsync: oldest commit-log file that holds unsynced batches
    bool in_turn = false;
    bool pinned = false;  ///< its unsynced files are open
    bool queued = false;  ///< in `dirty_`
  };

  DataDirectory(FileSystem& file_system, Options options, std::unique_ptr<SyncBarrier> barrier, Manifest manifest);

  Status check_owner();
  Status read_checkpoints(std::vector<std::string>& findings);
  Status reconcile(std::vector<std::string>& findings);
  Status recover_commit_log(Opened& opened);
  Result<std::size_t> restore(const TopicIdPartition& id, const CommittedTail& tail);
  Result<Entry*> open_log(const TopicIdPartition& id, const LogConfig& config, const CommittedTail* tail);
  LogExpectation expectation(const TopicIdPartition& id, const CommittedTail* tail) const;
  LogLocation location(const TopicIdPartition& id) const;
  Result<Entry*> opened(const TopicIdPartition& id);
  Result<PartitionLog*> bring_back(const TopicIdPartition& id, const LogConfig& config);
  Status begin_anew(const TopicIdPartition& id, Entry& entry, Offset offset);
  Status truncate_inside(const TopicIdPartition& id, Entry& entry, const record::RecordBatchHeader& gap, Offset offset);
  void forget(const TopicIdPartition& id);
  void note_dirty(const TopicIdPartition& id, Entry& entry);
  void note_committed();
  Status usable();
  Status commit_now(const TopicIdPartition& id);
  Status sync_turn();
  void release_descriptors();
  Status settle_some(MonotonicMs now);
  void settled(const TopicIdPartition& id, Entry& entry);
  Status checkpoint_logs();
  Status write_checkpoints();
  Status release(std::uint64_t file);
  std::optional<std::uint64_t> held_file() const;
  bool failed_alone(const TopicIdPartition& id, Entry& entry);
  Status fail_turn(const Error& error);
  Status unless_full(Status status);
  std::string path(std::string_view name) const { return options_.path + "/" + std::string(name); }

  FileSystem& file_system_;
  const Options options_;
  std::unique_ptr<FileLock> lock_;
  const std::shared_ptr<OpenFiles> files_;
  Manifest manifest_;
  std::unique_ptr<CommitLog> commit_log_;
  Uuid cluster_id_;
  Uuid directory_id_;
  std::unordered_map<TopicIdPartition, Entry> entries_;
  std::unordered_map<TopicIdPartition, Offset> recovery_points_;  ///< of logs that are not open
  std::unordered_map<TopicIdPartition, Offset> log_starts_;
  std::unordered_map<TopicIdPartition, Offset> high_watermarks_;
  std::unordered_map<TopicIdPartition, Offset> cleaned_;  ///< everything below was compacted
  bool cleaned_changed_ = false;                          ///< since it was written down
  std::unordered_set<TopicIdPartition> failed_;           ///< logs that are offline, while the directory is not
  std::unordered_set<TopicIdPartition> vacated_;          ///< removed in this run, and may begin anew
  std::vector<TopicIdPartition> turn_;                    ///< logs with appends in this turn
  std::deque<TopicIdPartition> dirty_;                    ///< logs with unsynced bytes, oldest first, each once
  std::deque<TopicIdPartition> settling_;  ///< those of them that keep a full commit-log file from being used again
  std::size_t settle_total_ = 0;           ///< how many those were when the file was full
  std::deque<TopicIdPartition> pinned_;    ///< logs whose unsynced files were opened, oldest first; some are settled by now
  std::uint64_t settling_through_ = 0;     ///< the last commit-log file that they keep
  bool commit_log_full_ = false;           ///< said once, and again after it had room in between
  std::optional<std::string> failure_;
};

}  // namespace troupe::storage
