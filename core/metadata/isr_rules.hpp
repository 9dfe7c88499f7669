#pragma once

#include "core/metadata/partition_change.hpp"

/// Who may be in an ISR: what leaders propose, and who leaves by itself. The order of reasons is AlterPartitionsRequest's.
namespace troupe::metadata {

/// Never fails as a whole: every proposal is answered. An ISR that is accepted raises the partition epoch, even one that changes nothing,
/// and ends a reassignment whose new replicas are all in it.
/// Source: KIP-497, KIP-841, KIP-903.
ClusterDecision decide_alter_partitions(const MetadataImage& image, const AlterPartitionsRequest& request);

/// Never fails as a whole. The order of reasons is GiveUpReplicasRequest's.
ClusterDecision decide_give_up(const MetadataImage& image, const GiveUpReplicasRequest& request);

}  // namespace troupe::metadata
