#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "core/group/group_member.hpp"
#include "core/ids.hpp"
#include "core/reply.hpp"

/// How a door reads as a member of a group: it is told what is its own, and gets the records of that, as far as it gives credit.
/// docs/consumers.md
namespace troupe {

/// Where a member begins in a partition in which its group has no position, or one that the log does not have (any more).
enum class OffsetReset : std::uint8_t {
  earliest,
  latest,
  none,  ///< nowhere: the consumer fails
};

/// How much may be delivered. Both are spent by whole batches: the last one may exceed them.
struct ConsumerCredit {
  std::int64_t records = 0;
  std::int64_t bytes = 0;  ///< of batches as they are stored
};

struct ConsumerOptions {
  std::string group = {};
  group::MemberProfile profile = {};
  /// Reads these, and is no member: the group is only where its positions are kept. That works while the group has no members.
  std::vector<TopicIdPartition> partitions = {};
  OffsetReset reset = OffsetReset::latest;
  bool auto_commit = true;  ///< what was `consumed`, every so often, when partitions go, and at the end
  Millis auto_commit_interval_ms = 5'000;
  bool comes_back = false;         ///< a static member that will be back: what it has waits for it when it closes
  Millis release_ms_max = 30'000;  ///< what it has not `released` that long after `ConsumerRevoking` goes all the same
  Millis request_ms_max = 30'000;  ///< a commit and a seek are answered within that
  ConsumerCredit credit = {};      ///< to begin with
  std::size_t fetch_bytes_max = std::size_t{1} << 20;  ///< of one partition at a time; one batch in any case
};

// --- what it is told ----------------------------------------------------------------------------------------------------------------

struct ConsumerPosition {
  TopicIdPartition partition = {};
  std::string topic = {};
  Offset next{0};       ///< the next record to be read
  bool chosen = false;  ///< nothing was committed: it begins where its reset policy says

  friend bool operator==(const ConsumerPosition&, const ConsumerPosition&) = default;
};

/// These are its own from now on. Records follow.
struct ConsumerAssigned {
  group::GroupEpoch epoch{0};
  std::vector<ConsumerPosition> partitions = {};
};
/// No records of these follow. What was consumed still counts until they are `released`, or `within_ms` is over.
struct ConsumerRevoking {
  group::PartitionList partitions = {};
  Millis within_ms = 0;
};
/// These are another's now, or nobody's.
struct ConsumerRevoked {
  group::PartitionList partitions = {};
  bool in_time = true;  ///< false: they went without having been released
};
/// The group has gone on without this member: these may be another's already, and what was not committed will be read again there. It
/// joins again by itself.
struct ConsumerLost {
  group::PartitionList partitions = {};
};
/// Committed records [from, next) of one partition: whole batches, of which the first may begin before `from`.
struct ConsumerRecords {
  TopicIdPartition partition = {};
  std::string topic = {};
  Offset from{0};
  Offset next{0};
  std::int64_t records = 0;  ///< by which the credit was spent
  Bytes batches = {};
};
/// It goes on at another position than the one behind what it got last.
struct ConsumerReset {
  enum class Reason : std::uint8_t {
    group,      ///< the group's position was set from outside
    seek,       ///< it asked for it
    retention,  ///< the records from `from` on are gone
    log_cut,    ///< the log ends before `from`: records that had been read were lost
  };
  Reason reason = Reason::group;
  TopicIdPartition partition = {};
  std::string topic = {};
  Offset from{0};
  Offset to{0};
};
/// The group is paused: no records follow until it goes on. What it has stays its own, and may be committed.
struct ConsumerPaused {
  bool paused = true;  ///< false: it goes on
};
/// It is no member, and will not be: nothing follows but `ConsumerClosed`, after `close` at the latest.
/// Errors: those of core/group/group_coordinator.hpp; offset_out_of_range (with OffsetReset::none); overloaded (as many consumers as a node
/// may have); coordinator_not_available.
struct ConsumerFailed {
  Error error;
};
/// It has left. The last event.
struct ConsumerClosed {};

using ConsumerEvent = std::variant<ConsumerAssigned, ConsumerRevoking, ConsumerRevoked, ConsumerLost, ConsumerRecords,
                                   ConsumerReset, ConsumerPaused, ConsumerFailed, ConsumerClosed>;

/// Called on a thread of the node's, one call at a time: posts to its own thread and returns.
class ConsumerListener {
 public:
  virtual ~ConsumerListener() = default;
  virtual void on_event(ConsumerEvent event) = 0;
};

// --- what it may ask ----------------------------------------------------------------------------------------------------------------

/// Where a seek goes.
struct SeekTarget {
  enum class Kind : std::uint8_t { offset, earliest, latest, timestamp };
  Kind kind = Kind::offset;
  Offset offset{0};
  TimestampMs timestamp = no_timestamp;  ///< the first record at or after it, else the end
};

/// What a commit came to in one partition: the position that is stored now. Errors: fenced_member_epoch (not its own any more),
/// stale_member_epoch (the position was reset meanwhile), request_timed_out.
struct CommittedPosition {
  TopicIdPartition partition = {};
  Result<Offset> next = Offset{0};
};

/// One member, or one reader without a group's members. Thread-safe; calls do not block. Destroyed without `close` it gives everything up
/// at once and leaves; the listener may be called until then.
class Consumer {
 public:
  virtual ~Consumer() = default;

  /// More may be delivered.
  virtual void credit(ConsumerCredit more) = 0;
  /// All records below `next` have been worked on: what an automatic commit stores. What was delivered before a `ConsumerReset` does
  /// not count after it, also when the listener has not heard of it yet.
  virtual void consumed(TopicIdPartition partition, Offset next) = 0;
  /// Stores these positions, which count as `consumed`; without any, all that was consumed. Answered when they are committed.
  virtual void commit(std::vector<std::pair<TopicIdPartition, Offset>> positions,
                      Reply<std::vector<CommittedPosition>> reply) = 0;
  /// It has let go of partitions that were `ConsumerRevoking`.
  virtual void released(group::PartitionList partitions) = 0;
  /// No records of these until `resume`; of all of them when none are named.
  virtual void pause(group::PartitionList partitions) = 0;
  virtual void resume(group::PartitionList partitions) = 0;
  /// Answers the new position, after `ConsumerReset`. Errors: fenced_member_epoch (not its own), request_timed_out.
  virtual void seek(TopicIdPartition partition, SeekTarget target, Reply<Offset> reply) = 0;
  /// Other topics, another pattern.
  virtual void change(group::MemberProfile profile) = 0;
  /// `ConsumerRevoking` for all it has, and then it leaves. Answered when it has.
  virtual void close(Reply<std::monostate> reply) = 0;
};

class InstanceLinks;

class ConsumerApi {
 public:
  virtual ~ConsumerApi() = default;

  /// To the REST proxy's instances on other nodes; null: there are none. core/consumer/instance_links.hpp
  virtual InstanceLinks* instance_links() { return nullptr; }

  /// Begins at once. What is wrong with it comes as `ConsumerFailed`. Any thread.
  virtual std::unique_ptr<Consumer> open(ConsumerOptions options, std::shared_ptr<ConsumerListener> listener) = 0;
};

}  // namespace troupe
