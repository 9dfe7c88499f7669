#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "core/group/partition_list.hpp"
#include "core/ids.hpp"

/// A member of a consumer group, as the group's records have it.
namespace troupe::group {

/// Counts the changes of a group's members, subscriptions and topics. A target assignment is computed for one of these numbers, and a
/// member's epoch is the one whose target it has been brought to. Source: KIP-848.
using GroupEpoch = StrongInt<std::int32_t, struct GroupEpochTag>;

/// In place of a member's epoch: it joins, it leaves, it leaves for a while (a static member that will be back).
inline constexpr GroupEpoch joining{0};
inline constexpr GroupEpoch leaving{-1};
inline constexpr GroupEpoch leaving_for_a_while{-2};

/// What a member says of itself.
struct MemberProfile {
  std::string instance_id = {};  ///< group.instance.id of a static member; empty: a dynamic one. Source: KIP-345.
  std::string rack = {};         ///< empty: not known
  std::string client_id = {};
  std::string client_host = {};
  std::vector<std::string> topics = {};   ///< by name, sorted, none twice
  std::string pattern = {};               ///< and all topics whose names it matches; empty: none
  std::string assignor = {};              ///< of its choice; empty: any
  Millis session_timeout_ms = 45'000;     ///< silent for that long: it is out
  Millis rebalance_timeout_ms = 300'000;  ///< keeps what it was told to give up for that long: it is out
  /// The node that speaks for it, and that node's registration, as the coordinator saw it join. -1: not known.
  BrokerId node{-1};
  Offset node_epoch = no_offset;

  friend bool operator==(const MemberProfile&, const MemberProfile&) = default;
};

/// Where a member stands on its way to its target. Part of the format: never renumber.
enum class MemberState : std::uint8_t {
  stable = 0,    ///< owns its target
  revoking = 1,  ///< has been told to give partitions up, and has not said yet that it did
  waiting = 2,   ///< has given up what it had to; some of its target belongs to others still
};

/// What a member owns. No partition is in `assigned` or `revoking` of two members.
struct MemberAssignment {
  GroupEpoch epoch{0};
  GroupEpoch previous_epoch{0};  ///< the one before: its answer may have been lost
  MemberState state = MemberState::stable;
  PartitionList assigned = {};
  PartitionList revoking = {};  ///< still its own, until it says that it has let go

  friend bool operator==(const MemberAssignment&, const MemberAssignment&) = default;
};

}  // namespace troupe::group
