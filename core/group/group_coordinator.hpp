#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/group/classic_group.hpp"
#include "core/group/consumer_group.hpp"
#include "core/group/group_instances.hpp"
#include "core/group/group_rules.hpp"
#include "core/group/member_deadlines.hpp"

namespace troupe::group {

/// All groups of one partition of `__consumer_offsets`: their members, their assignments, their offsets. Pure.
///
///   a log that is led from now on --> replay ... replay --> begin --> requests --> (answer, Turn) --> append the Turn's records
///                                                                      when they are committed: the answer goes out
///
/// Who owns it appends what a turn wrote as one batch, in the order of the turns, and lets no answer out before all records that were
/// written before it are committed: then nobody hears of what a successor does not know. When an append fails, or the leadership
/// ends, the machine is thrown away. It is as its successor will find it in the log, but for the deadlines, which begin anew.
/// Invariants G1 to G3.
class GroupCoordinator {
 public:
  struct Options {
    GroupLimits limits = {};
    GroupInstances::Limits instances = {};
    Millis heartbeat_interval_ms = 3'000;       ///< or a third of the session timeout, when that is less
    Millis offsets_retention_ms = 604'800'000;  ///< of a group without members; a week
    Millis expiry_interval_ms = 60'000;         ///< how often that is looked for
    Millis initial_rebalance_delay_ms = 500;    ///< of a classic group: ClassicRules::initial_delay_ms
  };

  explicit GroupCoordinator(Options options, metadata::ImagePtr image)
      : options_(options), image_(std::move(image)), instances_(options_.instances) {}

  void replay(const Record& record);
  /// All records are in. Members have their full time from now on, but for those whose nodes have gone meanwhile.
  void begin(Now now, Turn& turn);
  /// The topics are these now.
  void update(const metadata::ImageDelta& delta, Now now, Turn& turn);

  /// Errors: invalid_group_id, unknown_member_id, fenced_member_epoch, fenced_instance_id, unreleased_instance_id,
  /// group_max_size_reached, inconsistent_group_protocol (a classic group with members), policy_violation (as many groups as there may be),
  /// and those of check_profile.
  Result<HeartbeatAnswer> heartbeat(const HeartbeatRequest& request, Now now, Turn& turn);
  /// That node is fenced, or its process is gone, and its members with it: they are out before their deadlines. Static members have their
  /// session timeout to come back (KIP-345).
  void node_lost(BrokerId node, Now now, Turn& turn);
  /// Says where a member lives that heartbeats from there.
  void place(MemberProfile& profile, BrokerId node) const;
  /// -1: not known.
  BrokerId node_of(const MemberName& member) const;

  // --- members of classic groups: core/group/classic_group.hpp. A group without members can become one of the other type.

  /// The answer is in this turn or in a later one. Errors: those of ClassicGroup::join and check_join; invalid_group_id, policy_violation;
  /// inconsistent_group_protocol for a group with members whose coordinator assigns.
  void join(const ClassicJoinRequest& request, CallToken call, Now now, Turn& turn);
  /// As above. Errors: those of ClassicGroup::sync.
  void sync(const ClassicSyncRequest& request, CallToken call, Now now, Turn& turn);
  /// Errors: those of ClassicGroup::heartbeat.
  Status heartbeat(const ClassicHeartbeatRequest& request, Now now, Turn& turn);
  /// One answer a leaver: unknown_member_id, fenced_instance_id.
  std::vector<Status> leave(const ClassicLeaveRequest& request, Now now, Turn& turn);

  /// One answer an offset: unknown_topic_or_partition, offset_metadata_too_large, invalid_argument (a negative offset), fenced_member_epoch
  /// (the member does not own the partition), stale_member_epoch (the position was reset meanwhile).
  /// Errors for all: invalid_group_id, unknown_member_id, stale_member_epoch (not the member's epoch), policy_violation.
  /// In a classic group any member commits what it wants. Errors for all there: those of ClassicGroup::check_commit.
  Result<std::vector<Status>> commit(const CommitRequest& request, Now now, Turn& turn);

  /// Errors, for members only: unknown_member_id, stale_member_epoch, fenced_member_epoch (not its partition); those of `commit` in a
  /// classic group.
  Result<std::vector<Position>> offsets(const OffsetsRequest& request) const;
  /// As `commit`, by an operator, whatever members there are. Errors for all: non_empty_group (members of a classic group cannot be told).
  Result<std::vector<Status>> reset(const ResetRequest& request, Now now, Turn& turn);

  /// Errors: group_id_not_found, inconsistent_group_protocol (a classic group).
  Status pause(const PauseRequest& request, Turn& turn);

  /// With its offsets. Errors: group_id_not_found, non_empty_group.
  Status delete_group(const std::string& group, Turn& turn);
  /// One answer a partition: unknown_topic_or_partition (nothing is committed), group_subscribed_to_topic. Errors: group_id_not_found.
  Result<std::vector<Status>> delete_offsets(const std::string& group, const std::vector<GroupPartition>& partitions,
                                             Turn& turn);

  /// Consumer instances of the REST proxy. Who makes one or takes one over is the member that the instance was before, and has at once
  /// what that had (KIP-345). Errors: those of GroupInstances::answer.
  Result<InstanceEntry> instance(const InstanceRequest& request, BrokerId from, Now now, Turn& turn);

  std::vector<GroupListing> list() const;
  /// Errors: group_id_not_found.
  Result<GroupDescription> describe(const std::string& group) const;

  std::optional<MonotonicMs> next_deadline() const;
  void on_deadline(Now now, Turn& turn);

  std::size_t group_count() const { return groups_.size(); }

 private:
  struct Group {
    explicit Group(const std::string& name) : members(name) {}
    Group(const Group& other)
        : members(other.members),
          offsets(other.offsets),
          classic(other.classic ? std::make_unique<ClassicGroup>(*other.classic) : nullptr),
          looked_at(other.looked_at) {}
    Group& operator=(const Group&) = delete;
    ConsumerGroup members;
    std::map<GroupPartition, CommittedOffset> offsets = {};
    std::unique_ptr<ClassicGroup> classic = {};  ///< null: it is none
    std::optional<MonotonicMs> looked_at = {};   ///< when `classic` is, its place in classic_queue_

    bool has_members() const { return !members.empty() || has_classic_members(); }
    bool has_classic_members() const { return classic && !classic->empty(); }
    bool is_classic() const { return classic && (!classic->empty() || classic->value()); }
  };

  template <class One>
  void replay_of_group(const One& record);
  Group* find(const std::string& name);
  const Group* find(const std::string& name) const;
  Result<Group*> find_or_make(const std::string& name);
  Group& entry(const std::string& name);
  void drop_if_void(const std::string& name);
  void erase(const std::string& name, Turn& turn);

  ClassicGroup& classic_of(Group& group);
  Result<ClassicGroup*> find_classic(const std::string& group, const std::string& member);
  void begin_classic(Now now, Turn& turn);
  void look_at_classic(Now now, Turn& turn);
  /// After every call of a classic group: what it became of the group, and when it is looked at again.
  void settle(const std::string& name, Turn& turn);
  /// It is to have members of the other type.
  void end_classic(Group& group, Turn& turn);

  Status join(Group& group, const HeartbeatRequest& request, Now now, Turn& turn);
  Result<HeartbeatAnswer> leave(Group& group, const HeartbeatRequest& request, Now now, Turn& turn);
  HeartbeatAnswer answer(Group& group, const std::string& member, bool tell);
  void remove(const std::string& group, const std::vector<std::string>& members, Now now, Turn& turn);
  void lost(const std::vector<MemberName>& members, Now now, Turn& turn);
  template <class Gone>
  void remove_if_gone(Gone gone, Now now, Turn& turn);

  /// A member of that epoch, or of the one before: the answer that told it of its new one may be on its way.
  Status check_member(const std::string& name, const Committer& committer) const;
  Status check_committer(const std::string& name, const Committer& committer) const;
  /// A member that owns what it asks for.
  Status check_asker(const OffsetsRequest& request) const;
  Status commit_one(Group& group, const Committer& committer, const OffsetToCommit& offset, Now now, Turn& turn);
  void put(Group& group, const GroupPartition& partition, std::optional<CommittedOffset> value, Turn& turn);
  const CommittedOffset* committed(const Group& group, const GroupPartition& partition, const TopicId& topic) const;
  void expire(Now now, Turn& turn);
  void forget_topics(const std::vector<metadata::TopicPtr>& topics, Turn& turn);

  const Options options_;
  metadata::ImagePtr image_;
  std::map<std::string, Group> groups_;
  GroupInstances instances_;
  MemberDeadlines deadlines_;
  MonotonicMs next_expiry_{0};
  std::set<std::pair<MonotonicMs, std::string>> classic_queue_;  ///< classic groups by when they are to be looked at
};

}  // namespace troupe::group
