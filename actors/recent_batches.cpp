#include "actors/recent_batches.hpp"

#include <algorithm>

namespace troupe::actors {

void RecentBatches::push(Offset from, Offset next_offset, Bytes batches) {
  if (!runs_.empty() && runs_.back().next_offset != from) clear();
  bytes_ += batches.size();
  runs_.push_back({from, next_offset, std::move(batches)});
  while (bytes_ > bytes_max_) {
    bytes_ -= runs_.front().batches.size();
    runs_.pop_front();
  }
}

void RecentBatches::clear() {
  runs_.clear();
  bytes_ = 0;
}

std::optional<RecentBatches::Range> RecentBatches::read(Offset from, std::size_t bytes_max) const {
  if (runs_.empty() || from < runs_.front().from || from >= runs_.back().next_offset) return std::nullopt;
  const auto above = std::ranges::upper_bound(runs_, from, {}, &Run::from);
  const auto first = std::prev(above);
  std::size_t bytes = first->batches.size();
  auto end = above;
  while (end != runs_.end() && bytes + end->batches.size() <= bytes_max) bytes += (end++)->batches.size();
  const auto next_offset = std::prev(end)->next_offset;
  if (end == above) return Range{first->batches, next_offset};
  ByteBuffer joined;
  grow_capacity(joined, bytes);
  for (auto run = first; run != end; ++run) append_bytes(joined, run->batches);
  return Range{Bytes::adopt(std::move(joined)), next_offset};
}

}  // namespace troupe::actors
