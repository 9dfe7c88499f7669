#pragma once

#include <functional>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/peer_links.hpp"
#include "base/clock.hpp"
#include "core/ids.hpp"

namespace troupe::actors {

/// This node's stand-in for a partition leader on another: takes what a partition_leader takes from gateways and tails, and gives the same
/// answers, in the leader's words.
///
///   ProduceSlot, FetchPartition, FindOffset, DeleteRecordsBefore --> PeerLinks::call --> leader_server --> partition_leader
///   AttachTail --> where does it end? --> fetch, fetch, ... --> TailAttached, TailCommitted
///
/// One for each partition that somebody on this node uses, its broker and its epoch; it ends when it was idle for a while, when its tail
/// lost the leader, or when the metadata names another leader.
struct RemoteLeaderOptions {
  TopicIdPartition partition = {};
  BrokerId broker = no_broker;  ///< who leads it
  LeaderEpoch epoch{0};
  PeerLinks* links = nullptr;                      ///< outlives the actor
  std::function<void(caf::actor_id)> on_end = {};  ///< told its id when it ends; may be null
  Millis idle_ms_max = 60'000;
  Millis tail_wait_ms = 20'000;  ///< of one fetch of the tail
  std::size_t tail_bytes_max = std::size_t{1} << 20;
};

caf::actor spawn_remote_leader(caf::actor_system& system, RemoteLeaderOptions options, ActorRowPtr row);

}  // namespace troupe::actors
