#pragma once

#include "core/metadata/partition_change.hpp"

/// Replicas that move from broker to broker.
namespace troupe::metadata {

/// Begins and calls off reassignments. Never fails as a whole: each is answered. The order of reasons is Reassignment's.
///
///   replicas  1 2 3        reassigned to 3 4 5        4 and 5 are in the ISR
///   [1 2 3]        ->      [3 4 5 1 2] +4 +5 -1 -2      ->      [3 4 5]
///
/// It ends with the ISR that holds all the new ones (decide_alter_partitions), unless those that stay would be fewer in sync than
/// `min.insync.replicas`: then with the next ISR that suffices. Called off, the old ones are back in their order.
/// Source: KIP-455.
ClusterDecision decide_reassign(const MetadataImage& image, const ReassignPartitionsRequest& request);

struct ReassignmentProgress {
  TopicIdPartition partition = {};
  std::vector<BrokerId> target = {};   ///< the replicas at its end
  std::vector<BrokerId> adding = {};   ///< of them, those that are new
  std::vector<BrokerId> waiting = {};  ///< of `adding`, those that are not in sync yet
  std::vector<BrokerId> removing = {};

  friend bool operator==(const ReassignmentProgress&, const ReassignmentProgress&) = default;
};
/// Those that are under way, in no order.
std::vector<ReassignmentProgress> reassignments(const MetadataImage& image);

}  // namespace troupe::metadata
