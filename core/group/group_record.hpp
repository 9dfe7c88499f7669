#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/group/classic_record.hpp"
#include "core/group/group_member.hpp"

/// What `__consumer_offsets` says, one fact a record. The key names the fact, so that compaction keeps the last of each; a record without
/// a value takes the fact away. docs/formats/group-records.md
namespace troupe::group {

/// Where a group stands in a partition.
struct CommittedOffset {
  TopicId topic_id = {};  ///< a topic that was deleted and made again has another: this does not count for it
  Offset offset{0};       ///< the next record to read
  LeaderEpoch leader_epoch = no_leader_epoch;  ///< of the record before; none: not known
  std::string metadata = {};                   ///< of the committer's own, at most 4,096 bytes
  TimestampMs committed_at = no_timestamp;
  /// Counts the resets from outside: a commit by a member that has not heard of the last one is refused.
  std::int32_t reset_epoch = 0;

  friend bool operator==(const CommittedOffset&, const CommittedOffset&) = default;
};

/// Kafka's OffsetCommitKey 1 and OffsetCommitValue 4: other people's tools read them.
struct OffsetRecord {
  std::string group = {};
  std::string topic = {};
  PartitionId partition{0};
  std::optional<CommittedOffset> value = {};

  friend bool operator==(const OffsetRecord&, const OffsetRecord&) = default;
};

/// The group itself.
struct GroupRecord {
  struct Value {
    GroupEpoch epoch{0};
    GroupEpoch target_epoch{0};              ///< the epoch that the members' targets were computed for
    TimestampMs empty_since = no_timestamp;  ///< since when it has had no members; none: it has some
    std::int32_t pause_epoch = 0;            ///< counts pauses and resumes: it is paused while this is odd

    bool is_paused() const { return pause_epoch % 2 != 0; }

    friend bool operator==(const Value&, const Value&) = default;
  };
  std::string group = {};
  std::optional<Value> value = {};

  friend bool operator==(const GroupRecord&, const GroupRecord&) = default;
};

struct MemberRecord {
  std::string group = {};
  std::string member = {};
  std::optional<MemberProfile> value = {};

  friend bool operator==(const MemberRecord&, const MemberRecord&) = default;
};

/// What a member shall own.
struct TargetRecord {
  std::string group = {};
  std::string member = {};
  std::optional<PartitionList> value = {};

  friend bool operator==(const TargetRecord&, const TargetRecord&) = default;
};

/// What it owns. Without a value: nothing, and it is not a member.
struct AssignmentRecord {
  std::string group = {};
  std::string member = {};
  std::optional<MemberAssignment> value = {};

  friend bool operator==(const AssignmentRecord&, const AssignmentRecord&) = default;
};

/// A consumer instance of the REST proxy: what it is, and which node has it.
struct InstanceEntry {
  BrokerId host{-1};
  Offset host_epoch = no_offset;  ///< that node's registration, as the coordinator saw it
  std::int32_t epoch = 0;         ///< grows with each node that has it
  ByteBuffer definition = {};     ///< the doors' own: core/consumer/rest_calls.hpp

  friend bool operator==(const InstanceEntry&, const InstanceEntry&) = default;
};
struct InstanceRecord {
  std::string group = {};
  std::string name = {};
  std::optional<InstanceEntry> value = {};

  friend bool operator==(const InstanceRecord&, const InstanceRecord&) = default;
};

using Record = std::variant<OffsetRecord, GroupRecord, MemberRecord, TargetRecord, AssignmentRecord, InstanceRecord,
                            ClassicGroupRecord, ClassicMemberRecord, ClassicShareRecord>;

struct EncodedRecord {
  ByteBuffer key = {};
  std::optional<ByteBuffer> value = {};
};
EncodedRecord encode(const Record& record);

/// nullopt: a kind of record that this version does not know, to be passed over. Errors: corrupt_message.
Result<std::optional<Record>> decode(ByteView key, std::optional<ByteView> value);

}  // namespace troupe::group
