#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::storage {

/// A sparse index over one segment: one entry about every `interval` bytes of batches, so that a read by offset or by time starts
/// near its batch. Derived from the segment and rebuilt when it is missing or damaged (S4).
///
///   segment   [0..9] [10..29] [30..34] [35..99] ...        positions 0, 900, 2,100, 4,500
///   entries   (offset 0, position 0, before: none)  (offset 35, position 4,500, before: max timestamp of [0..34])
class SegmentIndex {
 public:
  struct Entry {
    Offset offset;  ///< base offset of the batch at `position`
    std::uint32_t position;
    TimestampMs max_timestamp_before;  ///< largest timestamp of all batches before this one
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  explicit SegmentIndex(Offset base_offset, std::uint32_t interval_bytes = 4096)
      : base_offset_(base_offset), interval_bytes_(interval_bytes) {}

  /// Notes the batch at `position`. Batches come in the order of the segment, without gaps between them.
  void note(const record::RecordBatchHeader& batch, std::uint32_t position);

  /// The last entry at or before `offset`; the segment's start when there is none.
  Entry floor(Offset offset) const;
  /// The last entry before which all timestamps are smaller than `timestamp`.
  Entry floor(TimestampMs timestamp) const;

  Offset next_offset() const { return next_offset_; }  ///< of the segment, as far as it was noted
  std::uint32_t end_position() const { return end_position_; }
  TimestampMs max_timestamp() const { return max_timestamp_; }
  std::size_t size() const { return entries_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  std::uint32_t interval_bytes() const { return interval_bytes_; }

  /// The `.index` file's bytes. docs/formats/segment.md
  ByteBuffer encode() const;
  /// Errors: corrupt_message (damage, or the index of another segment).
  static Result<SegmentIndex> decode(ByteView bytes, Offset base_offset);

 private:
  Offset base_offset_;
  std::uint32_t interval_bytes_;
  Offset next_offset_ = base_offset_;
  std::uint32_t end_position_ = 0;
  TimestampMs max_timestamp_ = no_timestamp;
  std::vector<Entry> entries_;
};

}  // namespace troupe::storage
