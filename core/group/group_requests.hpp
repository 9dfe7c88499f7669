#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "core/group/group_record.hpp"

/// What members and operators ask of a group's coordinator.
namespace troupe::group {

/// "I am there", and everything else a member has to say. In the order in which the member sent them.
///
///   it joins        epoch 0 (`joining`), `profile`; it owns nothing. Also after it was fenced, and when the answer to its join got lost
///   it goes on      the epoch of the last answer; `profile` when it changed; `owned` when that changed, an answer got lost, or a commit
///                   was refused: it is told everything again
///   it leaves       -1 (`leaving`); a static member that will be back -2 (`leaving_for_a_while`): its partitions wait for it
/// Source: KIP-848, ConsumerGroupHeartbeat.
struct HeartbeatRequest {
  std::string group = {};
  std::string member = {};  ///< chosen by the member, for one run of it
  GroupEpoch epoch = joining;
  std::optional<MemberProfile> profile = {};
  std::optional<PartitionList> owned = {};  ///< what it reads now
  /// How many records wait in each partition that it reads, for the assignor `load`. Others are not asked.
  std::vector<std::pair<TopicIdPartition, std::int64_t>> waiting = {};
};

struct AssignedPartition {
  TopicIdPartition partition = {};
  /// When it is another one than the member knows: its position was reset, it goes on from the committed offset.
  std::int32_t reset_epoch = 0;

  friend bool operator==(const AssignedPartition&, const AssignedPartition&) = default;
};

struct HeartbeatAnswer {
  GroupEpoch epoch{0};
  Millis heartbeat_interval_ms = 0;
  /// All that it may read, from now on; it gives up what is not in it, and says so by `owned`. nullopt: what it was told last.
  std::optional<std::vector<AssignedPartition>> assignment = {};
  bool paused = false;  ///< with an assignment: it reads nothing until it is told otherwise, and keeps what it has

  friend bool operator==(const HeartbeatAnswer&, const HeartbeatAnswer&) = default;
};

/// Who commits. Without a member: somebody who reads the topic without being one of the group, which may have no members then.
struct Committer {
  std::string member = {};
  GroupEpoch epoch{-1};          ///< a classic member's generation
  std::string instance_id = {};  ///< of a classic static member, if it says so
};

struct OffsetToCommit {
  std::string topic = {};
  PartitionId partition{0};
  Offset offset{0};  ///< the next record to read
  LeaderEpoch leader_epoch = no_leader_epoch;
  std::string metadata = {};
  std::int32_t reset_epoch = 0;  ///< as of the assignment
};
struct CommitRequest {
  std::string group = {};
  Committer committer = {};
  std::vector<OffsetToCommit> offsets = {};
};

struct GroupPartition {
  std::string topic = {};
  PartitionId partition{0};

  friend auto operator<=>(const GroupPartition&, const GroupPartition&) = default;
};

/// Where the group stands. A member asks by its name and epoch for what it owns: a coordinator that was deposed, and does not know it, does
/// not know that epoch, or that it owns that.
struct OffsetsRequest {
  std::string group = {};
  Committer asker = {};
  std::optional<std::vector<GroupPartition>> partitions = {};  ///< nullopt: all with a committed offset
};
/// nullopt: nothing is committed, or it was for an earlier topic of that name.
using Position = std::pair<GroupPartition, std::optional<CommittedOffset>>;

/// Where the group is to go on, whoever reads and whether anybody does. Members that own one of the partitions are told.
struct ResetRequest {
  struct Position {
    GroupPartition partition = {};
    Offset offset{0};
  };
  std::string group = {};
  std::vector<Position> positions = {};
};

/// Members of a paused group stay, keep their partitions and may commit, but read nothing, whoever joins.
struct PauseRequest {
  std::string group = {};
  bool paused = true;  ///< false: it goes on
};

// --- for those who watch ------------------------------------------------------------------------------------------------------------

/// Kafka's words. Source: KIP-848. Part of the wire between nodes: never renumber.
enum class GroupState : std::uint8_t {
  empty = 0,        ///< no members
  reconciling = 1,  ///< some member is not yet where it shall be
  stable = 2,
  preparing_rebalance = 3,   ///< of a classic group: its members are called together
  completing_rebalance = 4,  ///< of a classic group: its leader is to assign
};
std::string_view to_string(GroupState state) noexcept;

/// Who assigns. Kafka's words. Part of the wire between nodes: never renumber.
enum class GroupType : std::uint8_t {
  consumer = 0,  ///< the coordinator
  classic = 1,   ///< the members among themselves
};
std::string_view to_string(GroupType type) noexcept;

struct MemberDescription {
  std::string member = {};
  MemberProfile profile = {};
  MemberAssignment current = {};
  PartitionList target = {};
  // Of a classic group, as the members sent them. What can be read of them is above, too.
  std::string metadata = {};
  std::string assignment = {};
};
struct GroupDescription {
  std::string group = {};
  GroupState state = GroupState::empty;
  GroupEpoch epoch{0};        ///< a classic group's generation
  std::string assignor = {};  ///< a classic group's protocol; empty: none was chosen yet
  std::vector<MemberDescription> members = {};
  GroupType type = GroupType::consumer;
  std::string protocol_type = {};  ///< of a classic group
  std::string leader = {};         ///< as above; a member's id
  bool paused = false;
};
struct GroupListing {
  std::string group = {};
  GroupState state = GroupState::empty;
  std::size_t members = 0;
  GroupEpoch epoch{0};        ///< 0: it never had members, somebody commits in its name
  std::string assignor = {};  ///< of its members
  GroupType type = GroupType::consumer;
  std::string protocol_type = {};  ///< of a classic group
  bool paused = false;
};

}  // namespace troupe::group
