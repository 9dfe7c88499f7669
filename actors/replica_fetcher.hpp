#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/peer_links.hpp"
#include "actors/replica_messages.hpp"

namespace troupe::actors {

/// Copies from one peer all partitions that it leads and this node follows, over one incremental session. One for each such peer,
/// spawned and ended by partition_manager.
///
///   follower 1 .. n --FollowerPosition--> FetchSession --call--> links ~~~> replica_server of the peer
///   follower 1 .. n <--FollowerAnswer---- FetchSession <--PeerAnswer-- links
///
/// Two requests at most are on their way, each with a bound in bytes for its answer. A link that goes down ends the session; while it is
/// known to be down nothing is sent.
struct ReplicaFetcherOptions {
  BrokerId node_id{0};
  BrokerEpoch broker_epoch = no_broker_epoch;  ///< of this node's run
  BrokerId peer{0};
  PeerLinks* links = nullptr;  ///< outlives the actor
  bool peer_up = true;         ///< as last heard
  Millis wait_ms_max = 500;
  Millis answer_ms_max = 2'000;  ///< after `wait_ms_max`: then the session begins anew
  Millis retry_ms = 50;
  std::int32_t bytes_max = 4 << 20;  ///< of records in an answer
};

/// Takes FollowPartition, UnfollowPartition, FollowerPosition, PeerAnswer, PeerState of the peer.
caf::actor spawn_replica_fetcher(caf::actor_system& system, ReplicaFetcherOptions options, ActorRowPtr row);

}  // namespace troupe::actors
