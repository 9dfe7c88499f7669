#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/record/batch_compaction.hpp"
#include "storage/key_offsets.hpp"
#include "storage/log_config.hpp"
#include "storage/log_view.hpp"

namespace troupe::storage {

/// `<base>.cleaned`: a segment that compaction writes. No one's until its log takes it; a start removes it.
inline constexpr std::string_view cleaned_extension = ".cleaned";
/// `<base>-<next offset>.swap`: a whole one that takes the place of all segments of these offsets; a start completes that.
inline constexpr std::string_view swap_extension = ".swap";

struct OffsetRange {
  Offset base;
  Offset next;
  friend bool operator==(const OffsetRange&, const OffsetRange&) = default;
};
std::string swap_file_name(const OffsetRange& range);
/// nullopt for any other name.
std::optional<OffsetRange> parse_swap_file_name(std::string_view name);

/// Closed segments of one log, from its first on, that compaction may take. From the log's writer, DataDirectory::next_cleaning.
struct CleaningPlan {
  TopicIdPartition partition = {};
  LogConfig config = {};
  std::string directory = {};
  std::shared_ptr<OpenFiles> files = {};
  LogView::Parts segments = {};  ///< not empty; on stable storage, committed
  Offset first_dirty{0};         ///< what is below was compacted before
  std::int32_t dirty_permille = 0;
};

/// A segment that is to take the place of others. Written and synced under `path`. `replaces` may be empty: nothing changes but what
/// is known to be compacted.
struct CleanedSegment {
  std::string path = {};
  std::vector<LogView::Part> replaces = {};  ///< in a row
  LogView::Part part = {};                   ///< what takes their place; the segment knows its index
  Offset plan_end{0};  ///< what was known of producers before this offset can no longer be told from the log
  std::optional<Offset> clean_below = {};  ///< with the last of a plan: everything below is compacted then
};

/// Compacts the segments of a plan, a piece at a time, in whatever thread: it reads files that no longer change and writes its own.
///
///   index      the dirty part, once: the last offset of each key, as many keys as the map has room for
///   rewrite    [0..99][100..199] [200..299]     in groups that fit into one segment, from the first one on
///                 `--> 0.cleaned --> swap          a record goes when a later one of its key is in the map
///   done       all below where the map ends is compacted; the rest is dirty still, and comes with the next plan
///
/// The groups are taken over one after another, the oldest first: a tombstone stands alone only when all that it speaks of is gone.
///
///   LogCleaning cleaning(plan, options);
///   for (;;) {
///     TROUPE_TRY_ASSIGN(auto step, cleaning.step(1 << 20));
///     if (step.swap) ...let the log take it, and only then go on...
///     if (step.done) break;
///   }
///
/// Errors: corrupt_message (the log is damaged where it was whole before), stale_log_view (the log was truncated, reset or removed
/// meanwhile), storage_full, storage_error. The log is as it was then, but for the groups that it has taken over.
class LogCleaning {
 public:
  struct Options {
    std::size_t map_bytes_max = std::size_t{64} << 20;
    std::optional<TimestampMs> now = {};  ///< as CompactionRules::now
    /// What stays although a later record of its key is there; may be empty.
    std::function<bool(const record::RecordView&)> keep = {};
  };
  struct Step {
    std::size_t bytes = 0;                    ///< read and written
    std::optional<CleanedSegment> swap = {};  ///< for the log to take over before the next step
    bool done = false;
  };
  struct Totals {
    std::uint64_t bytes_read = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t records_before = 0;
    std::uint64_t records_after = 0;
  };

  LogCleaning(CleaningPlan plan, Options options);
  ~LogCleaning();
  LogCleaning(const LogCleaning&) = delete;
  LogCleaning& operator=(const LogCleaning&) = delete;

  const CleaningPlan& plan() const { return plan_; }
  const Totals& totals() const { return totals_; }

  /// Reads about `bytes_max` bytes, one batch at least. After an error or `done` there are no more steps.
  Result<Step> step(std::size_t bytes_max);

 private:
  enum class Phase : std::uint8_t { begin, index, rewrite, done };
  class Output;

  Status begin();
  Result<Step> index(std::size_t bytes_max);
  Result<Step> rewrite(std::size_t bytes_max);
  Status note_keys(const record::RecordBatchView& batch);
  Status rewrite_batch(const record::RecordBatchView& batch);
  bool needed(const record::RecordView& record) const;
  void begin_group();
  Result<std::optional<CleanedSegment>> end_group();
  bool last_group() const { return group_end_ == plan_.segments.size() || group_limit() >= end_; }
  Offset group_limit() const { return plan_.segments[group_end_ - 1].next_offset; }

  const CleaningPlan plan_;
  const Options options_;
  const LogView view_;
  record::CompactionRules rules_;
  KeyOffsets keys_;
  std::vector<Offset> known_to_producers_;  ///< base offsets, ascending, of the batches by which retries are recognised
  Phase phase_ = Phase::begin;
  Offset position_{0};  ///< read next
  ReadPosition hint_;
  Offset end_{0};  ///< the map knows everything below
  std::size_t group_begin_ = 0;
  std::size_t group_end_ = 0;
  std::unique_ptr<Output> output_;
  bool rewritten_ = false;  ///< a batch of the group
  Totals totals_;
};

}  // namespace troupe::storage
