#pragma once

#include <functional>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/replica_messages.hpp"

namespace troupe::actors {

/// To controller_desk: what this node's leaders want. Answered to `reply_to` by AlterPartitionsAnswered, once.
struct AskController {
  metadata::AlterPartitionsRequest request;
  std::uint64_t token = 0;
  caf::actor reply_to;
};

/// Brings what actors of this node want of the active controller to metadata_quorum, which knows where that is, and gives them the answer.
struct ControllerDeskOptions {
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  Millis timeout_ms = 2'000;
};

caf::actor spawn_controller_desk(caf::actor_system& system, ControllerDeskOptions options, ActorRowPtr row);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AskController)
