#pragma once

#include <deque>
#include <optional>

#include "base/bytes.hpp"
#include "core/ids.hpp"

namespace troupe::actors {

/// The last committed batches of a partition, for readers at the end of its log. Bounded in bytes: the oldest go.
class RecentBatches {
 public:
  struct Range {
    Bytes batches;
    Offset next_offset;
  };

  explicit RecentBatches(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Whole batches of [from, next_offset), which is where the last ones ended, or the cache starts anew.
  void push(Offset from, Offset next_offset, Bytes batches);
  void clear();

  /// What begins exactly at `from`, or with the batch that holds it, up to `bytes_max` bytes but one run at least; nullopt: not here.
  std::optional<Range> read(Offset from, std::size_t bytes_max) const;

 private:
  struct Run {
    Offset from;
    Offset next_offset;
    Bytes batches;
  };
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::deque<Run> runs_;
};

}  // namespace troupe::actors
