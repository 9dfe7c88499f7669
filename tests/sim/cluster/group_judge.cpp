#include "tests/sim/cluster/group_judge.hpp"

#include <algorithm>

#include "core/group/group_batches.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::sim {

using namespace group;

namespace {

std::string text_of(const GroupPartition& partition) { return partition.topic + "-" + to_string(partition.partition); }

/// Who wrote a commit.
std::string member_of(const std::string& tag) { return tag.substr(0, tag.find('@')); }

/// What orders members for assignors, and stays when a static member comes back.
std::string name_of(const std::string& id, const MemberProfile& profile) {
  return profile.instance_id.empty() ? id : profile.instance_id;
}

/// For people.
std::string told_by(const Record& record) {
  const auto list = [](const PartitionList& partitions) {
    std::string text;
    for (const auto& one : partitions) text += " " + to_string(one.partition);
    return text;
  };
  const auto describe = [&](const auto& one) -> std::string {
    using One = std::decay_t<decltype(one)>;
    if constexpr (std::is_same_v<One, OffsetRecord>) {
      if (!one.value) return one.topic + "-" + to_string(one.partition) + ": forgotten";
      return one.topic + "-" + to_string(one.partition) + ": " + to_string(one.value->offset) + " by " + one.value->metadata;
    } else if constexpr (std::is_same_v<One, GroupRecord>) {
      return one.value ? "epoch " + to_string(one.value->epoch) : "gone";
    } else if constexpr (std::is_same_v<One, MemberRecord>) {
      return one.member + (one.value ? " is a member " + one.value->instance_id : " is no member");
    } else if constexpr (std::is_same_v<One, TargetRecord>) {
      return one.member + (one.value ? " shall have" + list(*one.value) : " shall have nothing");
    } else if constexpr (!std::is_same_v<One, AssignmentRecord>) {
      return "of another kind";
    } else {
      if (!one.value) return one.member + " has nothing";
      return one.member + " in epoch " + to_string(one.value->epoch) + " has" + list(one.value->assigned) + ", gives up" +
             list(one.value->revoking);
    }
  };
  return std::visit([&](const auto& one) { return one.group + ": " + describe(one); }, record);
}

}  // namespace

std::string commit_tag(const std::string& member, GroupEpoch epoch) { return member + "@" + to_string(epoch); }

void GroupJudge::catch_up() {
  const auto& topic = world_.topics.back();
  for (std::size_t p = 0; p < topic.count; ++p) {
    const auto partition = topic.first + p;
    const auto end = world_.invariants.committed_end(partition);
    if (end <= next_[p] || world_.invariants.lossy(partition)) continue;
    for (const auto& holder : world_.replicas(partition)) {
      if (holder.log->log_end() < end || holder.log->chain_at(end) != world_.invariants.committed_chain(partition, end))
        continue;
      const auto bytes = holder.log->read(next_[p], end, SIZE_MAX);
      for (auto left = bytes.view(); !left.empty();) {
        const auto batch = record::parse_batch(left);
        if (!batch) return fail("GroupRecordsDecode", batch.error().message);
        left = left.subspan(batch->bytes.size());
        const auto read = replay_batches(batch->bytes, Offset{0}, end, [this](const Record& record) {
          if (world_.log) world_.log("committed: " + told_by(record));
          std::visit(
              [this](const auto& one) {
                if constexpr (requires { take(one); }) {
                  take(one);
                } else {
                  fail("OnlyKnownRecords", "nobody here makes instances or classic groups: " + one.group);
                }
              },
              record);
        });
        if (!read) return fail("GroupRecordsDecode", read.error().message);
        for (const auto& [name, group] : groups_) check_owners(name, group);
      }
      next_[p] = end;
      break;
    }
  }
}

void GroupJudge::check_owners(const std::string& name, const Group& group) {
  std::map<TopicIdPartition, std::string> owners;
  for (const auto& [id, member] : group.members) {
    for (const auto& partition : in_either(member.current.assigned, member.current.revoking)) {
      const auto [at, is_new] = owners.emplace(partition, id);
      if (is_new) continue;
      fail("OneOwnerPerPartitionPerEpoch", "in the log, partition " + to_string(partition.partition) + " of group " + name +
                                               " belongs to " + at->second + " and " + id);
    }
  }
}

void GroupJudge::take(const MemberRecord& record) {
  auto& group = groups_[record.group];
  if (record.value) {
    group.members[record.member].profile = *record.value;
  } else {
    group.members.erase(record.member);
  }
}

void GroupJudge::take(const TargetRecord& record) {
  auto& group = groups_[record.group];
  if (record.value) group.members[record.member].target = *record.value;
}

void GroupJudge::take(const AssignmentRecord& record) {
  auto& group = groups_[record.group];
  if (!record.value) {
    if (const auto found = group.members.find(record.member); found != group.members.end()) found->second.current = {};
    return;
  }
  const auto& next = *record.value;
  if (next.state == MemberState::revoking) ++world_.marks["group: a member gives up"];
  if (next.state == MemberState::waiting) ++world_.marks["group: a member waits"];
  if (next.epoch == leaving_for_a_while) ++world_.marks["group: left for a while"];
  group.members[record.member].current = next;
}

/// The end of a turn in which targets were computed.
void GroupJudge::take(const GroupRecord& record) {
  auto& group = groups_[record.group];
  if (!record.value) return;
  check_targets(record.group, group);
  group.targets_before.clear();
  for (const auto& [id, member] : group.members) group.targets_before[name_of(id, member.profile)] = member.target;
}

void GroupJudge::check_targets(const std::string& name, const Group& group) {
  if (group.members.empty()) return;
  const auto& first = group.members.begin()->second.profile;
  std::size_t least = SIZE_MAX;
  std::size_t most = 0;
  std::size_t all = 0;
  PartitionList partitions;
  for (const auto& [id, member] : group.members) {
    const auto& profile = member.profile;
    const bool alike = profile.topics == first.topics && profile.pattern == first.pattern;
    if (!alike || (!profile.assignor.empty() && profile.assignor != "uniform")) return;
    least = std::min(least, member.target.size());
    most = std::max(most, member.target.size());
    all += member.target.size();
    partitions = in_either(partitions, member.target);
  }
  ++world_.marks["group: targets computed"];
  if (partitions.size() != all) fail("OneOwnerPerPartitionPerEpoch", "two targets of group " + name + " share a partition");
  if (most - least > 1) {
    return fail("AssignmentIsBalanced", "targets of group " + name + " have " + std::to_string(least) + " to " +
                                            std::to_string(most) + " partitions");
  }
  // Of what members had, each can keep as many as its share allows; the larger shares go to those who had more.
  const auto share = all / group.members.size();
  auto larger = all % group.members.size();
  std::size_t kept = 0;
  std::size_t could_keep = 0;
  for (const auto& [id, member] : group.members) {
    const auto before = group.targets_before.find(name_of(id, member.profile));
    if (before == group.targets_before.end()) continue;
    kept += in_both(before->second, member.target).size();
    const auto had = in_both(before->second, partitions).size();
    could_keep += std::min(had, share);
    if (had > share && larger > 0) {
      ++could_keep;
      --larger;
    }
  }
  if (kept < could_keep) {
    fail("StickyMovesAreMinimal", "members of group " + name + " keep " + std::to_string(kept) +
                                      " partitions, and could have kept " + std::to_string(could_keep));
  }
}

void GroupJudge::take(const OffsetRecord& record) {
  auto& group = groups_[record.group];
  const GroupPartition partition{record.topic, record.partition};
  const auto before = group.offsets.find(partition);
  if (!record.value) {
    // Kept while the group has members: forgotten with the topic, or long after the last one left.
    ++world_.marks["group: an offset forgotten"];
    group.offsets.erase(partition);
    return;
  }
  const auto& now = *record.value;
  const bool anew = before == group.offsets.end() || before->second.topic_id != now.topic_id;
  const auto reset_epoch = anew ? 0 : before->second.reset_epoch;
  if (now.metadata.empty()) {  // members' commits say who
    ++world_.marks["group: reset"];
    if (now.reset_epoch != reset_epoch + 1 || !group.resets[partition].contains(now.offset)) {
      fail("CommittedOffsetsNeverRetreat", text_of(partition) + " of group " + record.group + " was reset to " +
                                               to_string(now.offset) + ", as nobody had asked");
    }
    group.reset_to[partition] = now.offset;
    if (record.topic == world_.topics.front().name) {
      // What lies below is given up on purpose.
      auto& worked = group.worked[static_cast<std::size_t>(record.partition.value())];
      const auto end = static_cast<std::size_t>(now.offset.value());
      worked.resize(std::max(worked.size(), end));
      std::fill_n(worked.begin(), end, true);
    }
  } else {
    ++world_.marks["group: commit"];
    group.commits.insert({partition, {member_of(now.metadata), now.offset}});
    // What it had said of records of before the reset may count for those that it has been given again since.
    const bool says_again = !anew && reset_epoch > 0 && now.offset >= group.reset_to[partition] &&
                            member_of(now.metadata) == member_of(before->second.metadata);
    if (says_again && now.offset < before->second.offset) ++world_.marks["group: said again after a reset"];
    if (now.reset_epoch != reset_epoch || (!anew && !says_again && now.offset < before->second.offset)) {
      fail("CommittedOffsetsNeverRetreat",
           text_of(partition) + " of group " + record.group + ": " + now.metadata + " commits " + to_string(now.offset) +
               " of reset " + std::to_string(now.reset_epoch) + " after " +
               (anew ? "nothing" : to_string(before->second.offset)) + " of reset " + std::to_string(reset_epoch));
    }
    const auto at = now.metadata.rfind('@');
    const auto member = group.members.find(now.metadata.substr(0, at));
    const TopicIdPartition id{now.topic_id, record.partition};
    const bool is_its_own = member != group.members.end() &&
                            (contains(member->second.current.assigned, id) || contains(member->second.current.revoking, id));
    const auto epoch = now.metadata.substr(at + 1);
    const bool of_now = is_its_own && (epoch == to_string(member->second.current.epoch) ||
                                       epoch == to_string(member->second.current.previous_epoch));
    if (!of_now) {
      fail("FencedMembersCannotCommit", now.metadata + " commits " + text_of(partition) + " of group " + record.group +
                                            (is_its_own                      ? ", in an epoch that is over"
                                             : member == group.members.end() ? ", and is no member"
                                                                             : ", which is not its own"));
    }
    check_skipped(record.group, group, record);
  }
  group.offsets[partition] = now;
}

void GroupJudge::check_skipped(const std::string& name, Group& group, const OffsetRecord& record) {
  if (record.topic != world_.topics.front().name) return;
  const auto number = static_cast<std::size_t>(record.partition.value());
  Offset start{0};
  for (const auto& holder : world_.replicas(number)) start = std::max(start, holder.log_start);
  const auto& worked = group.worked[number];
  for (auto at = start; at < record.value->offset; at += 1) {
    const auto index = static_cast<std::size_t>(at.value());
    if (index < worked.size() && worked[index]) continue;
    return fail("NoRecordSkipped", record.value->metadata + " commits " + to_string(record.value->offset) + " in data-" +
                                       to_string(record.partition) + " of group " + name + ", and nobody has worked on " +
                                       to_string(at));
  }
}

bool GroupJudge::is_current(const std::string& name, const std::string& member, GroupEpoch epoch) const {
  const auto group = groups_.find(name);
  if (group == groups_.end() || epoch == joining) return false;
  const auto found = group->second.members.find(member);
  if (found == group->second.members.end()) return false;
  return found->second.current.epoch == epoch || found->second.current.previous_epoch == epoch;
}

void GroupJudge::both_own(const std::string& group, const TopicIdPartition& partition, const std::string& one,
                          GroupEpoch epoch_of_one, const std::string& other, GroupEpoch epoch_of_other) {
  catch_up();
  ++world_.marks["group: owned by two, one of them fenced"];
  if (!is_current(group, one, epoch_of_one) || !is_current(group, other, epoch_of_other)) return;
  fail("OneOwnerPerPartitionPerEpoch", one + " and " + other + " of group " + group + " both have partition " +
                                           to_string(partition.partition) + ", and neither is fenced");
}

void GroupJudge::reset_asked(const std::string& group, const GroupPartition& partition, Offset to) {
  groups_[group].resets[partition].insert(to);
}

void GroupJudge::worked(const std::string& group, std::size_t number, Offset offset) {
  auto& worked = groups_[group].worked[number];
  const auto index = static_cast<std::size_t>(offset.value());
  if (worked.size() <= index) worked.resize(index + 1);
  if (worked[index]) ++world_.marks["group: worked on again"];
  worked[index] = true;
}

void GroupJudge::acknowledged(const std::string& group, const std::string& member, const GroupPartition& partition,
                              Offset next) {
  catch_up();
  ++world_.marks["group: commit answered"];
  const auto& known = groups_[group];
  if (known.commits.contains({partition, {member, next}})) return;
  // Nothing had to be written: it stood there.
  const auto stands = known.offsets.find(partition);
  if (stands != known.offsets.end() && stands->second.offset == next) return;
  fail("AcknowledgedCommitsAreKept",
       member + " was told that " + to_string(next) + " is committed in " + text_of(partition) + " of group " + group);
}

std::optional<Offset> GroupJudge::committed(const std::string& name, const GroupPartition& partition) const {
  const auto group = groups_.find(name);
  if (group == groups_.end()) return std::nullopt;
  const auto found = group->second.offsets.find(partition);
  return found == group->second.offsets.end() ? std::nullopt : std::optional{found->second.offset};
}

}  // namespace troupe::sim
