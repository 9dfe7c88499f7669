#include "base/error.hpp"

namespace troupe {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::offset_out_of_range: return "offset_out_of_range";
    case Errc::corrupt_message: return "corrupt_message";
    case Errc::unknown_topic_or_partition: return "unknown_topic_or_partition";
    case Errc::not_leader_or_follower: return "not_leader_or_follower";
    case Errc::request_timed_out: return "request_timed_out";
    case Errc::broker_not_available: return "broker_not_available";
    case Errc::message_too_large: return "message_too_large";
    case Errc::invalid_timestamp: return "invalid_timestamp";
    case Errc::policy_violation: return "policy_violation";
    case Errc::out_of_order_sequence_number: return "out_of_order_sequence_number";
    case Errc::duplicate_sequence_number: return "duplicate_sequence_number";
    case Errc::invalid_producer_epoch: return "invalid_producer_epoch";
    case Errc::storage_error: return "storage_error";
    case Errc::reassignment_in_progress: return "reassignment_in_progress";
    case Errc::fetch_session_id_not_found: return "fetch_session_id_not_found";
    case Errc::invalid_fetch_session_epoch: return "invalid_fetch_session_epoch";
    case Errc::fenced_leader_epoch: return "fenced_leader_epoch";
    case Errc::unknown_leader_epoch: return "unknown_leader_epoch";
    case Errc::unsupported_compression_type: return "unsupported_compression_type";
    case Errc::stale_broker_epoch: return "stale_broker_epoch";
    case Errc::offset_not_available: return "offset_not_available";
    case Errc::preferred_leader_not_available: return "preferred_leader_not_available";
    case Errc::eligible_leaders_not_available: return "eligible_leaders_not_available";
    case Errc::election_not_needed: return "election_not_needed";
    case Errc::no_reassignment_in_progress: return "no_reassignment_in_progress";
    case Errc::invalid_update_version: return "invalid_update_version";
    case Errc::duplicate_broker_registration: return "duplicate_broker_registration";
    case Errc::broker_id_not_registered: return "broker_id_not_registered";
    case Errc::inconsistent_cluster_id: return "inconsistent_cluster_id";
    case Errc::ineligible_replica: return "ineligible_replica";
    case Errc::leadership_lost: return "leadership_lost";
    case Errc::invalid_record: return "invalid_record";
    case Errc::offset_metadata_too_large: return "offset_metadata_too_large";
    case Errc::coordinator_load_in_progress: return "coordinator_load_in_progress";
    case Errc::coordinator_not_available: return "coordinator_not_available";
    case Errc::not_coordinator: return "not_coordinator";
    case Errc::illegal_generation: return "illegal_generation";
    case Errc::inconsistent_group_protocol: return "inconsistent_group_protocol";
    case Errc::invalid_group_id: return "invalid_group_id";
    case Errc::unknown_member_id: return "unknown_member_id";
    case Errc::invalid_session_timeout: return "invalid_session_timeout";
    case Errc::rebalance_in_progress: return "rebalance_in_progress";
    case Errc::non_empty_group: return "non_empty_group";
    case Errc::group_id_not_found: return "group_id_not_found";
    case Errc::member_id_required: return "member_id_required";
    case Errc::group_max_size_reached: return "group_max_size_reached";
    case Errc::fenced_instance_id: return "fenced_instance_id";
    case Errc::group_subscribed_to_topic: return "group_subscribed_to_topic";
    case Errc::fenced_member_epoch: return "fenced_member_epoch";
    case Errc::unreleased_instance_id: return "unreleased_instance_id";
    case Errc::unsupported_assignor: return "unsupported_assignor";
    case Errc::stale_member_epoch: return "stale_member_epoch";
    case Errc::invalid_regular_expression: return "invalid_regular_expression";
    case Errc::storage_full: return "storage_full";
    case Errc::stale_log_view: return "stale_log_view";
    case Errc::log_offline: return "log_offline";
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::not_found: return "not_found";
    case Errc::wrong_owner: return "wrong_owner";
    case Errc::overloaded: return "overloaded";
    case Errc::leader_not_available: return "leader_not_available";
    case Errc::invalid_topic_exception: return "invalid_topic_exception";
    case Errc::not_enough_replicas: return "not_enough_replicas";
    case Errc::not_enough_replicas_after_append: return "not_enough_replicas_after_append";
    case Errc::topic_authorization_failed: return "topic_authorization_failed";
    case Errc::topic_already_exists: return "topic_already_exists";
    case Errc::invalid_partitions: return "invalid_partitions";
    case Errc::invalid_replication_factor: return "invalid_replication_factor";
    case Errc::invalid_replica_assignment: return "invalid_replica_assignment";
    case Errc::invalid_config: return "invalid_config";
    case Errc::not_controller: return "not_controller";
    case Errc::conflict: return "conflict";
    case Errc::cancelled: return "cancelled";
    case Errc::log_damaged: return "log_damaged";
    case Errc::unknown_error: return "unknown_error";
  }
  return "unknown_error";
}

Error Error::with_context(std::string_view context) const {
  std::string text{context};
  text += ": ";
  text += message;
  return Error{code, std::move(text)};
}

std::string to_string(const Error& error) {
  std::string text{to_string(error.code)};
  text += ": ";
  text += error.message;
  return text;
}

}  // namespace troupe
