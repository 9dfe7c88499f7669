#pragma once

#include "core/replication/partition_state.hpp"

namespace troupe::sim {

class SimNode;

/// Who decides about partitions, as the nodes of a simulation see it.
class ControlPlane {
 public:
  ControlPlane() = default;
  virtual ~ControlPlane() = default;
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  /// As it is committed now, whoever knows of it.
  virtual const replication::PartitionState& state(std::size_t partition) const = 0;
  /// A run of a node has begun: from now on it is to hear of partitions (SimNode::take, act_as).
  virtual void started(SimNode& node) = 0;
  /// Ends in SimNode::alter_answer, or not at all.
  virtual void alter(SimNode& node, std::size_t partition, const replication::AlterPartition& request) = 0;
};

}  // namespace troupe::sim
