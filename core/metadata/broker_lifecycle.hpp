#pragma once

#include "core/metadata/partition_change.hpp"

/// A broker's life in the cluster.
///
///            register                heartbeat: it has caught up
///   (none) -----------> [fenced] <---------------------------------> [in service]
///      ^                   |  ^         silent, or its process is gone    |   |  wants to stop
///      |    unregister     |  |                                           |   v
///      `-------------------'  `------------------------------------------ | [stopping]
///                                    silent, or a new run registers       v
///                                                                   in service and draining, until it is undrained
///
/// Each decision settles the partitions that it touches in the same batch: no image shows a leader that is fenced.
namespace troupe::metadata {

/// Who answers whom is liveness.hpp's to know: a registration comes here when the run before has ended, or is this one.
///
/// A new run leaves all ISRs that have other members: its log may be shorter than it was (KIP-841, KIP-903). When the run before did not
/// end in order, and the topic has `flush = interval`, the log is not trusted either where it is the last member: an eligible leader
/// replica leads, else the run itself as the last known leader, with what it has left (KIP-966).
ClusterDecision decide_register(const MetadataImage& image, const RegisterBrokerRequest& request);

/// Errors: of the request in question (cluster_requests.hpp).
Result<ClusterDecision> decide_fence(const MetadataImage& image, const FenceBrokerRequest& request);
Result<ClusterDecision> decide_unfence(const MetadataImage& image, const UnfenceBrokerRequest& request);
Result<ClusterDecision> decide_stop(const MetadataImage& image, const StopBrokerRequest& request);
Result<ClusterDecision> decide_drain(const MetadataImage& image, const DrainBrokerRequest& request);
Result<ClusterDecision> decide_unregister(const MetadataImage& image, const UnregisterBrokerRequest& request);

/// The record that lets this cluster use all that this version knows; nullopt when it does already, or when brokers besides `own` might not
/// know it.
std::optional<FeatureLevelRecord> decide_upgrade(const MetadataImage& image, BrokerId own);

struct BrokerLoad {
  std::size_t replicas = 0;
  std::size_t leads = 0;
  std::size_t movable = 0;  ///< of `leads`, those that another member of the ISR could lead
};
BrokerLoad load_of(const MetadataImage& image, BrokerId broker);

}  // namespace troupe::metadata
