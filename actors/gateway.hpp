#pragma once

#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/gateway_messages.hpp"
#include "actors/image_holder.hpp"
#include "actors/leader_locator.hpp"
#include "actors/metadata_messages.hpp"

namespace troupe::actors {

/// Carries out the calls of one I/O thread: finds the partition, gathers the requests of a turn, sends them to the leader, keeps their
/// deadlines, and answers.
///
///   AdmittedProduces x n [end of turn] -> ProducePipeline of each partition -> ProduceSlot -> leader
///   FetchCall ...................................................... -> FetchPartition -> leader
///   CreateTopicCall ................................................ -> metadata_quorum, then until its leaders are there
///
/// A leader that goes down leaves produce requests to their pipelines, which try again until the deadline. Fetches and searches are
/// asked of the next one; they end with leader_not_available when there is none for 5 s.
struct GatewayActorOptions {
  std::shared_ptr<const ImageHolder> images = {};
  LeaderLocator* leaders = nullptr;                      ///< outlives the actor
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  const Clock* clock = nullptr;                          ///< outlives the actor
  std::uint64_t seed = 0;                                ///< of the producer id and the choice of partitions
};

caf::actor spawn_gateway(caf::actor_system& system, GatewayActorOptions options, ActorRowPtr row);

}  // namespace troupe::actors
