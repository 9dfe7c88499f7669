#pragma once

#include <functional>
#include <vector>

#include "core/metadata/metadata_image.hpp"
#include "core/metadata/metadata_record.hpp"
#include "core/metadata/topic_requests.hpp"

/// The controller's rules: what a request changes in an image, as records, or why it may not.
namespace troupe::metadata {

struct ControllerLimits {
  std::size_t topics_max = 20'000;
  std::int32_t topic_partitions_max = 10'000;
  std::size_t broker_replicas_max = 20'000;  ///< partitions a node: times brokers for the cluster
  std::size_t config_value_bytes_max = 256;  ///< of one setting, as text
};

/// Clients may not make, change or delete internal topics; the node itself may.
enum class Requester : std::uint8_t { client, system };

/// About one topic. No records: the request is fulfilled as things are.
struct TopicDecision {
  TopicId topic = {};
  std::vector<MetadataRecord> records = {};
};

/// `new_uuid` gives the topic's id. `validate_only` is for the caller to look at.
/// Errors: invalid_topic_exception (not a name; an internal one; one that differs from another topic's in '.' and '_' only),
/// topic_already_exists, invalid_partitions, invalid_replication_factor, invalid_replica_assignment, invalid_config, policy_violation (as
/// many topics or partitions as there may be), leader_not_available (no broker is ready).
Result<TopicDecision> decide_create(const MetadataImage& image, const CreateTopicRequest& request, Requester requester,
                                    const std::function<Uuid()>& new_uuid, const ControllerLimits& limits = {});

/// Errors: unknown_topic_or_partition, topic_authorization_failed (internal), invalid_partitions (not more than there are, too many),
/// invalid_config, policy_violation, leader_not_available.
Result<TopicDecision> decide_alter(const MetadataImage& image, const AlterTopicRequest& request, Requester requester,
                                   const ControllerLimits& limits = {});

/// Errors: unknown_topic_or_partition, topic_authorization_failed (internal).
Result<TopicDecision> decide_delete(const MetadataImage& image, std::string_view name, Requester requester);

/// The topic as the decision's records make it, for validate_only.
Result<TopicPtr> preview(const MetadataImage& image, const TopicDecision& decision);

}  // namespace troupe::metadata
