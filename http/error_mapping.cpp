#include "http/error_mapping.hpp"

namespace troupe::http {

ErrorView view_of(Errc code) noexcept {
  constexpr Millis soon = 1000;
  switch (code) {
    case Errc::broker_id_not_registered: return {404, 404, "not_found"};
    case Errc::group_id_not_found: return {404, 404, "unknown_group"};
    case Errc::unknown_member_id: return {404, 40403, "unknown_member"};
    case Errc::unknown_topic_or_partition: return {404, 40401, "unknown_topic"};
    case Errc::not_found: return {404, 404, "not_found"};
    case Errc::offset_out_of_range: return {416, 416, "out_of_range"};

    // Nothing was written; another try may succeed.
    case Errc::leader_not_available:
    case Errc::not_leader_or_follower:
    case Errc::fenced_leader_epoch:
    case Errc::unknown_leader_epoch:
    case Errc::fetch_session_id_not_found:
    case Errc::invalid_fetch_session_epoch:
    case Errc::stale_broker_epoch:
    case Errc::offset_not_available:
    case Errc::invalid_update_version:
    case Errc::ineligible_replica:
    case Errc::broker_not_available:
    case Errc::not_controller:
    case Errc::eligible_leaders_not_available:
    case Errc::preferred_leader_not_available:
    case Errc::log_offline: return {503, 40404, "no_leader", true, soon};
    case Errc::coordinator_load_in_progress:
    case Errc::coordinator_not_available:
    case Errc::not_coordinator: return {503, 50301, "no_coordinator", true, soon};
    case Errc::rebalance_in_progress:
    case Errc::stale_member_epoch: return {409, 40905, "rebalancing", true, soon};
    case Errc::not_enough_replicas: return {503, 50003, "not_enough_replicas", true, soon};
    case Errc::storage_full: return {507, 507, "storage_full", true, soon};
    case Errc::overloaded:
    case Errc::stale_log_view:
    case Errc::cancelled: return {503, 50302, "overloaded", true, soon};

    // Nothing was written, and another try helps no more than this one.
    case Errc::log_damaged: return {500, 50006, "log_damaged", false};

    // It may have been written.
    case Errc::request_timed_out:
    case Errc::not_enough_replicas_after_append:
    case Errc::leadership_lost:
    case Errc::storage_error: return {500, 50005, "outcome_unknown", false};

    // The request has to change.
    case Errc::message_too_large: return {413, 413, "too_large"};
    case Errc::offset_metadata_too_large:
    case Errc::invalid_group_id:
    case Errc::invalid_session_timeout:
    case Errc::unsupported_assignor:
    case Errc::invalid_regular_expression:
    case Errc::inconsistent_group_protocol:
    case Errc::invalid_argument:
    case Errc::invalid_timestamp:
    case Errc::unsupported_compression_type: return {400, 400, "bad_request"};
    case Errc::invalid_record: return {422, 42205, "invalid_record"};
    case Errc::invalid_topic_exception:
    case Errc::invalid_partitions:
    case Errc::invalid_replica_assignment:
    case Errc::invalid_replication_factor:
    case Errc::invalid_config:
    case Errc::policy_violation: return {400, 40002, "bad_request"};
    case Errc::topic_authorization_failed: return {403, 40301, "forbidden"};
    case Errc::topic_already_exists:
    case Errc::conflict:
    case Errc::reassignment_in_progress:
    case Errc::no_reassignment_in_progress:
    case Errc::election_not_needed:
    case Errc::duplicate_broker_registration:
    case Errc::out_of_order_sequence_number:
    case Errc::duplicate_sequence_number:
    case Errc::member_id_required:
    case Errc::non_empty_group:
    case Errc::group_subscribed_to_topic:
    case Errc::group_max_size_reached:
    case Errc::unreleased_instance_id: return {409, 409, "conflict"};
    case Errc::illegal_generation:
    case Errc::fenced_instance_id:
    case Errc::fenced_member_epoch:
    case Errc::invalid_producer_epoch: return {409, 409, "fenced"};

    case Errc::corrupt_message:
    case Errc::wrong_owner:
    case Errc::inconsistent_cluster_id:
    case Errc::unknown_error: break;
  }
  return {500, 500, "internal", false};
}

}  // namespace troupe::http
