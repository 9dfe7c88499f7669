#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "core/ids.hpp"

/// Sets of partitions as members of groups own them: sorted vectors, for they are read far more often than changed.
namespace troupe::group {

/// Sorted, none twice.
using PartitionList = std::vector<TopicIdPartition>;

inline bool contains(const PartitionList& all, const TopicIdPartition& one) { return std::ranges::binary_search(all, one); }
/// Whether all of `some` are in `all`.
inline bool includes(const PartitionList& all, const PartitionList& some) { return std::ranges::includes(all, some); }

inline PartitionList without(const PartitionList& from, const PartitionList& what) {
  PartitionList rest;
  std::ranges::set_difference(from, what, std::back_inserter(rest));
  return rest;
}
inline PartitionList in_both(const PartitionList& a, const PartitionList& b) {
  PartitionList both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return both;
}
inline PartitionList in_either(const PartitionList& a, const PartitionList& b) {
  PartitionList all;
  std::ranges::set_union(a, b, std::back_inserter(all));
  return all;
}

}  // namespace troupe::group
