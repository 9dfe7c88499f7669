#include "storage/cleanable.hpp"

namespace troupe::storage {

std::optional<Cleanable> cleanable(std::span<const SegmentFacts> closed, const LogConfig& config, Offset first_dirty,
                                   Offset removable_before, std::optional<TimestampMs> now) {
  Cleanable found;
  std::uint64_t clean = 0;
  std::uint64_t dirty = 0;
  for (const auto& segment : closed) {
    if (segment.next_offset > removable_before) break;
    ++found.segments;
    if (segment.next_offset <= first_dirty) {
      clean += segment.size_bytes;
      continue;
    }
    const auto age = now ? std::optional{*now - segment.max_timestamp} : std::nullopt;
    if (config.min_compaction_lag_ms > 0 && (!age || *age < config.min_compaction_lag_ms)) {
      --found.segments;
      break;
    }
    dirty += segment.size_bytes;
    if (age && segment.max_timestamp >= TimestampMs{0} && *age >= config.max_compaction_lag_ms) found.overdue = true;
  }
  if (dirty == 0) return std::nullopt;
  found.dirty_permille = static_cast<std::int32_t>(1000 * dirty / (clean + dirty));
  if (found.dirty_permille < config.min_dirty_permille && !found.overdue) return std::nullopt;
  return found;
}

}  // namespace troupe::storage
