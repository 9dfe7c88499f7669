#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/group/group_requests.hpp"
#include "tests/sim/replication/sim_node.hpp"

namespace troupe::sim {

/// What a member's commit carries through the coordinator into the log, so that its record says who wrote it as of which epoch.
std::string commit_tag(const std::string& member, group::GroupEpoch epoch);

/// Reads the groups' topic as it is committed, record by record, and holds the named invariants against it and against what members
/// do. It has its own books and uses none of the coordinators' rules.
///
///   OneOwnerPerPartitionPerEpoch   no partition is `assigned` or `revoking` of two members; of two who read one, one's epoch is over
///   CommittedOffsetsNeverRetreat   an offset is not below the one before, unless by a reset that somebody asked for, or by the very
///                                  member that committed the one before, which reads again what lies behind a reset
///   NoRecordSkipped                what lies below a committed offset was worked on, or is gone from the log, or a reset passed over it
///   AssignmentIsBalanced           uniform, equal subscriptions: targets differ by one partition at most
///   StickyMovesAreMinimal          and no others as equal would leave more partitions where they were
///   FencedMembersCannotCommit      a commit in the log is of who owned the partition there, in its epoch or the one before
///   AcknowledgedCommitsAreKept     a commit that was answered is in the log
class GroupJudge {
 public:
  explicit GroupJudge(SimWorld& world) : world_(world), next_(world.topics.back().count, Offset{0}) {}

  /// All that is committed by now.
  void catch_up();
  void reset_asked(const std::string& group, const group::GroupPartition& partition, Offset to);
  /// A member has worked on a record of partition `number` of the data.
  void worked(const std::string& group, std::size_t number, Offset offset);
  /// A member was told that this is committed.
  void acknowledged(const std::string& group, const std::string& member, const group::GroupPartition& partition,
                    Offset next);
  /// Two members that run have the same partition.
  void both_own(const std::string& group, const TopicIdPartition& partition, const std::string& one,
                group::GroupEpoch epoch_of_one, const std::string& other, group::GroupEpoch epoch_of_other);

  std::optional<Offset> committed(const std::string& group, const group::GroupPartition& partition) const;

 private:
  struct Member {
    group::MemberProfile profile = {};
    group::MemberAssignment current = {};
    group::PartitionList target = {};
  };
  struct Group {
    std::map<std::string, Member> members = {};
    std::map<std::string, group::PartitionList> targets_before = {};  ///< of the epoch before, by instance or member
    std::map<group::GroupPartition, group::CommittedOffset> offsets = {};
    std::map<group::GroupPartition, std::set<Offset>> resets = {};  ///< that were asked for
    std::map<group::GroupPartition, Offset> reset_to = {};          ///< the last one that is committed
    std::set<std::pair<group::GroupPartition, std::pair<std::string, Offset>>> commits = {};  ///< who committed what
    std::map<std::size_t, std::vector<bool>> worked = {};
  };

  void fail(const std::string& invariant, const std::string& what) { world_.invariants.fail(invariant, what); }
  void take(const group::OffsetRecord& record);
  void take(const group::GroupRecord& record);
  void take(const group::MemberRecord& record);
  void take(const group::TargetRecord& record);
  void take(const group::AssignmentRecord& record);
  void check_owners(const std::string& name, const Group& group);
  void check_targets(const std::string& name, const Group& group);
  void check_skipped(const std::string& name, Group& group, const group::OffsetRecord& record);
  bool is_current(const std::string& group, const std::string& member, group::GroupEpoch epoch) const;

  SimWorld& world_;
  std::vector<Offset> next_;  ///< of each partition of the groups' topic
  std::map<std::string, Group> groups_;
};

}  // namespace troupe::sim
