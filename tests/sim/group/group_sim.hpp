#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace troupe::sim {

struct GroupSimReport {
  struct Violation {
    std::string invariant = {};
    std::string what = {};
  };
  std::optional<Violation> violation = {};
  std::map<std::string, std::uint64_t> marks = {};  ///< how often something worth meeting happened
  std::uint64_t steps = 0;
  std::uint64_t consumed = 0;
};

/// One group of the real machines (GroupConsumer, GroupCoordinator): members that come, go, die, freeze and hold on; requests and
/// answers that get lost or late; coordinators that are replaced, with or without the end of their log, and go on for a while without
/// knowing it; resets and new partitions. Then everything heals. The same seed, the same simulation.
///
///   OneOwnerPerPartitionPerEpoch   a coordinator gives no partition to two, and of two who read one, one is not a member any more
///   CommittedOffsetsNeverRetreat   unless by a reset
///   NoRecordSkipped                what lies below a committed offset was worked on, or passed over by a reset
///   EveryPartitionIsEventuallyOwned, AssignmentIsBalanced, OffsetsMoveOn   once it healed
GroupSimReport run_group_sim(std::uint64_t seed);

}  // namespace troupe::sim
