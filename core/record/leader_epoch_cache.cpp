#include "core/record/leader_epoch_cache.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace troupe::record {

std::optional<LeaderEpochCache> LeaderEpochCache::from_entries(std::vector<Entry> entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].epoch < LeaderEpoch{0} || entries[i].start_offset < Offset{0}) return std::nullopt;
    if (i == 0) continue;
    if (entries[i].epoch <= entries[i - 1].epoch || entries[i].start_offset <= entries[i - 1].start_offset)
      return std::nullopt;
  }
  LeaderEpochCache cache;
  cache.entries_ = std::move(entries);
  return cache;
}

void LeaderEpochCache::assign(LeaderEpoch epoch, Offset start_offset) {
  TROUPE_ASSERT(start_offset >= Offset{0});
  if (epoch < LeaderEpoch{0}) return;
  if (!entries_.empty() && epoch <= entries_.back().epoch) return;
  // An epoch that starts at or above this batch holds no record: only truncate_to_start() at the log end leaves one behind.
  truncate_from(start_offset);
  entries_.push_back({epoch, start_offset});
}

std::optional<LeaderEpoch> LeaderEpochCache::latest_epoch() const {
  if (entries_.empty()) return std::nullopt;
  return entries_.back().epoch;
}

std::optional<LeaderEpochCache::Entry> LeaderEpochCache::end_offset_for(LeaderEpoch epoch, Offset log_end_offset) const {
  if (entries_.empty() || epoch > entries_.back().epoch) return std::nullopt;
  TROUPE_ASSERT(log_end_offset >= entries_.back().start_offset);
  if (epoch == entries_.back().epoch) return Entry{epoch, log_end_offset};
  const auto next = std::ranges::upper_bound(entries_, epoch, {}, &Entry::epoch);
  if (next == entries_.begin()) return std::nullopt;
  return Entry{std::prev(next)->epoch, next->start_offset};
}

std::optional<LeaderEpoch> LeaderEpochCache::epoch_at(Offset offset) const {
  const auto next = std::ranges::upper_bound(entries_, offset, {}, &Entry::start_offset);
  if (next == entries_.begin()) return std::nullopt;
  return std::prev(next)->epoch;
}

void LeaderEpochCache::truncate_from(Offset offset) {
  entries_.erase(std::ranges::lower_bound(entries_, offset, {}, &Entry::start_offset), entries_.end());
}

void LeaderEpochCache::truncate_to_start(Offset offset) {
  const auto next = std::ranges::upper_bound(entries_, offset, {}, &Entry::start_offset);
  if (next == entries_.begin()) return;
  std::prev(next)->start_offset = offset;
  entries_.erase(entries_.begin(), std::prev(next));
}

}  // namespace troupe::record
