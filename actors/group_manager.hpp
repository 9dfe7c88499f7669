#pragma once

#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/group_coordinator.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/partition_directory.hpp"

namespace troupe::actors {

struct GroupManagerOptions {
  BrokerId node_id{0};
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  const PartitionDirectory* leaders = nullptr;           ///< outlives the actor, as do the other pointers
  GroupDirectory* directory = nullptr;
  const Clock* clock = nullptr;
  ActorTable* table = nullptr;
  std::shared_ptr<const HandleSlot<caf::actor>> desk = {};
  metrics::Registry* metrics = nullptr;  ///< null: nothing is counted
  group::GroupCoordinator::Options rules = {};
  std::uint64_t seed = 0;  ///< of the jitter of restarts
};

/// Runs a group_coordinator for each partition of `__consumer_offsets` that this node leads, beside the partition_leader of that epoch.
///
///   MetadataUpdate --> led here: look for the leader's actor, every 20 ms until it is there --> group_coordinator
///                  --> to all coordinators; a broker that is fenced, or gone: GroupNodeLost
///   a coordinator ended --> the next one, with the next leader, or after a pause that grows to 5 s
///
/// An exit message ends the coordinators first.
caf::actor spawn_group_manager(caf::actor_system& system, GroupManagerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
