#pragma once

#include <span>
#include <vector>

#include "core/metadata/metadata_image.hpp"
#include "core/metadata/metadata_record.hpp"

/// Where copies go.
namespace troupe::metadata {

struct PlacementRequest {
  std::size_t partitions = 1;
  std::size_t replication_factor = 1;
  std::size_t start = 0;                          ///< any number: which broker leads the first partition
  std::span<const PartitionImage> existing = {};  ///< of the same topic: they count, and leaders go on behind the last
};

/// Replicas of new partitions, the preferred leader first.
///
/// Preferred leaders go round all brokers. Each further copy goes where the partition has fewest copies in the rack, among those where the
/// topic has fewest copies in the broker; then to the next behind the leader, at a distance that grows with each round, so that not
/// the same brokers share everything. A broker without a rack is one by itself. Draining brokers get nothing; those that are
/// stopping, and after them the fenced ones, only what cannot go elsewhere, and no preferred leaders.
/// Errors: leader_not_available (no broker is ready), invalid_replication_factor (0, or more than there are brokers for copies). Both
/// name the brokers that are in the way.
/// Source: Kafka's StripedReplicaPlacer (fenced brokers last, one that is not fenced at least).
Result<std::vector<std::vector<BrokerId>>> place_replicas(const MetadataImage& image, const PlacementRequest& request);

/// Brokers that may get copies: those that do not drain.
std::size_t placeable_brokers(const MetadataImage& image);
/// Errors: invalid_replication_factor, "... 2 of 3 brokers can take copies: broker 3 is draining".
Status check_replication_factor(const MetadataImage& image, std::int64_t wanted);

/// A new partition: those of its replicas that live are in sync, the first of them leads.
PartitionRecord new_partition(const MetadataImage& image, const TopicId& topic, PartitionId partition,
                              std::vector<BrokerId> replicas);

}  // namespace troupe::metadata
