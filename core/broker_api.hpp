#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/metadata/topic_image.hpp"
#include "core/metadata/topic_requests.hpp"
#include "core/record/batch_builder.hpp"
#include "core/reply.hpp"

/// What the doors (http, kafka, processors) may ask of a node. They know nothing else of it.
namespace troupe {

class ClusterApi;
class ConsumerApi;
class GroupApi;

/// Names a call for `BrokerApi::cancel`. 0: a call that was over at once.
using CallId = std::uint64_t;

// --- produce ----------------------------------------------------------------------------------------------------------------------

/// Who has to hold a record before the producer hears of it.
enum class Acks : std::uint8_t {
  none,    ///< nobody: the answer comes when the request was taken, and says nothing
  leader,  ///< the partition's leader
  quorum,  ///< all in-sync replicas, at least min.insync.replicas of them
};

/// One record to produce. Views into the request's `memory`.
struct ProduceRecord {
  std::optional<ByteView> key = {};
  std::optional<ByteView> value = {};
  std::vector<record::RecordHeader> headers = {};
  TimestampMs timestamp = no_timestamp;       ///< none: the broker's time
  std::optional<PartitionId> partition = {};  ///< none: by key, else a partition of the broker's choice
};

/// Makes a retry harmless: the same id and sequence again is answered with the first one's result. Design section 5.
struct IdempotenceKey {
  std::string client_id = {};  ///< Idempotency-Key, or `pid`; 1 to 256 bytes
  std::uint64_t sequence = 0;  ///< `seq`; 0 for an Idempotency-Key
};

struct ProduceRequest {
  metadata::TopicPtr topic = {};
  Bytes memory = {};  ///< what the records point into
  std::vector<ProduceRecord> records = {};
  Acks acks = Acks::quorum;
  std::optional<IdempotenceKey> idempotence = {};
  Millis timeout_ms = 30'000;
  bool internal = false;  ///< by the node itself, into a topic of the system's own ("__"); no door sets it
};

/// Where a record is.
struct ProducedRecord {
  PartitionId partition = {};
  Offset offset = no_offset;  ///< none with Acks::none
  TimestampMs timestamp = no_timestamp;
  bool duplicate = false;  ///< it was there already: a retry
};

/// One entry a record, in the request's order. Errors: unknown_topic_or_partition, message_too_large, invalid_timestamp,
/// leader_not_available, not_enough_replicas, storage_full, overloaded, log_offline (nothing was written); storage_error,
/// request_timed_out, not_enough_replicas_after_append (it may have been written); conflict (idempotence key with another body).
struct ProduceResponse {
  std::vector<Result<ProducedRecord>> records = {};
};

/// One of several calls of `produce`.
struct ProduceCall {
  ProduceRequest request = {};
  Reply<ProduceResponse> reply = {};
};

// --- read -------------------------------------------------------------------------------------------------------------------------

/// Committed batches of one partition from `from` on.
struct FetchRequest {
  TopicIdPartition partition = {};
  Offset from{0};
  std::size_t bytes_max = std::size_t{1} << 20;  ///< at least one batch is returned when there is one
  Offset up_to = Offset::max();                  ///< no batch that begins at or above it
  Millis wait_ms_max = 0;                        ///< when there is nothing at `from`: wait that long for something
};
struct FetchResponse {
  Bytes batches = {};     ///< whole batches; the first may begin before `from`, skip its records below
  Offset next_offset{0};  ///< where to read on
  Offset log_start_offset{0};
  Offset high_watermark{0};
  LeaderEpoch leader_epoch{0};
};

/// A position to look up.
struct OffsetSpec {
  enum class Kind : std::uint8_t { earliest, latest, timestamp };
  Kind kind = Kind::latest;
  TimestampMs timestamp = no_timestamp;  ///< with Kind::timestamp: the first record at or after it, else the end
};
struct OffsetAnswer {
  Offset offset{0};
  Offset log_start_offset{0};
  Offset high_watermark{0};
  LeaderEpoch leader_epoch{0};  ///< no_leader_epoch: told by a follower, which may not know of all that is committed
};

// --- the hot tail -------------------------------------------------------------------------------------------------------------------

/// What happened to a partition that somebody listens to. Events of one attachment come in order and without holes: `from` is the
/// `next_offset` of the one before.
struct TailEvent {
  enum class Kind : std::uint8_t {
    attached,  ///< the first: records below `next_offset` are to be fetched, what comes later comes here
    records,   ///< [from, next_offset) has been committed
    ended,     ///< no further event: see `reason`; attach again, or give up when the topic is gone
  };
  Kind kind = Kind::records;
  TopicIdPartition partition = {};
  LeaderEpoch leader_epoch{0};
  Offset from{0};
  Offset next_offset{0};  ///< the high watermark
  Offset log_start_offset{0};
  Bytes batches = {};  ///< whole batches of [from, next_offset); empty when the listener is behind: fetch them
  std::optional<Error> reason =
      {};  ///< of `ended`: unknown_topic_or_partition (deleted), not_leader_or_follower, leader_not_available

  /// Held by whoever still works on the event: what is held counts against the listener's budget (docs/limits.md), and beyond that
  /// `batches` is left empty.
  std::shared_ptr<void> credit = {};
};

/// Called on a thread of the broker's, one call at a time: posts to its own thread and returns.
class TailListener {
 public:
  virtual ~TailListener() = default;
  virtual void on_tail(TailEvent event) = 0;
};

/// Detaches when it is destroyed; an event on its way may still come.
class TailAttachment {
 public:
  virtual ~TailAttachment() = default;
};

// --- topics -------------------------------------------------------------------------------------------------------------------------

// CreateTopicRequest, AlterTopicRequest: core/metadata/topic_requests.hpp

struct DeleteRecordsRequest {
  TopicIdPartition partition = {};
  Offset before{0};
};
struct Nothing {};

// --- for people and machines that watch --------------------------------------------------------------------------------------------

/// One actor. `path` names it and its supervisors: "node/log/disk_worker".
struct ActorInfo {
  std::string kind = {};
  std::string name = {};
  std::string parent = {};  ///< name of its supervisor; empty for the root
  std::string state = {};   ///< starting, running, waiting_restart, stopping, stopped, failed
  std::uint64_t mailbox_depth = 0;
  std::uint64_t messages_handled = 0;
  std::optional<Millis> busy_ms = {};  ///< in a handler for that long
  std::uint64_t restarts = 0;
  std::optional<std::string> last_error = {};
};

struct HealthCheck {
  std::string name = {};
  bool ok = false;
  std::string detail = {};  ///< one sentence
};
struct HealthReport {
  bool ready = false;    ///< serves clients
  bool healthy = false;  ///< and everything is as it should be
  std::vector<HealthCheck> checks = {};
};

struct ClusterInfo {
  Uuid cluster_id = {};
  BrokerId node_id{0};
  BrokerId controller_id{-1};
  std::vector<metadata::BrokerImage> brokers = {};
};

/// One node's service. Thread-safe; calls do not block. Answers come on a thread of the node's, and may come before the call
/// returns. Every call is answered once, within its timeout.
class BrokerApi {
 public:
  virtual ~BrokerApi() = default;

  // What this node knows, at once.
  /// Whether it knows its topics yet. Until then it is starting, and a door says so instead of "no such topic". Cheap.
  virtual bool ready() const = 0;
  virtual ClusterInfo cluster() const = 0;
  /// nullptr: no such topic.
  virtual metadata::TopicPtr topic(std::string_view name) const = 0;
  virtual metadata::TopicPtr topic(const TopicId& id) const = 0;
  /// Sorted by name, internal ones included.
  virtual std::vector<metadata::TopicPtr> topics() const = 0;
  virtual HealthReport health() const = 0;
  virtual std::vector<ActorInfo> actor_tree() const = 0;
  /// The cluster as a whole, and what operators do to it: core/cluster_api.hpp
  virtual ClusterApi& cluster_api() = 0;
  /// Consumer groups, wherever they are coordinated: core/group_api.hpp
  virtual GroupApi& group_api() = 0;
  /// Members of groups on this node: core/consumer_api.hpp
  virtual ConsumerApi& consumer_api() = 0;

  virtual CallId produce(ProduceRequest request, Reply<ProduceResponse> reply) = 0;
  /// As `produce` for each of them, in order, for little more than the price of one: what a thread's turn has gathered.
  virtual void produce_all(std::vector<ProduceCall> calls) = 0;
  /// Errors: offset_out_of_range (the message names start and end), unknown_topic_or_partition, leader_not_available, log_offline,
  /// corrupt_message, storage_error, overloaded, cancelled.
  virtual CallId fetch(FetchRequest request, Reply<FetchResponse> reply) = 0;
  virtual CallId find_offset(TopicIdPartition partition, OffsetSpec spec, Reply<OffsetAnswer> reply) = 0;
  /// The answer is wanted no more: a call that waits is answered with `cancelled`, if it had not been answered.
  virtual void cancel(CallId call) = 0;

  /// Events begin with `attached`, or `ended` when there is no such partition.
  virtual std::unique_ptr<TailAttachment> attach_tail(TopicIdPartition partition,
                                                      std::shared_ptr<TailListener> listener) = 0;

  /// Errors: topic_already_exists, invalid_topic_exception, invalid_partitions, invalid_replication_factor, invalid_config,
  /// policy_violation (as many topics or partitions as there may be); of all changes: storage_full, overloaded, leader_not_available
  /// (nothing was written), request_timed_out (outcome unknown).
  virtual CallId create_topic(CreateTopicRequest request, Reply<metadata::TopicPtr> reply) = 0;
  /// Errors: unknown_topic_or_partition, topic_authorization_failed (an internal topic), invalid_partitions, invalid_config,
  /// policy_violation.
  virtual CallId alter_topic(AlterTopicRequest request, Reply<metadata::TopicPtr> reply) = 0;
  /// Errors: unknown_topic_or_partition, topic_authorization_failed (an internal topic).
  virtual CallId delete_topic(std::string name, Reply<Nothing> reply) = 0;
  /// Records below `before` no longer exist; at most up to the high watermark. Answers the new log start offset.
  virtual CallId delete_records(DeleteRecordsRequest request, Reply<Offset> reply) = 0;
};

}  // namespace troupe
