#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"

/// Which replicas should go where, so that brokers hold and lead about as much as each other. For operators, who read such a plan before
/// they ask the controller for it.
namespace troupe::metadata {

/// One partition's replicas, the preferred leader first.
struct ReplicaPlan {
  std::string topic = {};
  PartitionId partition{0};
  std::vector<BrokerId> replicas = {};

  friend bool operator==(const ReplicaPlan&, const ReplicaPlan&) = default;
};

struct PlanBroker {
  BrokerId id{0};
  std::string rack = {};  ///< empty: one by itself
};

/// The partitions of `now` whose replicas should change, in their order, so that all of them are on `brokers` alone.
///
/// Few copies move: those of other brokers, and then one at a time from a broker that has at least two more than another, until there is
/// none. A partition keeps the number of its replicas; no move puts more of them into one rack than were in the one that it leaves. It
/// keeps its preferred leader unless that one's copy moves or the brokers would lead unequally: who leads is no copy that moves.
/// Errors: invalid_replica_assignment (no broker or one twice, or a partition has more replicas than there are brokers).
Result<std::vector<ReplicaPlan>> plan_reassignment(std::span<const ReplicaPlan> now, std::span<const PlanBroker> brokers);

}  // namespace troupe::metadata
