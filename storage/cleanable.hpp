#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "storage/retention.hpp"

namespace troupe::storage {

/// How much of a log could be compacted now.
struct Cleanable {
  std::size_t segments = 0;         ///< so many closed segments, from the first one on
  std::int32_t dirty_permille = 0;  ///< how much of their bytes was not compacted before, 0 to 1000
  bool overdue = false;             ///< some of it has waited for max_compaction_lag_ms
};

/// Which closed segments compaction may take, from the first one on, and whether it is worth it:
///
///   segments     [0..99] [100..199] [200..299] [300..399]  active
///   compacted before     ^ 100, removable before 350        ->  3 segments, dirty: the bytes of two of them
///
/// Only those wholly below `removable_before`, and before the first one with a record that is younger than min_compaction_lag_ms.
/// nullopt: nothing that was not compacted before, or less than config.min_dirty_permille and not overdue.
/// `closed` ascend, without the active one. `now`: nullopt when the clock cannot be trusted; then nothing is old enough or overdue.
std::optional<Cleanable> cleanable(std::span<const SegmentFacts> closed, const LogConfig& config, Offset first_dirty,
                                   Offset removable_before, std::optional<TimestampMs> now);

}  // namespace troupe::storage
