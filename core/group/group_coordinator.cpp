#include "core/group/group_coordinator.hpp"

#include <algorithm>

namespace troupe::group {
namespace {

Error no_such_group(const std::string& name) { return {Errc::group_id_not_found, "there is no group '" + name + "'"}; }

Error no_such_partition(const GroupPartition& partition) {
  return {Errc::unknown_topic_or_partition,
          "there is no partition " + to_string(partition.partition) + " of a topic '" + partition.topic + "'"};
}

Error not_its_own(const GroupPartition& partition, const Committer& who) {
  return {Errc::fenced_member_epoch, "partition " + to_string(partition.partition) + " of '" + partition.topic +
                                         "' does not belong to the member '" + who.member + "'"};
}

/// nullptr: no such partition.
metadata::TopicPtr topic_of(const metadata::MetadataImage& image, const GroupPartition& partition) {
  auto topic = image.find_topic(partition.topic);
  const auto number = partition.partition.value();
  return topic != nullptr && number >= 0 && number < topic->partition_count() ? topic : nullptr;
}

}  // namespace

GroupCoordinator::Group* GroupCoordinator::find(const std::string& name) {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : &found->second;
}

const GroupCoordinator::Group* GroupCoordinator::find(const std::string& name) const {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : &found->second;
}

GroupCoordinator::Group& GroupCoordinator::entry(const std::string& name) {
  return groups_.try_emplace(name, name).first->second;
}

Result<GroupCoordinator::Group*> GroupCoordinator::find_or_make(const std::string& name) {
  if (auto* group = find(name)) return group;
  if (groups_.size() >= options_.limits.groups_max) {
    return Error{Errc::policy_violation, "the coordinator of '" + name + "' has " + std::to_string(groups_.size()) +
                                             " groups, the most that it may have: delete some"};
  }
  return &entry(name);
}

void GroupCoordinator::drop_if_void(const std::string& name) {
  const auto* group = find(name);
  const bool is_void = group != nullptr && group->members.empty() && group->offsets.empty() &&
                       group->members.value().epoch == GroupEpoch{0} && !group->members.value().is_paused() &&
                       group->classic == nullptr;
  if (is_void) groups_.erase(name);
}

void GroupCoordinator::erase(const std::string& name, Turn& turn) {
  const auto found = groups_.find(name);
  end_classic(found->second, turn);
  turn.records.push_back(GroupRecord{name, std::nullopt});
  groups_.erase(found);
}

// --- the log --------------------------------------------------------------------------------------------------------------------------

void GroupCoordinator::replay(const Record& record) {
  std::visit(
      [this](const auto& one) {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, InstanceRecord>) {
          return instances_.apply(one, MonotonicMs{0});
        } else {
          return replay_of_group(one);
        }
      },
      record);
}

template <class One>
void GroupCoordinator::replay_of_group(const One& one) {
  auto& group = entry(one.group);
  if constexpr (std::is_same_v<std::decay_t<decltype(one)>, OffsetRecord>) {
    const GroupPartition partition{one.topic, one.partition};
    if (one.value) {
      group.offsets[partition] = *one.value;
    } else {
      group.offsets.erase(partition);
    }
  } else if constexpr (requires { group.members.apply(one); }) {
    group.members.apply(one);
  } else {
    classic_of(group).apply(one);
    if (!one.value && group.classic->is_nothing()) group.classic.reset();
  }
  if (!one.value) drop_if_void(one.group);
}

void GroupCoordinator::begin(Now now, Turn& turn) {
  instances_.begin(now.monotonic);
  for (auto& [name, group] : groups_) {
    group.members.drop_unknown();
    group.members.tell_pauses();
    for (const auto& [id, member] : group.members.members()) deadlines_.heard({name, id}, member, now.monotonic);
    group.members.refresh(*image_, now.wall, turn);
  }
  begin_classic(now, turn);
  remove_if_gone(
      [this](const MemberProfile& profile) {
        const auto* node = image_->find_broker(profile.node);
        return node == nullptr || node->fenced || node->broker_epoch > profile.node_epoch;
      },
      now, turn);
  next_expiry_ = now.monotonic + options_.expiry_interval_ms;
}

void GroupCoordinator::update(const metadata::ImageDelta& delta, Now now, Turn& turn) {
  image_ = delta.after;
  forget_topics(delta.deleted, turn);
  for (auto& [name, group] : groups_) {
    const auto reads = [&members = group.members](const metadata::TopicPtr& topic) {
      return members.subscribes_to(topic->name);
    };
    const bool concerned = std::ranges::any_of(delta.created, reads) || std::ranges::any_of(delta.changed, reads) ||
                           std::ranges::any_of(delta.deleted, reads);
    if (concerned) group.members.refresh(*image_, now.wall, turn);
  }
}

void GroupCoordinator::forget_topics(const std::vector<metadata::TopicPtr>& topics, Turn& turn) {
  if (topics.empty()) return;
  for (auto at = groups_.begin(); at != groups_.end();) {
    auto& [name, group] = *at++;  // the group may go with its last offset
    std::vector<GroupPartition> gone;
    for (const auto& topic : topics) {
      for (auto one = group.offsets.lower_bound({topic->name, PartitionId{0}});
           one != group.offsets.end() && one->first.topic == topic->name; ++one) {
        if (one->second.topic_id == topic->id) gone.push_back(one->first);
      }
    }
    const std::string kept_name = name;
    for (const auto& partition : gone) put(group, partition, std::nullopt, turn);
    drop_if_void(kept_name);
  }
}

// --- members --------------------------------------------------------------------------------------------------------------------------

Result<HeartbeatAnswer> GroupCoordinator::heartbeat(const HeartbeatRequest& request, Now now, Turn& turn) {
  TROUPE_TRY(check_group_name(request.group));
  TROUPE_TRY(check_member_id(request.member));
  if (request.profile) TROUPE_TRY(check_profile(*request.profile, options_.limits));
  const bool joins = request.epoch == joining;
  if (joins && !request.profile) return Error{Errc::invalid_argument, "who joins a group says what it wants to read"};
  auto* group = find(request.group);
  if (joins && group == nullptr) {
    TROUPE_TRY_ASSIGN(group, find_or_make(request.group));
  }
  if (joins && group->has_classic_members()) {
    return Error{Errc::inconsistent_group_protocol, "the group '" + request.group +
                                                        "' has members that assign among themselves (Kafka's classic "
                                                        "protocol): stop them, or use another group"};
  }
  if (group == nullptr) {
    return Error{Errc::unknown_member_id,
                 "the group '" + request.group + "' has no member '" + request.member + "': join again"};
  }
  auto& members = group->members;
  const auto* before = members.find(request.member);
  const auto epoch_before = before == nullptr ? joining : before->current.epoch;
  if (!joins || before != nullptr) TROUPE_TRY(members.check_heartbeat(request.member, request));
  if (request.epoch == leaving || request.epoch == leaving_for_a_while) return leave(*group, request, now, turn);
  if (joins) {
    if (auto joined = join(*group, request, now, turn); !joined) {
      drop_if_void(request.group);
      return joined.error();
    }
  } else if (request.profile) {
    members.change(request.member, *request.profile, *image_, now.wall, turn);
  }
  members.note_waiting(request.member, request.waiting);
  static const PartitionList nothing;
  const auto* owned = joins ? &nothing : request.owned ? &*request.owned : nullptr;
  const bool moved = members.step(request.member, owned, turn);
  const auto& member = *members.find(request.member);
  deadlines_.heard({request.group, request.member}, member, now.monotonic);
  // Who says what it has does not know whether it was told the rest: a position that was reset, for one.
  const bool tell = joins || moved || member.has_news || request.epoch != epoch_before || request.owned.has_value();
  // A coordinator that was deposed must not tell old assignments: what is told waits for a record to be committed.
  if (tell && turn.records.empty()) members.confirm(request.member, turn);
  return answer(*group, request.member, tell);
}

Status GroupCoordinator::join(Group& group, const HeartbeatRequest& request, Now now, Turn& turn) {
  end_classic(group, turn);
  const auto& instance = request.profile->instance_id;
  std::vector<std::string> replaced;
  if (!instance.empty()) {
    for (const auto& [id, member] : group.members.members()) {
      if (id != request.member && member.profile.instance_id == instance) replaced.push_back(id);
    }
  }
  TROUPE_TRY(group.members.join(request.member, *request.profile, options_.limits.members_max, *image_, now.wall, turn));
  for (const auto& id : replaced) deadlines_.forget({request.group, id});
  return {};
}

Result<HeartbeatAnswer> GroupCoordinator::leave(Group& group, const HeartbeatRequest& request, Now now, Turn& turn) {
  if (request.epoch == leaving) {
    remove(request.group, {request.member}, now, turn);
  } else if (group.members.find(request.member)->profile.instance_id.empty()) {
    return Error{Errc::invalid_argument, "only a member with a group instance id can leave for a while"};
  } else {
    group.members.set_aside(request.member, turn);
  }
  return HeartbeatAnswer{request.epoch, 0, {}};
}

HeartbeatAnswer GroupCoordinator::answer(Group& group, const std::string& id, bool tell) {
  auto& member = *group.members.find(id);
  HeartbeatAnswer answer{
      member.current.epoch, std::min(options_.heartbeat_interval_ms, member.profile.session_timeout_ms / 3), {}};
  if (!tell) return answer;
  member.has_news = false;
  answer.assignment.emplace();
  answer.paused = group.members.value().is_paused();
  for (const auto& partition : member.current.assigned) {
    AssignedPartition assigned{partition, 0};
    if (const auto topic = image_->find_topic(partition.topic_id)) {
      const auto* offset = committed(group, {topic->name, partition.partition}, topic->id);
      if (offset != nullptr) assigned.reset_epoch = offset->reset_epoch;
    }
    answer.assignment->push_back(assigned);
  }
  return answer;
}

void GroupCoordinator::lost(const std::vector<MemberName>& members, Now now, Turn& turn) {
  std::map<std::string, std::vector<std::string>> by_group;
  for (const auto& name : members) by_group[name.group].push_back(name.member);
  for (const auto& [group, ids] : by_group) {
    if (find(group) != nullptr) remove(group, ids, now, turn);
  }
}

template <class Gone>
void GroupCoordinator::remove_if_gone(Gone gone, Now now, Turn& turn) {
  for (auto& [name, group] : groups_) {
    std::vector<std::string> ids;
    for (const auto& [id, member] : group.members.members()) {
      const auto& profile = member.profile;
      if (profile.node != no_broker && profile.instance_id.empty() && gone(profile)) ids.push_back(id);
    }
    if (!ids.empty()) remove(name, ids, now, turn);
  }
}

void GroupCoordinator::node_lost(BrokerId node, Now now, Turn& turn) {
  remove_if_gone([&](const MemberProfile& profile) { return profile.node == node; }, now, turn);
}

void GroupCoordinator::place(MemberProfile& profile, BrokerId node) const {
  const auto* registration = image_->find_broker(node);
  profile.node = node;
  profile.node_epoch = registration == nullptr ? no_offset : registration->broker_epoch;
}

BrokerId GroupCoordinator::node_of(const MemberName& member) const {
  const auto* group = find(member.group);
  const auto* found = group == nullptr ? nullptr : group->members.find(member.member);
  return found == nullptr ? no_broker : found->profile.node;
}

void GroupCoordinator::remove(const std::string& group, const std::vector<std::string>& members, Now now, Turn& turn) {
  for (const auto& id : members) deadlines_.forget({group, id});
  entry(group).members.remove(members, *image_, now.wall, turn);
}

// --- offsets --------------------------------------------------------------------------------------------------------------------------

Status GroupCoordinator::check_member(const std::string& name, const Committer& committer) const {
  const auto* group = find(name);
  const auto* member = group == nullptr ? nullptr : group->members.find(committer.member);
  if (member == nullptr) {
    return Error{Errc::unknown_member_id, "the group '" + name + "' has no member '" + committer.member + "': join again"};
  }
  const auto& current = member->current;
  if (committer.epoch == current.epoch || committer.epoch == current.previous_epoch) return {};
  return Error{Errc::stale_member_epoch, "the member '" + committer.member + "' is at epoch " + to_string(current.epoch) +
                                             " of the group, not at " + to_string(committer.epoch)};
}

Status GroupCoordinator::check_committer(const std::string& name, const Committer& committer) const {
  const auto* group = find(name);
  if (group != nullptr && group->has_classic_members()) return group->classic->check_commit(committer);
  return committer.member.empty() ? Status{} : check_member(name, committer);
}

Result<std::vector<Status>> GroupCoordinator::commit(const CommitRequest& request, Now now, Turn& turn) {
  TROUPE_TRY(check_group_name(request.group));
  TROUPE_TRY(check_committer(request.group, request.committer));
  Group* group = nullptr;
  TROUPE_TRY_ASSIGN(group, find_or_make(request.group));
  if (group->has_classic_members()) group->classic->heard(request.committer.member, now);
  if (request.committer.member.empty() && !group->members.empty()) {
    return Error{Errc::unknown_member_id,
                 "the group '" + request.group + "' has members: only they commit, or an operator resets its offsets"};
  }
  std::vector<Status> answers;
  for (const auto& offset : request.offsets) answers.push_back(commit_one(*group, request.committer, offset, now, turn));
  drop_if_void(request.group);
  return answers;
}

Status GroupCoordinator::commit_one(Group& group, const Committer& committer, const OffsetToCommit& offset, Now now,
                                    Turn& turn) {
  const GroupPartition partition{offset.topic, offset.partition};
  const auto topic = topic_of(*image_, partition);
  if (topic == nullptr) return no_such_partition(partition);
  if (offset.offset < Offset{0}) {
    return Error{Errc::invalid_argument, "an offset to commit is 0 or more, not " + to_string(offset.offset)};
  }
  const auto bytes_max = options_.limits.offset_metadata_bytes_max;
  if (offset.metadata.size() > bytes_max) {
    return Error{Errc::offset_metadata_too_large, "the metadata of an offset has " + std::to_string(offset.metadata.size()) +
                                                      " bytes, at most " + std::to_string(bytes_max) + " are taken"};
  }
  const auto* before = committed(group, partition, topic->id);
  const auto reset_epoch = before == nullptr ? 0 : before->reset_epoch;
  if (!committer.member.empty() && !group.has_classic_members()) {
    const auto* owner = group.members.owner({topic->id, offset.partition});
    if (owner == nullptr || *owner != committer.member) {
      return not_its_own(partition, committer);
    }
    if (offset.reset_epoch != reset_epoch) {
      return Error{Errc::stale_member_epoch, "the position of the group in partition " + to_string(offset.partition) +
                                                 " of '" + offset.topic + "' was reset: go on from there"};
    }
  }
  put(group, partition,
      CommittedOffset{topic->id, offset.offset, offset.leader_epoch, offset.metadata, now.wall, reset_epoch}, turn);
  return {};
}

Result<std::vector<Status>> GroupCoordinator::reset(const ResetRequest& request, Now now, Turn& turn) {
  TROUPE_TRY(check_group_name(request.group));
  Group* group = nullptr;
  TROUPE_TRY_ASSIGN(group, find_or_make(request.group));
  if (group->has_classic_members()) {
    return Error{Errc::non_empty_group, "the group '" + request.group +
                                            "' has members that assign among themselves (Kafka's classic protocol), "
                                            "and they cannot be told: stop them first"};
  }
  std::vector<Status> answers;
  for (const auto& [partition, offset] : request.positions) {
    const auto topic = topic_of(*image_, partition);
    if (topic == nullptr) {
      answers.emplace_back(no_such_partition(partition));
      continue;
    }
    if (offset < Offset{0}) {
      answers.emplace_back(Error{Errc::invalid_argument, "a position is 0 or more, not " + to_string(offset)});
      continue;
    }
    const auto* before = committed(*group, partition, topic->id);
    const auto reset_epoch = before == nullptr ? 0 : before->reset_epoch;
    put(*group, partition, CommittedOffset{topic->id, offset, no_leader_epoch, {}, now.wall, reset_epoch + 1}, turn);
    if (const auto* owner = group->members.owner({topic->id, partition.partition})) {
      group->members.find(*owner)->has_news = true;
      turn.nudged.push_back({request.group, *owner});
    }
    answers.emplace_back();
  }
  drop_if_void(request.group);
  return answers;
}

Status GroupCoordinator::pause(const PauseRequest& request, Turn& turn) {
  TROUPE_TRY(check_group_name(request.group));
  auto* group = find(request.group);
  if (group == nullptr) return no_such_group(request.group);
  if (group->is_classic()) {
    return Error{
        Errc::inconsistent_group_protocol,
        "the group '" + request.group + "' is a classic one: its members fetch by themselves, and cannot be paused"};
  }
  group->members.pause(request.paused, turn);
  return {};
}

void GroupCoordinator::put(Group& group, const GroupPartition& partition, std::optional<CommittedOffset> value, Turn& turn) {
  if (value) {
    group.offsets[partition] = *value;
  } else {
    group.offsets.erase(partition);
  }
  turn.records.push_back(OffsetRecord{group.members.name(), partition.topic, partition.partition, std::move(value)});
}

const CommittedOffset* GroupCoordinator::committed(const Group& group, const GroupPartition& partition,
                                                   const TopicId& topic) const {
  const auto found = group.offsets.find(partition);
  return found == group.offsets.end() || found->second.topic_id != topic ? nullptr : &found->second;
}

Status GroupCoordinator::check_asker(const OffsetsRequest& request) const {
  TROUPE_TRY(check_committer(request.group, request.asker));
  const auto& members = find(request.group)->members;
  if (members.empty()) return {};  // a classic group: the coordinator does not know who owns what
  if (!request.partitions) return {};
  for (const auto& partition : *request.partitions) {
    const auto topic = image_->find_topic(partition.topic);
    const auto* owner = topic == nullptr ? nullptr : members.owner({topic->id, partition.partition});
    if (owner == nullptr || *owner != request.asker.member) return not_its_own(partition, request.asker);
  }
  return {};
}

Result<std::vector<Position>> GroupCoordinator::offsets(const OffsetsRequest& request) const {
  if (!request.asker.member.empty()) TROUPE_TRY(check_asker(request));
  std::vector<Position> positions;
  const auto* group = find(request.group);
  const auto add = [&](const GroupPartition& partition) {
    const auto topic = image_->find_topic(partition.topic);
    const auto* offset = group == nullptr || topic == nullptr ? nullptr : committed(*group, partition, topic->id);
    positions.emplace_back(partition, offset == nullptr ? std::nullopt : std::optional{*offset});
  };
  if (request.partitions) {
    for (const auto& partition : *request.partitions) add(partition);
  } else if (group != nullptr) {
    for (const auto& [partition, offset] : group->offsets) add(partition);
    std::erase_if(positions, [](const Position& position) { return !position.second; });
  }
  return positions;
}

// --- what is over ---------------------------------------------------------------------------------------------------------------------

Status GroupCoordinator::delete_group(const std::string& name, Turn& turn) {
  auto* group = find(name);
  if (group == nullptr) return no_such_group(name);
  if (group->has_members()) {
    const auto count = group->members.size() + (group->classic ? group->classic->size() : 0);
    return Error{Errc::non_empty_group,
                 "the group '" + name + "' has " + std::to_string(count) + " members: stop them first"};
  }
  while (!group->offsets.empty()) put(*group, GroupPartition{group->offsets.begin()->first}, std::nullopt, turn);
  erase(name, turn);
  instances_.forget_group(name, turn);
  return {};
}

Result<InstanceEntry> GroupCoordinator::instance(const InstanceRequest& request, BrokerId from, Now now, Turn& turn) {
  MemberProfile asker;
  place(asker, from);
  const auto written = turn.records.size();
  auto entry = instances_.answer(request, asker.node, asker.node_epoch, now.monotonic, turn);
  const bool begins = request.kind == InstanceRequest::Kind::make || request.kind == InstanceRequest::Kind::claim;
  auto* group = find(request.group);
  if (!begins || turn.records.size() == written || group == nullptr) return entry;
  // The member that it was before, which may not have left, or may not live any more, makes way.
  const auto instance_id = member_instance_of(request.name);
  const auto& members = group->members.members();
  const auto before =
      std::ranges::find_if(members, [&](const auto& one) { return one.second.profile.instance_id == instance_id; });
  if (before != members.end()) group->members.set_aside(std::string(before->first), turn);
  return entry;
}

Result<std::vector<Status>> GroupCoordinator::delete_offsets(const std::string& name,
                                                             const std::vector<GroupPartition>& partitions, Turn& turn) {
  auto* group = find(name);
  if (group == nullptr) return no_such_group(name);
  std::vector<Status> answers;
  for (const auto& partition : partitions) {
    const bool is_read =
        group->members.subscribes_to(partition.topic) || (group->classic && group->classic->may_read(partition.topic));
    if (is_read) {
      answers.emplace_back(Error{Errc::group_subscribed_to_topic,
                                 "members of the group '" + name + "' read '" + partition.topic + "': its offsets stay"});
    } else if (!group->offsets.contains(partition)) {
      answers.emplace_back(no_such_partition(partition).with_context("no offset is committed"));
    } else {
      put(*group, partition, std::nullopt, turn);
      answers.emplace_back();
    }
  }
  drop_if_void(name);
  return answers;
}

void GroupCoordinator::expire(Now now, Turn& turn) {
  const auto is_old = [&](TimestampMs since) { return now.wall - since >= options_.offsets_retention_ms; };
  std::vector<std::string> dead;
  for (auto& [name, group] : groups_) {
    if (!group.members.empty() || (group.classic && !group.classic->is_unused())) continue;
    const auto& value = group.members.value();
    const bool had_members = value.epoch != GroupEpoch{0};
    if (had_members && !is_old(value.empty_since)) continue;
    if (group.is_classic() && !is_old(group.classic->value()->empty_since)) continue;
    std::vector<GroupPartition> old;
    for (const auto& [partition, offset] : group.offsets) {
      if (is_old(offset.committed_at)) old.push_back(partition);
    }
    for (const auto& partition : old) put(group, partition, std::nullopt, turn);
    if (group.offsets.empty()) dead.push_back(name);
  }
  for (const auto& name : dead) erase(name, turn);
}

std::vector<GroupListing> GroupCoordinator::list() const {
  std::vector<GroupListing> all;
  for (const auto& [name, group] : groups_) {
    const auto& members = group.members;
    if (group.is_classic()) {
      all.push_back(group.classic->list());
      continue;
    }
    all.push_back({.group = name,
                   .state = members.state(),
                   .members = members.size(),
                   .epoch = members.value().epoch,
                   .assignor = std::string(members.assignor()),
                   .paused = members.value().is_paused()});
  }
  return all;
}

Result<GroupDescription> GroupCoordinator::describe(const std::string& name) const {
  const auto* group = find(name);
  if (group == nullptr) return no_such_group(name);
  return group->is_classic() ? group->classic->describe(*image_) : group->members.describe();
}

std::optional<MonotonicMs> GroupCoordinator::next_deadline() const {
  auto due = next_expiry_;
  if (const auto member = deadlines_.next()) due = std::min(due, *member);
  if (!classic_queue_.empty()) due = std::min(due, classic_queue_.begin()->first);
  return due;
}

void GroupCoordinator::on_deadline(Now now, Turn& turn) {
  lost(deadlines_.take_expired(now.monotonic), now, turn);
  look_at_classic(now, turn);
  if (now.monotonic < next_expiry_) return;
  instances_.expire(now.monotonic, turn);
  expire(now, turn);
  next_expiry_ = now.monotonic + options_.expiry_interval_ms;
}

}  // namespace troupe::group
