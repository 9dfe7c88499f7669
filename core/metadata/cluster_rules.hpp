#pragma once

#include "core/metadata/partition_change.hpp"

namespace troupe::metadata {

/// What a request of the cluster changes in `image`, and its answer: the rule for it is in broker_lifecycle, isr_rules, leadership or
/// reassignment. Errors: the request's.
Result<ClusterDecision> decide_cluster(const MetadataImage& image, const ClusterRequest& request);

}  // namespace troupe::metadata
