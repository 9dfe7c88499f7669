#include "core/metadata/cluster_rules.hpp"

#include "core/metadata/broker_lifecycle.hpp"
#include "core/metadata/isr_rules.hpp"
#include "core/metadata/leadership.hpp"
#include "core/metadata/reassignment.hpp"

namespace troupe::metadata {
namespace {

struct Rules {
  const MetadataImage& image;

  Result<ClusterDecision> operator()(const RegisterBrokerRequest& one) const { return decide_register(image, one); }
  Result<ClusterDecision> operator()(const FenceBrokerRequest& one) const { return decide_fence(image, one); }
  Result<ClusterDecision> operator()(const UnfenceBrokerRequest& one) const { return decide_unfence(image, one); }
  Result<ClusterDecision> operator()(const StopBrokerRequest& one) const { return decide_stop(image, one); }
  Result<ClusterDecision> operator()(const DrainBrokerRequest& one) const { return decide_drain(image, one); }
  Result<ClusterDecision> operator()(const UnregisterBrokerRequest& one) const { return decide_unregister(image, one); }
  Result<ClusterDecision> operator()(const AlterPartitionsRequest& one) const { return decide_alter_partitions(image, one); }
  Result<ClusterDecision> operator()(const ElectLeadersRequest& one) const { return decide_elect(image, one); }
  Result<ClusterDecision> operator()(const ReassignPartitionsRequest& one) const { return decide_reassign(image, one); }
  Result<ClusterDecision> operator()(const BalanceLeadersRequest& one) const { return decide_balance(image, one); }
  Result<ClusterDecision> operator()(const GiveUpReplicasRequest& one) const { return decide_give_up(image, one); }
};

}  // namespace

Result<ClusterDecision> decide_cluster(const MetadataImage& image, const ClusterRequest& request) {
  return std::visit(Rules{image}, request);
}

}  // namespace troupe::metadata
