#pragma once

#include <map>

#include "tests/sim/replication/control_plane.hpp"
#include "tests/sim/replication/sim_controller.hpp"
#include "tests/sim/replication/sim_node.hpp"

namespace troupe::sim {

/// Nodes and a SimController, over the simulated network: registrations, heartbeats, changes of partitions, ISRs. The controller is
/// address 0.
class ControllerLinks : public ControlPlane {
 public:
  ControllerLinks(SimWorld& world, SimController& controller) : world_(world), controller_(controller) {}

  const replication::PartitionState& state(std::size_t partition) const override { return controller_.state(partition); }
  void started(SimNode& node) override;
  void alter(SimNode& node, std::size_t partition, const replication::AlterPartition& request) override;

 private:
  struct Link {
    std::size_t position = 0;  ///< of the changes that it has read; on its disk
    BrokerEpoch epoch = no_broker_epoch;
    std::size_t registered_position = 0;
  };

  void heartbeat(SimNode& node);
  void registered(SimNode& node, std::uint64_t run, const SimController::Registered& answer);
  void read(SimNode& node, std::size_t from, const std::vector<SimController::Change>& changes);
  void act(SimNode& node);

  SimWorld& world_;
  SimController& controller_;
  std::map<BrokerId, Link> links_;
};

}  // namespace troupe::sim
