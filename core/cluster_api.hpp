#pragma once

#include <cstddef>
#include <variant>
#include <vector>

#include "core/broker_api.hpp"
#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/metadata_image.hpp"
#include "core/metadata/quorum_report.hpp"

/// What a door may ask about the cluster as a whole, and what operators may do to it, through any node.
namespace troupe {

/// What operators ask of the active controller. Errors and answers: core/metadata/cluster_requests.hpp
using OperatorRequest = std::variant<metadata::DrainBrokerRequest, metadata::UnregisterBrokerRequest,
                                     metadata::ElectLeadersRequest, metadata::ReassignPartitionsRequest>;

/// The actors of one node, or why that did not say.
struct NodeTree {
  BrokerId node{-1};
  Result<std::vector<ActorInfo>> actors = std::vector<ActorInfo>{};
};

/// Thread-safe; calls do not block. Every call is answered once, within its timeout.
class ClusterApi {
 public:
  virtual ~ClusterApi() = default;

  // What this node knows, at once.
  /// Never null.
  virtual metadata::ImagePtr image() const = 0;
  /// Who votes, as far as this node's own log says.
  virtual std::vector<BrokerId> voters() const = 0;
  /// This node, and those that it has a link to.
  virtual std::vector<BrokerId> reachable() const = 0;

  /// Committed, and in this node's image, when it is answered. Elections and reassignments of many partitions are committed in parts.
  /// Errors: those of the request; leader_not_available (no controller: nothing was changed), request_timed_out (outcome unknown);
  /// conflict: a broker that votes cannot be unregistered.
  virtual void change_cluster(OperatorRequest request, Reply<metadata::ClusterAnswer> reply) = 0;
  /// As the quorum's leader sees it, after what was asked. While there is none, DescribeQuorum is answered with what this node knows.
  /// Errors: not_found (no such broker, or it does not follow), conflict (another change is open, or it is the last voter),
  /// invalid_argument (as many voters as there may be; not a voter), leader_not_available (nothing was changed), request_timed_out.
  virtual void ask_quorum(quorum::QuorumRequest request, Reply<quorum::QuorumReport> reply) = 0;
  /// Of these nodes, in their order; of all when there are none. Answered within 3 s: who did not say has an error.
  virtual void actor_trees(std::vector<BrokerId> nodes, Reply<std::vector<NodeTree>> reply) = 0;
};

}  // namespace troupe
