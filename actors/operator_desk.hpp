#pragma once

#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/image_holder.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/peer_links.hpp"
#include "core/cluster_api.hpp"

/// Calls of ClusterApi on their way to operator_desk: as those to a gateway, gateway_messages.hpp.
namespace troupe::actors {

struct ChangeClusterCall {
  OperatorRequest request;
  Reply<metadata::ClusterAnswer> reply;
};
struct AskQuorumCall {
  quorum::QuorumRequest request;
  Reply<quorum::QuorumReport> reply;
};
struct ActorTreesCall {
  std::vector<BrokerId> nodes;  ///< none: all
  Reply<std::vector<NodeTree>> reply;
};

/// Carries out what operators want of the cluster, and answers what the desks of other nodes ask of this one.
///
///   ChangeClusterCall --in parts--> metadata_quorum, which knows where the controller is
///   AskQuorumCall ----> metadata_quorum, when it leads -.
///                  `--> the leader's desk --------------+--> answer; not there any more: asked anew, all of it may be done twice
///   ActorTreesCall ---> every desk --> its table
struct OperatorDeskOptions {
  BrokerId node_id{0};
  std::shared_ptr<const ImageHolder> images = {};
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  std::function<std::vector<ActorInfo>()> actor_tree = {};
  /// Told where the cluster's brokers are, while this node has no metadata; null: nobody wants to know.
  std::function<void(const std::vector<metadata::BrokerImage>&)> on_brokers = {};
  PeerLinks* links = nullptr;   ///< outlives the actor; null: there are no other nodes
  Millis timeout_ms = 30'000;   ///< of a change
  Millis catch_up_ms = 70'000;  ///< of adding a voter: longer than the quorum's own patience
};

caf::actor spawn_operator_desk(caf::actor_system& system, OperatorDeskOptions options, ActorRowPtr row);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<troupe::actors::ChangeClusterCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<troupe::actors::AskQuorumCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<troupe::actors::ActorTreesCall>)
