#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/peer_links.hpp"
#include "actors/partition_directory.hpp"
#include "actors/replica_messages.hpp"

namespace troupe::actors {

/// Serves the nodes that follow partitions led here: one fetch session for each of them, all in this actor, since a channel of the
/// links has one receiver.
///
///   links --PeerMessage--> FetchSessionServer --FollowerFetch--> leader A     its position
///                          FetchSessionServer <--FollowerNews--- leader A     (later) there is something for it
///                          FetchSessionServer --FollowerTurn---> leader A     room in the answer
///   links <----answer----- FetchSessionServer <--TurnAnswer----- leader A
///
/// A leader that has to read from disk passes, and says when it has read: nobody else in the session waits for it. A leader that goes down
/// is answered for: its followers ask again.
struct ReplicaServerOptions {
  PeerLinks* links = nullptr;                     ///< outlives the actor
  const PartitionDirectory* directory = nullptr;  ///< outlives the actor
  caf::actor listener = {};                       ///< gets every PeerState; may be null
  std::uint64_t seed = 0;                         ///< of the first session's id: another one for each run of the node
  std::size_t sessions_max = 1'000;
  std::int32_t partition_bytes_max = 256 << 10;
};

/// Takes PeerMessage, PeerState, FollowerNews, FollowerTurnAnswer.
caf::actor spawn_replica_server(caf::actor_system& system, ReplicaServerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
