#include "core/group/consumer_group.hpp"

#include <algorithm>

#include "core/group/reconcile.hpp"
#include "core/metadata/topic_config.hpp"

namespace troupe::group {
namespace {

PartitionList all_of(const MemberAssignment& assignment) { return in_either(assignment.assigned, assignment.revoking); }

/// Whether who shall read what may be another for it.
bool reads_other(const MemberProfile& before, const MemberProfile& now) {
  return before.topics != now.topics || before.pattern != now.pattern || before.assignor != now.assignor;
}

bool share_something(const PartitionList& a, const PartitionList& b) { return !in_both(a, b).empty(); }

}  // namespace

std::string_view to_string(GroupState state) noexcept {
  switch (state) {
    case GroupState::empty: return "empty";
    case GroupState::reconciling: return "reconciling";
    case GroupState::stable: return "stable";
  }
  return "unknown";
}

// --- what the log says ----------------------------------------------------------------------------------------------------------------

void ConsumerGroup::apply(const GroupRecord& record) { value_ = record.value.value_or(GroupRecord::Value{}); }

void ConsumerGroup::apply(const MemberRecord& record) {
  if (!record.value) {
    const auto found = members_.find(record.member);
    if (found == members_.end()) return;
    const auto named = static_members_.find(found->second.profile.instance_id);
    if (named != static_members_.end() && named->second == record.member) static_members_.erase(named);
    own(record.member, &found->second.current, nullptr);
    members_.erase(found);
    waiting_.erase(record.member);
    return;
  }
  auto& member = members_[record.member];
  member.profile = *record.value;
  member.is_known = true;
  member.pattern.reset();
  if (!member.profile.pattern.empty()) {
    // It compiled when it was written; a newer library may think otherwise, and then it matches nothing.
    if (auto pattern = TopicPattern::compile(member.profile.pattern)) member.pattern = *std::move(pattern);
  }
  if (!member.profile.instance_id.empty()) static_members_[member.profile.instance_id] = record.member;
}

void ConsumerGroup::apply(const TargetRecord& record) {
  if (record.value) {
    members_[record.member].target = *record.value;
  } else if (const auto found = members_.find(record.member); found != members_.end()) {
    found->second.target.clear();
  }
}

void ConsumerGroup::apply(const AssignmentRecord& record) {
  const auto found = record.value ? members_.try_emplace(record.member).first : members_.find(record.member);
  if (found == members_.end()) return;
  auto next = record.value.value_or(MemberAssignment{});
  own(record.member, &found->second.current, &next);
  if (next.state == MemberState::waiting) {
    waiting_.insert(record.member);
  } else {
    waiting_.erase(record.member);
  }
  found->second.current = std::move(next);
}

void ConsumerGroup::drop_unknown() {
  for (auto at = members_.begin(); at != members_.end();) {
    const auto& [id, member] = *at;
    if (member.is_known) {
      ++at;
      continue;
    }
    own(id, &member.current, nullptr);
    waiting_.erase(id);
    at = members_.erase(at);
  }
}

void ConsumerGroup::own(const std::string& id, const MemberAssignment* before, const MemberAssignment* after) {
  if (before != nullptr) {
    for (const auto& partition : all_of(*before)) {
      // A log that is being compacted may show the new owner before the old one let go.
      const auto found = owners_.find(partition);
      if (found != owners_.end() && found->second == id) owners_.erase(found);
    }
  }
  if (after != nullptr) {
    for (const auto& partition : all_of(*after)) owners_[partition] = id;
  }
}

// --- what is asked --------------------------------------------------------------------------------------------------------------------

void ConsumerGroup::write(Record record, Turn& turn) {
  std::visit(
      [this](const auto& one) {
        if constexpr (requires { this->apply(one); }) this->apply(one);
      },
      record);
  turn.records.push_back(std::move(record));
}

void ConsumerGroup::write_assignment(const std::string& id, MemberAssignment next, Turn& turn) {
  const auto freed = without(all_of(members_.at(id).current), all_of(next));
  write(AssignmentRecord{name_, id, std::move(next)}, turn);
  nudge_waiting(freed, turn);
}

void ConsumerGroup::nudge_waiting(const PartitionList& freed, Turn& turn) {
  if (freed.empty()) return;
  for (const auto& waiting : waiting_) {
    if (share_something(members_.at(waiting).target, freed)) turn.nudged.push_back({name_, waiting});
  }
}

Status ConsumerGroup::join(const std::string& id, const MemberProfile& profile, std::size_t members_max,
                           const metadata::MetadataImage& image, TimestampMs wall, Turn& turn) {
  const auto named = profile.instance_id.empty() ? static_members_.end() : static_members_.find(profile.instance_id);
  if (named != static_members_.end() && named->second != id) {
    const auto before = named->second;
    if (members_.at(before).current.epoch != leaving_for_a_while) {
      return Error{Errc::unreleased_instance_id,
                   "the group instance id '" + profile.instance_id + "' belongs to another member, which has not left"};
    }
    const bool other = reads_other(members_.at(before).profile, profile);
    replace_static(before, id, profile, turn);
    if (other) retarget(image, wall, turn);
    return {};
  }
  if (auto* member = find(id)) {
    if (member->current.epoch == leaving_for_a_while) {
      auto back = member->current;
      back.epoch = back.previous_epoch;
      write_assignment(id, std::move(back), turn);
    }
    if (member->profile != profile) write(MemberRecord{name_, id, profile}, turn);
    // A new epoch, whatever it was: a coordinator that was deposed, and knows the old one, could tell it old positions.
    retarget(image, wall, turn);
    return {};
  }
  if (members_.size() >= members_max) {
    return Error{Errc::group_max_size_reached, "the group '" + name_ + "' has " + std::to_string(members_.size()) +
                                                   " members, the most that a group may have"};
  }
  write(MemberRecord{name_, id, profile}, turn);
  write(AssignmentRecord{name_, id, MemberAssignment{}}, turn);
  retarget(image, wall, turn);
  return {};
}

void ConsumerGroup::replace_static(const std::string& old_id, const std::string& id, const MemberProfile& profile,
                                   Turn& turn) {
  const auto old = members_.at(old_id);
  erase(old_id, turn);
  // What waited for it is its own again; the next step brings it to its target.
  auto current = old.current;
  current.epoch = current.previous_epoch;
  write(MemberRecord{name_, id, profile}, turn);
  write(TargetRecord{name_, id, old.target}, turn);
  write(AssignmentRecord{name_, id, std::move(current)}, turn);
}

Status ConsumerGroup::check_heartbeat(const std::string& id, const HeartbeatRequest& request) const {
  const auto* member = find(id);
  if (member == nullptr) {
    return Error{Errc::unknown_member_id, "the group '" + name_ + "' has no member '" + id + "': join again"};
  }
  if (request.profile && request.profile->instance_id != member->profile.instance_id) {
    return Error{Errc::fenced_instance_id, "a member keeps its group instance id as long as it lives"};
  }
  const auto& current = member->current;
  if (request.epoch == leaving || request.epoch == leaving_for_a_while || request.epoch == joining) return {};
  if (request.epoch == current.epoch) return {};
  // The answer that told it of its new epoch was lost; it has no more than what it was told.
  const bool repeats =
      request.epoch == current.previous_epoch && request.owned && includes(current.assigned, *request.owned);
  if (repeats) return {};
  return Error{Errc::fenced_member_epoch, "the member '" + id + "' is at epoch " + to_string(current.epoch) +
                                              " of the group, not at " + to_string(request.epoch) +
                                              ": give all partitions up, and join again"};
}

void ConsumerGroup::change(const std::string& id, const MemberProfile& profile, const metadata::MetadataImage& image,
                           TimestampMs wall, Turn& turn) {
  const auto& before = members_.at(id).profile;
  if (before == profile) return;
  const bool other = reads_other(before, profile);
  write(MemberRecord{name_, id, profile}, turn);
  if (other) retarget(image, wall, turn);
}

bool ConsumerGroup::step(const std::string& id, const PartitionList* owned, Turn& turn) {
  const auto& member = members_.at(id);
  const std::function<bool(const TopicIdPartition&)> taken = [&](const TopicIdPartition& partition) {
    const auto* holder = owner(partition);
    return holder != nullptr && *holder != id;
  };
  auto next = reconcile(member.current, {value_.target_epoch, member.target, owned, taken});
  if (next == member.current) return false;
  const bool visible = next.epoch != member.current.epoch || next.assigned != member.current.assigned;
  write_assignment(id, std::move(next), turn);
  return visible;
}

void ConsumerGroup::confirm(const std::string& id, Turn& turn) {
  write(AssignmentRecord{name_, id, members_.at(id).current}, turn);
}

void ConsumerGroup::erase(const std::string& id, Turn& turn) {
  const auto freed = all_of(members_.at(id).current);
  write(AssignmentRecord{name_, id, std::nullopt}, turn);
  write(TargetRecord{name_, id, std::nullopt}, turn);
  write(MemberRecord{name_, id, std::nullopt}, turn);
  nudge_waiting(freed, turn);
}

void ConsumerGroup::remove(const std::vector<std::string>& ids, const metadata::MetadataImage& image, TimestampMs wall,
                           Turn& turn) {
  bool any = false;
  for (const auto& id : ids) {
    if (find(id) == nullptr) continue;
    erase(id, turn);
    any = true;
  }
  if (any) retarget(image, wall, turn);
}

void ConsumerGroup::set_aside(const std::string& id, Turn& turn) {
  auto aside = members_.at(id).current;
  if (aside.epoch == leaving_for_a_while) return;
  aside.previous_epoch = aside.epoch;
  aside.epoch = leaving_for_a_while;
  write_assignment(id, std::move(aside), turn);
}

std::vector<TopicId> ConsumerGroup::topics_of(const Member& member, const metadata::MetadataImage& image) const {
  std::vector<TopicId> topics;
  for (const auto& name : member.profile.topics) {
    if (const auto topic = image.find_topic(name)) topics.push_back(topic->id);
  }
  if (member.pattern) {
    image.for_each_topic([&](const metadata::TopicPtr& topic) {
      // Those of the system are read by who names them, which no door lets a client do.
      const bool ours = metadata::is_internal_topic(topic->name);
      if (!ours && member.pattern->matches(topic->name)) topics.push_back(topic->id);
    });
  }
  std::ranges::sort(topics);
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  return topics;
}

void ConsumerGroup::refresh(const metadata::MetadataImage& image, TimestampMs wall, Turn& turn) {
  if (empty()) return;
  std::set<TopicId> topics;
  PartitionList targets;
  for (const auto& [id, member] : members_) {
    for (const auto& topic : topics_of(member, image)) topics.insert(topic);
    targets.insert(targets.end(), member.target.begin(), member.target.end());
  }
  std::ranges::sort(targets);
  PartitionList wanted;
  for (const auto& topic : topics) {
    const auto count = image.find_topic(topic)->partition_count();
    for (std::int32_t partition = 0; partition < count; ++partition) wanted.push_back({topic, PartitionId{partition}});
  }
  if (targets != wanted) retarget(image, wall, turn);
}

void ConsumerGroup::retarget(const metadata::MetadataImage& image, TimestampMs wall, Turn& turn) {
  GroupRecord::Value next;
  next.epoch = value_.epoch + 1;
  next.target_epoch = next.epoch;
  next.empty_since = empty() ? wall : no_timestamp;

  std::vector<AssignorMember> members;
  std::map<TopicId, std::int32_t> partitions;
  members.reserve(members_.size());
  for (const auto& [id, member] : members_) {
    const auto& instance = member.profile.instance_id;
    members.push_back({instance.empty() ? id : instance, topics_of(member, image), &member.target});
    for (const auto& topic : members.back().topics) {
      partitions.try_emplace(topic, 0).first->second = image.find_topic(topic)->partition_count();
    }
  }
  const auto* assignor = find_assignor(this->assignor());
  const auto targets = assignor->assign({members, std::move(partitions), load_});
  std::vector<std::pair<std::string, PartitionList>> changed;
  std::size_t at = 0;
  for (const auto& [id, member] : members_) {
    if (targets[at] != member.target) changed.emplace_back(id, targets[at]);
    ++at;
  }
  for (auto& [id, target] : changed) {
    turn.nudged.push_back({name_, id});
    write(TargetRecord{name_, id, std::move(target)}, turn);
  }
  write(GroupRecord{name_, next}, turn);
}

// --- what is known --------------------------------------------------------------------------------------------------------------------

ConsumerGroup::Member* ConsumerGroup::find(const std::string& id) {
  const auto found = members_.find(id);
  return found == members_.end() ? nullptr : &found->second;
}

const ConsumerGroup::Member* ConsumerGroup::find(const std::string& id) const {
  const auto found = members_.find(id);
  return found == members_.end() ? nullptr : &found->second;
}

const std::string* ConsumerGroup::owner(const TopicIdPartition& partition) const {
  const auto found = owners_.find(partition);
  return found == owners_.end() ? nullptr : &found->second;
}

bool ConsumerGroup::subscribes_to(std::string_view topic) const {
  return std::ranges::any_of(members_, [&](const auto& one) {
    const auto& member = one.second;
    return std::ranges::binary_search(member.profile.topics, topic) || (member.pattern && member.pattern->matches(topic));
  });
}

GroupState ConsumerGroup::state() const {
  if (empty()) return GroupState::empty;
  const bool stable = std::ranges::all_of(members_, [&](const auto& one) {
    const auto& current = one.second.current;
    return current.state == MemberState::stable &&
           (current.epoch == value_.target_epoch || current.epoch == leaving_for_a_while);
  });
  return stable ? GroupState::stable : GroupState::reconciling;
}

std::string_view ConsumerGroup::assignor() const {
  std::map<std::string_view, std::size_t> votes;
  for (const auto& [id, member] : members_) {
    if (find_assignor(member.profile.assignor) != nullptr) ++votes[member.profile.assignor];
  }
  if (votes.empty()) return uniform_assignor().name();
  return std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; })->first;
}

GroupDescription ConsumerGroup::describe() const {
  GroupDescription description{name_, state(), value_.epoch, std::string(assignor()), {}};
  for (const auto& [id, member] : members_) {
    description.members.push_back({id, member.profile, member.current, member.target});
  }
  return description;
}

}  // namespace troupe::group
