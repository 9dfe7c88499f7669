#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/peer_links.hpp"
#include "actors/partition_directory.hpp"

namespace troupe::actors {

/// Takes what other nodes' stand-ins (remote_leader) ask of this node's partition leaders, hands it to them, and sends their answers back.
/// Serves Channel::gateway.
struct LeaderServerOptions {
  const PartitionDirectory* directory = nullptr;  ///< outlives the actor, as does `links`
  PeerLinks* links = nullptr;
};

caf::actor spawn_leader_server(caf::actor_system& system, LeaderServerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
