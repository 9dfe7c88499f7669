#pragma once

#include "core/metadata/partition_change.hpp"

/// Who leads: elections that somebody asked for, and the balance of leaderships.
namespace troupe::metadata {

/// Never fails as a whole: every partition is answered. The order of reasons is ElectLeadersRequest's. Source: KIP-460.
ClusterDecision decide_elect(const MetadataImage& image, const ElectLeadersRequest& request);

/// Partitions without a leader that could have one come first, then those whose leader drains or stops, then those whose preferred replica
/// could lead and does not. At most `moves_max` of them change.
ClusterDecision decide_balance(const MetadataImage& image, const BalanceLeadersRequest& request);

}  // namespace troupe::metadata
