#pragma once

#include <functional>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/image_holder.hpp"
#include "actors/replica_messages.hpp"

namespace troupe::actors {

/// Gathers what the leaders of this node want of the controller: one request on its way at a time, with all that came meanwhile in
/// the next one. So a broker that goes costs the controller one request of each other broker, not one of each partition.
///
///   leader A --ProposeIsr--> |      |
///   leader B --ProposeIsr--> | desk | --AlterPartitionsRequest--> ask_controller ... AlterPartitionsAnswered --> IsrAnswered to A, B
///
/// Holds one proposal a partition at most. A request without an answer is given up: the leaders ask again.
struct IsrDeskOptions {
  BrokerId node_id{0};
  std::shared_ptr<const ImageHolder> images = {};  ///< for the broker epoch
  /// Brings a request to the active controller, wherever that is. Answers with AlterPartitionsAnswered and `token`, once, or never.
  /// Must not block.
  std::function<void(metadata::AlterPartitionsRequest, std::uint64_t token, caf::actor reply_to)> ask_controller = {};
  Millis answer_ms_max = 2'000;
  std::size_t proposals_max = 5'000;  ///< in one request
};

caf::actor spawn_isr_desk(caf::actor_system& system, IsrDeskOptions options, ActorRowPtr row);

/// A partition as its leader sees it.
replication::PartitionState partition_state_of(const metadata::PartitionImage& image);

}  // namespace troupe::actors
