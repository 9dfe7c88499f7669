#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/commit_log.hpp"
#include "storage/log_cleaning.hpp"
#include "storage/log_recovery.hpp"
#include "storage/log_view.hpp"
#include "storage/retention.hpp"

namespace troupe::storage {

/// One partition's log on disk: a row of segments, of which the last one grows.
///
///   log start offset                               log end offset
///        v                                              v
///   [0..99][100..199][200..299] [300..399][400..  ]  ->  next batch
///   `--- closed segments ---'   `active'
///
/// One thread writes (the data directory's disk_worker); any number of threads read through `view()`. The log has no files until
/// its first append.
///
/// Errors of all changes: log_offline (see `health()`), storage_full (nothing was changed), storage_error (the log is offline from
/// now on; whether the bytes are there shows after recovery).
class PartitionLog {
 public:
  /// Recovers the log that lies at `location`, or an empty one. Errors: as `recover_log`.
  static Result<std::unique_ptr<PartitionLog>> open(std::shared_ptr<OpenFiles> files, LogLocation location, LogConfig config,
                                                    const LogExpectation& expectation);

  /// Writes `batches` behind the log's end: into the page cache, visible to the next `view()`, on stable storage after `sync()`
  /// or when the data directory has committed its turn. All or none.
  /// Each base offset must be the log end offset that the batch before leaves, each leader epoch not below the last one.
  /// They stay together in one segment, which may grow over its limit by them.
  /// Errors: invalid_argument (offset or epoch out of order), corrupt_message (no batch).
  Status append(std::span<const PlacedBatch> batches);

  /// Segments and directory entries on stable storage: everything appended so far survives a power cut without the commit log.
  Status sync();
  /// Lets the kernel start on it.
  void start_writeback();
  bool dirty() const { return !dirty_.empty() || directory_dirty_ || barrier_needed_; }
  /// Lets go of the descriptors of unsynced files. The next `sync` is one of the whole file system then, which alone still learns
  /// of a write-back error in a file that nobody holds open.
  void release_files();
  /// The whole file system was synced since the last append: everything is on stable storage.
  void settled();
  /// Everything below is on stable storage in segments.
  Offset recovery_point() const { return recovery_point_; }

  /// Removes all records at and above `offset`.
  ///
  ///   batches [0..9] [10..29] [30..99], truncate_to(30)  ->  [0..9] [10..29]
  ///
  /// Durable on return. `offset` must be a batch boundary, or at or above the log end (then nothing happens).
  /// Errors: offset_out_of_range (below the log start), invalid_argument (inside a batch).
  /// Source: KIP-101, KIP-279 (truncate by leader epoch, never by high watermark).
  Status truncate_to(Offset offset);

  /// Empties the log and starts it anew at `offset`: a follower that is too far behind, or a log that is damaged. Durable on return.
  Status reset_to(Offset offset);

  /// Records below `offset` no longer exist; segments that lie below it wholly are removed. Not above the log end.
  Status advance_log_start(Offset offset);

  /// Applies time, size and count limits. Returns whether the log start moved.
  Result<bool> apply_retention(Offset removable_before, std::optional<TimestampMs> now);

  /// Closes the active segment; the next append starts another one.
  Status roll();

  /// Syncs, and leaves index and state behind so that the next open need not scan. The log serves no more afterwards.
  Status close();

  /// Removes the log's files; those that views still read go with the views. The log serves no more afterwards.
  Status remove_files();

  /// Its files are about to be moved: views answer stale_log_view from now on, and the log serves no more.
  void let_go();

  /// What compaction may take now: closed segments below `removable_before`, those that are on stable storage. nullopt: nothing, or too
  /// little to be worth it. The plan's partition is left to the caller. `first_dirty`: everything below was compacted before.
  std::optional<CleaningPlan> plan_cleaning(Offset first_dirty, Offset removable_before,
                                            std::optional<TimestampMs> now) const;
  /// Syncs the closed segments, not the active one: compaction takes what is on stable storage. Errors: as `sync`.
  Status settle_closed();

  /// Puts a compacted segment in the place of those that it was made of.
  ///
  ///   [0..99][100..199][200..  ]  +  0.cleaned of [0..199]  ->  [0..199][200..  ]
  ///
  /// Views that were taken before read the old ones on. Whenever the power goes, recovery finds the old segments or the new one.
  /// Errors: stale_log_view (the log has changed there since the plan was made; nothing was changed, and the file is gone), storage_full,
  /// storage_error.
  Status replace(const CleanedSegment& cleaned);

  /// The batch that holds `offset` and begins before it, when compaction left it without records: a log may be cut inside of one.
  /// Errors: as LogView::read.
  Result<std::optional<record::RecordBatchHeader>> gap_across(Offset offset) const;

  LogView view() const;
  Offset log_start_offset() const { return log_start_offset_; }
  Offset log_end_offset() const { return log_end_offset_; }
  const LogState& state() const { return state_; }
  const LogHealth& health() const { return health_; }
  const LogConfig& config() const { return config_; }
  void set_config(const LogConfig& config) { config_ = config; }
  std::uint64_t size_bytes() const;
  std::size_t segment_count() const { return closed_->size() + (active_ ? 1 : 0); }
  /// Takes the log offline from outside: the commit log that its promises rest on has failed.
  void fail(std::string reason);

 private:
  PartitionLog(std::shared_ptr<OpenFiles> files, LogLocation location, LogConfig config)
      : files_(std::move(files)),
        location_(std::move(location)),
        config_(config),
        closed_(std::make_shared<LogView::Parts>()) {}

  FileSystem& file_system() const { return files_->file_system(); }
  void adopt(RecoveredLog recovered, const LogExpectation& expectation);
  Status writable() const;
  Status check(std::span<const PlacedBatch> batches, std::vector<record::RecordBatchHeader>& headers) const;
  bool must_roll(const record::RecordBatchHeader& next, std::size_t bytes) const;
  Status start_segment(Offset base_offset);
  Status write_at_end(std::span<const PlacedBatch> batches);
  Error offline(const Error& error);
  void mark_dirty(const std::shared_ptr<File>& file);
  Status cut_active(std::uint32_t position, Offset next_offset, TimestampMs max_timestamp);
  Status remove_states_above(Offset offset);
  Status remove_states_below(Offset offset);
  Status doom(std::shared_ptr<Segment>& segment);
  std::vector<RecoveredSegment> recovered_segments() const;

  const std::shared_ptr<OpenFiles> files_;
  const LogLocation location_;
  LogConfig config_;
  std::shared_ptr<const LogView::Parts> closed_;  ///< replaced, never changed: views share it

  std::shared_ptr<Segment> active_;
  std::shared_ptr<File> active_file_;
  std::uint32_t end_position_ = 0;
  TimestampMs max_timestamp_ = no_timestamp;
  TimestampMs first_timestamp_ = no_timestamp;

  Offset log_start_offset_{0};
  Offset log_end_offset_{0};
  Offset recovery_point_{0};
  LogState state_;
  LogHealth health_;
  std::vector<std::shared_ptr<File>> dirty_;
  bool directory_dirty_ = false;
  bool parents_dirty_ = false;  ///< the log's directory is new: <topic>/ and the one above it
  bool barrier_needed_ = false;
};

}  // namespace troupe::storage
