#pragma once

#include <memory>
#include <mutex>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/actor_table.hpp"
#include "actors/handle_slot.hpp"
#include "actors/image_holder.hpp"
#include "actors/peer_links.hpp"
#include "core/consumer/instance_links.hpp"

namespace troupe::actors {

/// A call of InstanceLinks on its way to instance_desk: as those to a gateway, gateway_messages.hpp.
struct InstanceLinkCall {
  BrokerId node{-1};
  Bytes call = {};
  Millis timeout_ms = 0;
  Reply<Bytes> reply = {};
};

/// InstanceLinks over instance_desk.
class InstanceFront final : public InstanceLinks {
 public:
  explicit InstanceFront(std::shared_ptr<const HandleSlot<caf::actor>> desk) : desk_(std::move(desk)) {}

  void serve(std::weak_ptr<InstanceServer> server) override;
  void call(BrokerId node, Bytes call, Millis timeout_ms, Reply<Bytes> reply) override;
  /// Null: no door is open.
  std::shared_ptr<InstanceServer> server() const;

 private:
  const std::shared_ptr<const HandleSlot<caf::actor>> desk_;
  mutable std::mutex mutex_;
  std::weak_ptr<InstanceServer> server_;
};

struct InstanceDeskOptions {
  std::shared_ptr<const ImageHolder> images = {};
  const InstanceFront* front = nullptr;  ///< outlives the actor
  PeerLinks* links = nullptr;            ///< outlives the actor, and what the doors still have to answer
  std::size_t calls_max = 20'000;        ///< of this node that wait for an answer
};

/// Brings the doors' calls to consumer instances to the nodes that have them, and those of other nodes to this one's door.
///
///   InstanceLinkCall --> a call of the link --> answer
///                        ^    | there is no connection: after 25 ms
///                        `----' unless its process is gone, or the cluster has fenced it: broker_not_available
///
/// Serves Channel::consumer.
caf::actor spawn_instance_desk(caf::actor_system& system, InstanceDeskOptions options, ActorRowPtr row);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<troupe::actors::InstanceLinkCall>)
