#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "storage/segment.hpp"

namespace troupe::storage {

/// Where the next sequential read goes on, so that it need not search. Valid for views of the same log; a stale one only costs
/// the search.
struct ReadPosition {
  Offset offset = no_offset;
  std::uint64_t segment = 0;  ///< Segment::serial
  std::uint32_t position = 0;
};

/// Whole batches as they lie in the log, checksums verified. The first one may begin before the offset that was asked for.
struct LogSlice {
  Bytes batches;
  Offset next_offset;     ///< where to read on; the offset asked for when there was nothing to read
  ReadPosition position;  ///< of `next_offset`
};

struct TimestampAndOffset {
  TimestampMs timestamp;
  Offset offset;
};

/// A partition's log at one moment: immutable, cheap to copy, readable from any thread while the writer goes on.
/// What is appended later is not in it; what retention removes stays readable through it; after a truncation below its end, reads
/// that meet the cut answer `stale_log_view`.
class LogView {
 public:
  /// One segment and how much of it belongs to this view.
  struct Part {
    std::shared_ptr<const Segment> segment;
    Offset next_offset;
    std::uint32_t end_position;
    std::uint32_t generation;
    TimestampMs max_timestamp;
  };
  using Parts = std::vector<Part>;

  LogView() = default;
  /// `closed`: all segments but the last, ascending. `active`: the last; its segment is null while the log was never written.
  LogView(std::shared_ptr<const Parts> closed, Part active, Offset log_start_offset, Offset log_end_offset,
          std::optional<Offset> damaged_from);

  Offset log_start_offset() const { return log_start_offset_; }
  Offset log_end_offset() const { return log_end_offset_; }

  /// Batches from the one that holds `from` on, up to `bytes_max` bytes, but at least one batch if there is one, and none
  /// that reaches `up_to` or beyond (a high watermark; the log end offset by default).
  /// Errors: offset_out_of_range (below the log start or above the log end), corrupt_message (damaged at rest: names file
  /// and position; batches before the damage are served), stale_log_view, storage_error.
  Result<LogSlice> read(Offset from, std::size_t bytes_max, Offset up_to = Offset::max(),
                        const ReadPosition& hint = {}) const;

  /// The first record whose timestamp is at or after `timestamp`; nullopt when there is none.
  /// Errors: corrupt_message, stale_log_view, storage_error.
  Result<std::optional<TimestampAndOffset>> find(TimestampMs timestamp) const;

 private:
  std::size_t part_count() const { return (closed_ ? closed_->size() : 0) + (active_.segment ? 1 : 0); }
  const Part& part(std::size_t index) const { return closed_ && index < closed_->size() ? (*closed_)[index] : active_; }
  std::size_t part_of(Offset offset) const;

  std::shared_ptr<const Parts> closed_;
  Part active_{};
  Offset log_start_offset_{0};
  Offset log_end_offset_{0};
  std::optional<Offset> damaged_from_;
};

}  // namespace troupe::storage
