#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/ids.hpp"
#include "storage/log_config.hpp"

namespace troupe::storage {

/// What retention looks at of one segment.
struct SegmentFacts {
  Offset base_offset;
  Offset next_offset;
  std::uint64_t size_bytes;
  TimestampMs max_timestamp;
};

/// Where the log may start from now on: the end of the last segment, oldest first, that is over one of the limits. Whole
/// segments only, none that reaches above `removable_before` (the high watermark: what is not committed is not old), never
/// beyond the log's end.
///
///   segments  [0..99] [100..199] [200..299]   retention_records = 150, removable before 300   ->  100
///
/// `segments` ascend; the last one is the active one and goes only by age. `now`: nullopt leaves age out (the clock cannot be trusted).
Offset retained_from(std::span<const SegmentFacts> segments, const LogConfig& config, Offset removable_before,
                     std::optional<TimestampMs> now);

/// Believes the wall clock only after it went along with the monotonic one for a minute: a clock that jumps ahead must not
/// delete a week of records.
class SteadyWallClock {
 public:
  static constexpr Millis steady_ms = 60'000;
  static constexpr Millis jump_ms = 5'000;

  /// The time, when it can be believed.
  std::optional<TimestampMs> observe(MonotonicMs monotonic, TimestampMs wall);

 private:
  std::optional<std::int64_t> difference_;
  MonotonicMs steady_since_{0};
};

}  // namespace troupe::storage
