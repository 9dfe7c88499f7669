#include "core/group/classic_rules.hpp"
#include "core/group/group_coordinator.hpp"

/// The coordinator's part in classic groups: which group it is, and when it is looked at.
namespace troupe::group {
namespace {

Error unknown_member(const std::string& group, const std::string& member) {
  return {Errc::unknown_member_id, "the group '" + group + "' has no member '" + member + "': join again"};
}

}  // namespace

ClassicGroup& GroupCoordinator::classic_of(Group& group) {
  if (!group.classic) {
    ClassicRules rules;
    rules.members_max = options_.limits.members_max;
    rules.metadata_bytes_max = options_.limits.classic_group_metadata_bytes_max;
    rules.assignment_bytes_max = options_.limits.classic_group_assignment_bytes_max;
    rules.initial_delay_ms = options_.initial_rebalance_delay_ms;
    group.classic = std::make_unique<ClassicGroup>(group.members.name(), rules);
  }
  return *group.classic;
}

Result<ClassicGroup*> GroupCoordinator::find_classic(const std::string& name, const std::string& member) {
  TROUPE_TRY(check_group_name(name));
  auto* group = find(name);
  if (check_member_id(member) && group != nullptr && group->classic) return group->classic.get();
  return unknown_member(name, check_member_id(member) ? member : "?");
}

void GroupCoordinator::end_classic(Group& group, Turn& turn) {
  if (!group.classic) return;
  if (group.looked_at) classic_queue_.erase({*std::exchange(group.looked_at, std::nullopt), group.members.name()});
  if (group.classic->value()) turn.records.push_back(ClassicGroupRecord{group.members.name(), std::nullopt});
  group.classic.reset();
}

void GroupCoordinator::settle(const std::string& name, Turn& turn) {
  auto* group = find(name);
  if (group == nullptr || !group->classic) return;
  if (group->classic->value() && group->members.value().epoch != GroupEpoch{0}) {
    // Its members were of the other type; now there is a generation.
    const GroupRecord gone{name, std::nullopt};
    group->members.apply(gone);
    turn.records.push_back(gone);
  }
  if (group->classic->is_nothing()) {
    end_classic(*group, turn);
    return drop_if_void(name);
  }
  const auto due = group->classic->next_deadline();
  if (due == group->looked_at) return;
  if (group->looked_at) classic_queue_.erase({*group->looked_at, name});
  if (due) classic_queue_.emplace(*due, name);
  group->looked_at = due;
}

void GroupCoordinator::begin_classic(Now now, Turn& turn) {
  std::vector<std::string> names;
  for (const auto& [name, group] : groups_) {
    if (group.classic) names.push_back(name);
  }
  for (const auto& name : names) {
    find(name)->classic->begin(now, turn);
    settle(name, turn);
  }
}

void GroupCoordinator::look_at_classic(Now now, Turn& turn) {
  while (!classic_queue_.empty() && classic_queue_.begin()->first <= now.monotonic) {
    const auto name = classic_queue_.begin()->second;
    find(name)->classic->on_deadline(now, turn);
    settle(name, turn);
  }
}

void GroupCoordinator::join(const ClassicJoinRequest& request, CallToken call, Now now, Turn& turn) {
  const auto check = [&]() -> Result<Group*> {
    TROUPE_TRY(check_group_name(request.group));
    TROUPE_TRY(check_join(request, options_.limits));
    auto* group = find(request.group);
    if (!request.member.empty()) {
      if (!check_member_id(request.member)) return unknown_member(request.group, "?");
      if (group == nullptr) return unknown_member(request.group, request.member);
    }
    if (group != nullptr && !group->members.empty()) {
      return Error{Errc::inconsistent_group_protocol,
                   "the group '" + request.group +
                       "' has members whose coordinator assigns (Kafka's consumer protocol): "
                       "stop them, or use another group"};
    }
    return find_or_make(request.group);
  };
  const auto group = check();
  if (!group) {
    turn.delivered.push_back({call, group.error()});
    return;
  }
  classic_of(**group).join(request, profile_of(request, options_.limits), new_member_id(request), call, now, turn);
  settle(request.group, turn);
}

void GroupCoordinator::sync(const ClassicSyncRequest& request, CallToken call, Now now, Turn& turn) {
  const auto group = find_classic(request.group, request.member);
  if (!group) {
    turn.delivered.push_back({call, group.error()});
    return;
  }
  (*group)->sync(request, call, now, turn);
  settle(request.group, turn);
}

Status GroupCoordinator::heartbeat(const ClassicHeartbeatRequest& request, Now now, Turn& turn) {
  TROUPE_TRY_ASSIGN(auto* const group, find_classic(request.group, request.member));
  const auto answer = group->heartbeat(request, now);
  settle(request.group, turn);
  return answer;
}

std::vector<Status> GroupCoordinator::leave(const ClassicLeaveRequest& request, Now now, Turn& turn) {
  auto* group = find(request.group);
  if (group == nullptr || !group->classic) {
    std::vector<Status> answers;
    for (const auto& one : request.members) {
      answers.emplace_back(unknown_member(request.group, check_member_id(one.member) ? one.member : "?"));
    }
    return answers;
  }
  auto answers = group->classic->leave(request.members, now, turn);
  settle(request.group, turn);
  return answers;
}

}  // namespace troupe::group
