#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "actors/broker_heartbeat.hpp"
#include "actors/handle_slot.hpp"
#include "actors/leader_locator.hpp"
#include "actors/link/link_mesh.hpp"
#include "actors/metadata_quorum.hpp"
#include "actors/partition_manager.hpp"
#include "actors/supervisor.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/node/socket_wire.hpp"
#include "runtime/node/tcp_probe.hpp"

namespace troupe::runtime {

/// What a node has that is not alone: links to the others, and the actors that need nothing else. Made before the actor system, outlives
/// it.
class Cluster {
 public:
  struct Parts {
    Uuid incarnation = {};
    Uuid cluster_id = {};  ///< nil: the node belongs to none yet
    actors::ActorTable* table = nullptr;
    actors::PartitionDirectory* directory = nullptr;
    std::shared_ptr<actors::ImageHolder> images = {};
    std::shared_ptr<SocketWire> wire = {};
    std::function<actors::MetadataQuorum()> metadata_quorum = {};
  };

  /// Connections to the others, with TLS if the configuration has it. Errors: invalid_config, one sentence.
  static Result<std::shared_ptr<SocketWire>> make_wire(const NodeConfig& config);

  /// `config.cluster` was checked, and has a `listen`.
  Cluster(const NodeConfig& config, Parts parts);

  actors::LinkMesh& links() { return mesh_; }
  const SocketWire& wire() const { return *parts_.wire; }
  const actors::BrokerStanding& standing() const { return *standing_; }

  /// This node as the others reach it.
  void complete(metadata::BrokerImage& self) const;
  void complete(actors::MetadataQuorumOptions& options);
  void complete(actors::PartitionManagerOptions& options);

  /// Before the metadata: links. After the partitions: their server, the controller's desk, heartbeats.
  actors::ChildSpec link_manager();
  std::vector<actors::ChildSpec> others(const metadata::BrokerImage& self);

  /// The brokers that another node knows, as long as this one has no metadata of its own.
  void told_of(const std::vector<metadata::BrokerImage>& brokers);

  caf::actor spawn_stand_in(caf::actor_system& system, const actors::LeaderLocator::Remote& remote);

  /// Asks the controller to let this node go, and waits until it may, or `wait_ms_max` is over.
  void leave(Millis wait_ms_max);
  /// For /readyz: whether there is a controller that has heard this node.
  HealthCheck check() const;
  /// For /readyz: which nodes do not take this one, why, and the way out. A node that is away is no such thing.
  HealthCheck check_links() const;

 private:
  std::string reachable_voters() const;

  const NodeConfig& config_;
  const Parts parts_;
  TcpProbe probe_;
  actors::LinkMesh mesh_;
  const std::shared_ptr<actors::BrokerStanding> standing_ = std::make_shared<actors::BrokerStanding>();
  const std::shared_ptr<actors::QuorumStanding> quorum_ = std::make_shared<actors::QuorumStanding>();
  const std::shared_ptr<actors::HandleSlot<caf::actor>> desk_ = std::make_shared<actors::HandleSlot<caf::actor>>();
};

}  // namespace troupe::runtime
