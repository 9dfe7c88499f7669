#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

/// Why a call failed: one value per reaction that a caller can have.
///
/// Values below 200 are Kafka's codes (source: org.apache.kafka.common.protocol.Errors); values from 200 on are ours
/// and are mapped to a Kafka code at the Kafka port. Kafka's -1 does not fit a byte and is 255 here.
/// Part of formats and of the wire between nodes: never renumber.
enum class Errc : std::uint8_t {
  offset_out_of_range = 1,            ///< below the log start offset or above the log end offset: seek
  corrupt_message = 2,                ///< bytes that are not what their checksum or their format says: do not retry
  unknown_topic_or_partition = 3,     ///< no such partition here: refresh metadata
  leader_not_available = 5,           ///< the partition has no leader now, nothing was written: retry
  not_leader_or_follower = 6,         ///< asked the wrong replica, nothing was written: refresh metadata, retry
  request_timed_out = 7,              ///< outcome unknown
  broker_not_available = 8,           ///< that broker cannot be reached now, nothing was sent: retry
  message_too_large = 10,             ///< over a stated limit: send less
  offset_metadata_too_large = 12,     ///< what was sent along with a committed offset is over 4,096 bytes
  coordinator_load_in_progress = 14,  ///< the group's coordinator is reading its state, nothing was written: retry
  coordinator_not_available = 15,     ///< the group has no coordinator now, nothing was written: retry
  not_coordinator = 16,  ///< asked a node that does not coordinate the group, nothing was written: ask again who does
  invalid_topic_exception = 17,           ///< not a name for a topic: choose another
  not_enough_replicas = 19,               ///< fewer in-sync replicas than asked for, nothing was written: retry
  not_enough_replicas_after_append = 20,  ///< written, but not on enough replicas in time: outcome unknown
  illegal_generation = 22,                ///< of an earlier or later rebalance than the group's: join again
  inconsistent_group_protocol = 23,       ///< nothing that all members of the group can do
  invalid_group_id = 24,                  ///< not a name for a group: choose another
  unknown_member_id = 25,                 ///< the group has no such member (any more): join again
  invalid_session_timeout = 26,           ///< a session timeout out of its range; names it
  rebalance_in_progress = 27,             ///< the group is being rebalanced: join again
  topic_authorization_failed = 29,        ///< this topic is not for this caller
  invalid_timestamp = 32,                 ///< timestamp outside the topic's bounds
  topic_already_exists = 36,              ///< another topic has that name
  invalid_partitions = 37,                ///< a partition count out of its range, or lower than it is
  invalid_replication_factor = 38,        ///< more replicas than brokers, or fewer than one
  invalid_replica_assignment = 39,        ///< replicas that cannot be: an unknown broker, one twice, none
  invalid_config = 40,                    ///< an unknown setting, or a value out of its range; names it
  not_controller = 41,    ///< asked a node that is not the active controller, nothing was written: ask the one that is
  policy_violation = 44,  ///< refused by configuration
  out_of_order_sequence_number = 45,    ///< a batch of this producer is missing before this one
  duplicate_sequence_number = 46,       ///< already in the log, too long ago to say where
  invalid_producer_epoch = 47,          ///< an older run of this producer: it has been fenced
  storage_error = 56,                   ///< the disk failed; after a write was started the outcome is unknown
  reassignment_in_progress = 60,        ///< the partition's replicas are being changed already
  non_empty_group = 68,                 ///< the group has members: stop them first
  group_id_not_found = 69,              ///< no such group
  fetch_session_id_not_found = 70,      ///< no such fetch session here (any more): begin one with a full request
  invalid_fetch_session_epoch = 71,     ///< a fetch session's requests came out of order: begin one with a full request
  fenced_leader_epoch = 74,             ///< the caller's leader epoch is older than ours
  unknown_leader_epoch = 75,            ///< the caller's leader epoch is newer than ours
  unsupported_compression_type = 76,    ///< no such codec
  stale_broker_epoch = 77,              ///< of an earlier run of that broker: it has been fenced
  offset_not_available = 78,            ///< a new leader does not know yet where the committed records end: retry
  member_id_required = 79,              ///< join again with the member id of this answer
  preferred_leader_not_available = 80,  ///< the preferred replica cannot lead now: fenced, drained or not in the ISR
  group_max_size_reached = 81,          ///< as many members as a group may have
  fenced_instance_id = 82,              ///< another member has this group instance id now
  eligible_leaders_not_available = 83,  ///< no replica may lead without losing records: wait, or force it
  election_not_needed = 84,             ///< the partition is led by that replica already
  no_reassignment_in_progress = 85,     ///< nothing to cancel
  group_subscribed_to_topic = 86,       ///< members of the group read this topic: its offsets stay
  invalid_record = 87,                  ///< well-formed bytes that break a rule for records
  invalid_update_version = 95,          ///< the partition has changed since the caller looked: look again
  duplicate_broker_registration = 101,  ///< another live process has this broker id
  broker_id_not_registered = 102,       ///< no broker with this id is registered
  inconsistent_cluster_id = 104,        ///< of another cluster
  ineligible_replica = 107,             ///< a replica that may not join the ISR now: fenced, or another run of it
  fenced_member_epoch = 110,            ///< the group has gone on without this member: give all up, join again
  unreleased_instance_id = 111,         ///< another member has this group instance id, and lives
  unsupported_assignor = 112,           ///< no such assignor
  stale_member_epoch = 113,             ///< the member does not know its newest assignment yet: heartbeat, then retry
  invalid_regular_expression = 128,     ///< a pattern for topics that does not compile; says where
  storage_full = 200,                   ///< no space: nothing was written, reads go on, retry when space is back
  stale_log_view = 201,                 ///< the log was truncated after this view was taken: take a new view
  log_offline = 202,                    ///< the log failed earlier and has to be recovered before it serves again
  invalid_argument = 203,               ///< the caller's request makes no sense; names the field
  not_found = 204,                      ///< no such file, key or entry
  wrong_owner = 205,                    ///< a data directory of another node or cluster, or locked by another process
  overloaded = 206,                     ///< refused at the door: a queue or budget is full, retry later
  conflict = 207,                       ///< the same idempotency key with another body, or a condition that does not hold
  cancelled = 208,                      ///< the caller no longer wants the answer
  log_damaged = 209,  ///< promised records of the log are lost: nothing was written, reads before them go on, do not retry
  leadership_lost = 210,  ///< the leader was replaced after it had appended: outcome unknown
  unknown_error = 255,    ///< Kafka's UNKNOWN_SERVER_ERROR (-1)
};

/// The name of `code` as Kafka writes it, lower case with underscores: "offset_out_of_range".
std::string_view to_string(Errc code) noexcept;

/// A code to react to and one sentence to read: what, where, got, wanted.
struct Error {
  Errc code;
  std::string message;

  /// The same error with `context` and ": " before its message.
  [[nodiscard]] Error with_context(std::string_view context) const;
};

/// "corrupt_message: batch at 4096 in 00000000000000000042.log: crc 9f31 != 0c77"
std::string to_string(const Error& error);

}  // namespace troupe
