#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/image_holder.hpp"
#include "actors/peer_links.hpp"
#include "actors/metadata_messages.hpp"

namespace troupe::actors {

/// What the active controller said last of this broker; read from any thread.
struct BrokerStanding {
  std::atomic<bool> fenced{true};  ///< it is, until the controller has heard it
  std::atomic<bool> drained{false};
  std::atomic<bool> may_stop{false};
  std::atomic<bool> heard{false};  ///< the last heartbeat was answered
  /// Set by who wants to end the node in order.
  std::atomic<bool> wants_shutdown{false};
};

/// Tells the active controller that this broker is there, and registers it anew when the controller does not know it any more.
///
///   timer --> heartbeat --PeerLinks::call--> the active controller
///               answer: standing     stale_broker_epoch, broker_id_not_registered: RegisterBroker to metadata_quorum
struct BrokerHeartbeatOptions {
  metadata::BrokerImage broker = {};
  Uuid incarnation = {};
  std::shared_ptr<const ImageHolder> images = {};
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  PeerLinks* links = nullptr;                            ///< outlives the actor
  std::shared_ptr<BrokerStanding> standing = {};
  std::function<void(const metadata::MetadataImage&)> on_image =
      {};  ///< called for each image that it sees first; may be null
  Millis interval_ms = 250;
};

caf::actor spawn_broker_heartbeat(caf::actor_system& system, BrokerHeartbeatOptions options, ActorRowPtr row);

}  // namespace troupe::actors
