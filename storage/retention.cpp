#include "storage/retention.hpp"

#include <cstdlib>

namespace troupe::storage {

Offset retained_from(std::span<const SegmentFacts> segments, const LogConfig& config, Offset removable_before,
                     std::optional<TimestampMs> now) {
  if (segments.empty()) return Offset{0};
  std::int64_t bytes = 0;
  for (const auto& segment : segments) bytes += static_cast<std::int64_t>(segment.size_bytes);
  const auto log_end = segments.back().next_offset;

  auto start = segments.front().base_offset;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto& segment = segments[i];
    const bool active = i + 1 == segments.size();
    if (segment.next_offset > removable_before) break;
    const auto size = static_cast<std::int64_t>(segment.size_bytes);
    const bool too_old = now && config.retention_ms >= 0 && segment.max_timestamp >= TimestampMs{0} &&
                         *now - segment.max_timestamp > config.retention_ms;
    const bool too_large = !active && config.retention_bytes >= 0 && bytes - size >= config.retention_bytes;
    const bool too_many =
        !active && config.retention_records >= 0 && log_end - segment.next_offset >= config.retention_records;
    if (!too_old && !too_large && !too_many) break;
    bytes -= size;
    start = segment.next_offset;
  }
  return start;
}

std::optional<TimestampMs> SteadyWallClock::observe(MonotonicMs monotonic, TimestampMs wall) {
  const auto difference = wall.value() - monotonic.value();
  if (!difference_ || std::abs(difference - *difference_) > jump_ms) {
    difference_ = difference;
    steady_since_ = monotonic;
  }
  if (monotonic - steady_since_ < steady_ms) return std::nullopt;
  return wall;
}

}  // namespace troupe::storage
