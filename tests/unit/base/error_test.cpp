#include "base/error.hpp"

#include <map>

#include "tests/support/catch.hpp"

using namespace troupe;

TEST_CASE("every error code has its number and its name for ever", "[base]") {
  const std::map<int, std::string_view> names{
      {1, "offset_out_of_range"},
      {2, "corrupt_message"},
      {3, "unknown_topic_or_partition"},
      {6, "not_leader_or_follower"},
      {7, "request_timed_out"},
      {10, "message_too_large"},
      {32, "invalid_timestamp"},
      {44, "policy_violation"},
      {45, "out_of_order_sequence_number"},
      {46, "duplicate_sequence_number"},
      {47, "invalid_producer_epoch"},
      {56, "storage_error"},
      {74, "fenced_leader_epoch"},
      {75, "unknown_leader_epoch"},
      {76, "unsupported_compression_type"},
      {87, "invalid_record"},
      {200, "storage_full"},
      {201, "stale_log_view"},
      {202, "log_offline"},
      {203, "invalid_argument"},
      {204, "not_found"},
      {205, "wrong_owner"},
      {206, "overloaded"},
      {40, "invalid_config"},
      {38, "invalid_replication_factor"},
      {37, "invalid_partitions"},
      {36, "topic_already_exists"},
      {29, "topic_authorization_failed"},
      {20, "not_enough_replicas_after_append"},
      {19, "not_enough_replicas"},
      {17, "invalid_topic_exception"},
      {5, "leader_not_available"},
      {207, "conflict"},
      {208, "cancelled"},
      {209, "log_damaged"},
      {210, "leadership_lost"},
      {70, "fetch_session_id_not_found"},
      {71, "invalid_fetch_session_epoch"},
      {77, "stale_broker_epoch"},
      {78, "offset_not_available"},
      {95, "invalid_update_version"},
      {107, "ineligible_replica"},
      {8, "broker_not_available"},
      {39, "invalid_replica_assignment"},
      {41, "not_controller"},
      {60, "reassignment_in_progress"},
      {80, "preferred_leader_not_available"},
      {83, "eligible_leaders_not_available"},
      {84, "election_not_needed"},
      {85, "no_reassignment_in_progress"},
      {101, "duplicate_broker_registration"},
      {102, "broker_id_not_registered"},
      {104, "inconsistent_cluster_id"},
      {12, "offset_metadata_too_large"},
      {14, "coordinator_load_in_progress"},
      {15, "coordinator_not_available"},
      {16, "not_coordinator"},
      {22, "illegal_generation"},
      {23, "inconsistent_group_protocol"},
      {24, "invalid_group_id"},
      {25, "unknown_member_id"},
      {26, "invalid_session_timeout"},
      {27, "rebalance_in_progress"},
      {68, "non_empty_group"},
      {69, "group_id_not_found"},
      {79, "member_id_required"},
      {81, "group_max_size_reached"},
      {82, "fenced_instance_id"},
      {86, "group_subscribed_to_topic"},
      {110, "fenced_member_epoch"},
      {111, "unreleased_instance_id"},
      {112, "unsupported_assignor"},
      {113, "stale_member_epoch"},
      {128, "invalid_regular_expression"},
      {255, "unknown_error"},
  };
  // A code that was added without a line here has a name of its own, and fails.
  for (int number = 0; number <= 255; ++number) {
    CAPTURE(number);
    const auto known = names.find(number);
    CHECK(to_string(static_cast<Errc>(number)) == (known == names.end() ? "unknown_error" : known->second));
  }
}

TEST_CASE("an error reads as its code and its message", "[base]") {
  CHECK(to_string(Error{Errc::corrupt_message, "batch at 4096: crc 9f31 != 0c77"}) ==
        "corrupt_message: batch at 4096: crc 9f31 != 0c77");
}

TEST_CASE("context goes before the message and keeps the code", "[base]") {
  const Error inner{Errc::storage_error, "disk full"};
  const auto outer = inner.with_context("segment 42").with_context("append");
  CHECK(outer.code == Errc::storage_error);
  CHECK(outer.message == "append: segment 42: disk full");
  CHECK(inner.message == "disk full");
}
