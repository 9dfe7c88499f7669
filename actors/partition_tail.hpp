#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/leader_locator.hpp"
#include "actors/partition_messages.hpp"

namespace troupe::actors {

/// Tells the listeners of one partition on this node what was committed: one for each partition with local subscribers. Spawned by
/// partition_manager with the first listener, ended with the last.
///
///   leader --TailCommitted--> tail --TailEvent--> listener 1 .. n     the same bytes for all
///
/// A listener that still holds more than its budget gets events without batches: it reads them when it can. When the leader goes, all
/// listeners are told `ended`, and attach again.
struct PartitionTailOptions {
  TopicIdPartition partition = {};
  LeaderLocator* leaders = nullptr;                       ///< outlives the actor
  std::size_t listener_bytes_max = std::size_t{4} << 20;  ///< that one listener may hold
};

caf::actor spawn_partition_tail(caf::actor_system& system, PartitionTailOptions options, ActorRowPtr row);

}  // namespace troupe::actors
