#pragma once

#include <cstdint>
#include <vector>

#include "core/group/assignor.hpp"

/// The parts of the sticky assignors.
namespace troupe::group {

/// What members keep of what they had, and what nobody has.
struct Kept {
  std::vector<PartitionList> lists = {};
  PartitionList free = {};
};

/// A partition stays with the first member that had it and still subscribes to its topic.
Kept keep_what_can_stay(const AssignorRequest& request);

/// Whether all members subscribe to the same topics.
bool same_subscriptions(const AssignorRequest& request);

/// Gives `free` away and makes loads equal by moving single partitions, from the heaviest to the lightest that may have them, while
/// it helps. `slack`: a member may have that many hundredths more than its share before anything moves away from it.
std::vector<PartitionList> balance(const AssignorRequest& request, Kept kept, std::uint64_t slack);

}  // namespace troupe::group
