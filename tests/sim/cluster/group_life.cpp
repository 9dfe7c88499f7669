#include "tests/sim/cluster/group_life.hpp"

#include <algorithm>
#include <set>

#include "core/group/topic_pattern.hpp"

namespace troupe::sim {

using namespace group;

namespace {

constexpr std::int64_t turn_us = 20'000;

}  // namespace

GroupLife::GroupLife(std::uint64_t seed, const GroupSettings& settings, ClusterWorld& cluster, SimNetwork& network)
    : world_{cluster, network, Prng{seed}, settings, GroupJudge{cluster.replication}} {
  world_.coordinator = [this](BrokerId id, PartitionId number) -> std::shared_ptr<GroupShell> {
    const auto found = shells_.find({id, static_cast<std::size_t>(number.value())});
    return found != shells_.end() && found->second && found->second->runs() ? found->second : nullptr;
  };
  world_.tell = [this](ClusterNode& node, const std::vector<MemberName>& members) {
    for (const auto& name : members) {
      for (const auto& group : groups_) {
        if (group.name != name.group) continue;
        for (const auto& member : group.members) {
          if (&member->node() == &node && member->id() == name.member) member->nudge();
        }
      }
    }
  };
  for (int i = 0; i < settings.groups; ++i) {
    Group group{"group-" + std::to_string(i), {}, {}};
    group.profile.topics = {cluster.replication.topics.front().name};
    // Topics of which there is metadata only: they come, grow and go.
    if (settings.by_pattern) group.profile.pattern = "side\\..*";
    group.profile.session_timeout_ms = settings.session_ms;
    group.profile.rebalance_timeout_ms = 3'000;
    if (world_.prng.chance(1, 4)) group.profile.assignor = "uniform";
    groups_.push_back(std::move(group));
  }
}

void GroupLife::begin() {
  for (auto& group : groups_) {
    for (auto count = world_.prng.between(1, world_.settings.members_max); count > 0; --count) add_member(group);
  }
  turn();
  trouble();
}

ClusterNode* GroupLife::any_node() {
  std::vector<ClusterNode*> ready;
  for (int id = 1; id <= world_.sim().settings.brokers; ++id) {
    auto& node = world_.cluster.node(BrokerId{id});
    if (node.up() && !node.replicas().paused() && node.ready()) ready.push_back(&node);
  }
  return ready.empty() ? nullptr : ready[world_.prng.below(ready.size())];
}

// --- coordinators

void GroupLife::turn() {
  world_.sim().queue.after_us(turn_us, [this] { turn(); });
  for (int id = 1; id <= world_.sim().settings.brokers; ++id) {
    auto& node = world_.cluster.node(BrokerId{id});
    if (node.up() && !node.replicas().paused() && node.ready()) look(node);
  }
  watch();
}

/// As actors/group_manager: what runs is what leads.
void GroupLife::look(ClusterNode& node) {
  const auto& topic = world_.sim().topics.back();
  for (std::size_t p = 0; p < topic.count; ++p) {
    auto& shell = shells_[{node.id(), p}];
    if (shell && shell->runs()) continue;
    shell = nullptr;
    if (node.replicas().leader(topic.first + p) == nullptr) continue;
    shell = std::make_shared<GroupShell>(world_, node, topic.first + p);
    world_.later_us(node, world_.prng.between(0, 20'000), [shell] { shell->begin(); });
  }
}

void GroupLife::shown(ClusterNode& node, const metadata::DeltaPtr& delta) {
  if (!delta) return;
  for (auto& [at, shell] : shells_) {
    if (at.first != node.id() || !shell || !shell->runs()) continue;
    shell->take(delta);
    for (const auto& broker : delta->before->registrations()) {
      const auto* now = delta->after->find_broker(broker.broker.id);
      if (!broker.fenced && (now == nullptr || now->fenced)) shell->node_lost(broker.broker.id);
    }
  }
}

void GroupLife::process_gone(ClusterNode& node, BrokerId gone) {
  for (auto& [at, shell] : shells_) {
    if (at.first == node.id() && shell && shell->runs()) shell->node_lost(gone);
  }
}

// --- what happens

void GroupLife::add_member(Group& group) {
  auto* node = any_node();
  if (node == nullptr) return;
  auto& prng = world_.prng;
  ConsumerOptions options{.group = group.name, .profile = group.profile, .reset = OffsetReset::earliest};
  options.auto_commit_interval_ms = prng.between(50, 1'500);
  options.release_ms_max = prng.between(500, 4'000);
  options.request_ms_max = 4'000;
  options.credit = prng.chance(1, 2) ? ConsumerCredit{prng.between(1, 20), 100'000} : ConsumerCredit{1'000, 1'000'000};
  options.fetch_bytes_max = prng.chance(1, 2) ? 300 : 8'192;
  if (prng.chance(world_.settings.static_percent, 100)) {
    options.profile.instance_id = "static-" + std::to_string(prng.below(3));
    options.comes_back = prng.chance(1, 2);
  }
  const GroupMember::Habits habits{.holds_on = prng.chance(world_.settings.holds_on_percent, 100),
                                   .commits = prng.chance(1, 3)};
  options.auto_commit = !habits.commits || prng.chance(1, 2);
  const auto id = "m" + std::to_string(next_member_++);
  const auto member = std::make_shared<GroupMember>(world_, *node, options, id, habits);
  group.members.push_back(member);
  if (healed_) member->behave();
  world_.mark("member came");
  world_.say(id + " of " + group.name + " on n" + to_string(node->id()) + " " + options.profile.instance_id);
  world_.later_us(*node, 0, [member] { member->start(); });
}

void GroupLife::trouble() {
  if (healed_) return;
  auto& prng = world_.prng;
  world_.sim().queue.after_us(prng.between(10'000, 2 * world_.settings.pace_us), [this] { trouble(); });
  auto& group = groups_[prng.below(groups_.size())];
  std::erase_if(group.members, [](const auto& member) { return !member->alive(); });
  const auto member = group.members.empty() ? nullptr : group.members[prng.below(group.members.size())];
  const auto room = static_cast<int>(group.members.size()) < world_.settings.members_max;
  switch (prng.below(8)) {
    case 0:
    case 1:
    case 2:
      if (room) add_member(group);
      return;
    case 3:
      if (!member || !member->staying()) return;
      world_.mark("member left");
      world_.say(member->id() + " leaves");
      return world_.later_us(member->node(), 0, [member] { member->close(); });
    case 4:
      if (!member || !prng.chance(1, 2)) return;
      world_.mark("member abandoned");
      return world_.later_us(member->node(), 0, [member] { member->abandon(); });
    case 5:
      if (!member) return;
      world_.mark("listener dawdles");
      return member->dawdle(prng.between(50'000, 4'000'000));
    case 6: return reset(group);
    default:
      if (member && room && !member->options().profile.instance_id.empty()) add_member(group);
  }
}

void GroupLife::reset(Group& group) {
  auto* node = any_node();
  if (node == nullptr) return;
  const auto& data = world_.sim().topics.front();
  const auto number = world_.prng.below(data.count);
  const auto end = world_.sim().invariants.committed_end(number).value();
  const GroupPartition partition{data.name, PartitionId{static_cast<std::int32_t>(number)}};
  const Offset to{world_.prng.between(0, end)};
  world_.judge.reset_asked(group.name, partition, to);
  world_.say("reset of " + group.name + " in data-" + std::to_string(number) + " to " + to_string(to));
  call_coordinator(world_, *node, ResetRequest{group.name, {{partition, to}}}, [this](const Result<GroupAnswer>& answer) {
    world_.mark(answer ? "reset answered" : "reset: " + std::string(to_string(answer.error().code)));
  });
}

// --- what has to hold

/// Of two who run and have the same partition, the epoch of one is over.
void GroupLife::watch() {
  world_.judge.catch_up();
  for (const auto& group : groups_) {
    std::map<TopicIdPartition, const GroupMember*> owners;
    for (const auto& member : group.members) {
      if (!member->alive()) continue;
      for (const auto& partition : member->machine().owned()) {
        const auto [at, is_new] = owners.emplace(partition, member.get());
        if (is_new) continue;
        world_.judge.both_own(group.name, partition, at->second->id(), at->second->machine().epoch(), member->id(),
                              member->machine().epoch());
      }
    }
  }
}

void GroupLife::heal() {
  healed_ = true;
  for (auto& group : groups_) {
    for (const auto& member : group.members) member->behave();
  }
}

/// Another run of the same static member is there, and stays.
bool GroupLife::waits_for_its_name(const Group& group, const GroupMember& member) {
  const auto& instance = member.options().profile.instance_id;
  using Phase = consumer::GroupConsumer::Phase;
  return !instance.empty() && member.machine().phase() == Phase::joining &&
         std::ranges::any_of(group.members, [&](const auto& other) {
           return other->alive() && other->options().profile.instance_id == instance &&
                  other->machine().phase() == Phase::member;
         });
}

std::string GroupLife::unrest() {
  world_.judge.catch_up();
  for (auto& group : groups_) {
    std::erase_if(group.members, [](const auto& member) { return !member->alive(); });
    std::map<TopicIdPartition, int> readers;
    std::size_t least = SIZE_MAX;
    std::size_t most = 0;
    bool any = false;
    for (const auto& member : group.members) {
      if (!member->staying()) return "a member of " + group.name + " has not left: " + describe(group);
      if (waits_for_its_name(group, *member)) continue;
      any = true;
      const auto reading = member->machine().reading();
      for (const auto& partition : reading) ++readers[partition];
      least = std::min(least, reading.size());
      most = std::max(most, reading.size());
    }
    if (!any) {
      add_member(group);
      return "nobody is in " + group.name;
    }
    if (most - least > 1) return group.name + " is not balanced: " + describe(group);
    const auto& image = *world_.cluster.committed.now();
    PartitionList all;
    const auto pattern = group.profile.pattern.empty() ? Result<TopicPattern>{Error{Errc::unknown_error, ""}}
                                                       : TopicPattern::compile(group.profile.pattern);
    for (const auto& topic : image.topics()) {
      const bool named = std::ranges::find(group.profile.topics, topic->name) != group.profile.topics.end();
      if (!named && !(pattern && pattern->matches(topic->name))) continue;
      for (std::int32_t number = 0; number < topic->partition_count(); ++number)
        all.push_back({topic->id, PartitionId{number}});
    }
    for (const auto& partition : all) {
      if (readers[partition] == 1) continue;
      return "a partition of " + group.name + " has " + std::to_string(readers[partition]) + " readers: " + describe(group);
    }
    if (readers.size() != all.size()) return group.name + " reads what is not there: " + describe(group);
    const auto& data = world_.sim().topics.front();
    for (std::size_t p = 0; p < data.count; ++p) {
      const auto end = world_.sim().invariants.committed_end(p);
      const auto committed = world_.judge.committed(group.name, {data.name, PartitionId{static_cast<std::int32_t>(p)}});
      // What is gone from the log needs no commit.
      const auto* leader = world_.leader_of(p);
      if (std::max(committed.value_or(Offset{0}), leader == nullptr ? Offset{0} : leader->log_start()) == end) continue;
      return group.name + " has committed " + (committed ? to_string(*committed) : "nothing") + " of " + to_string(end) +
             " in data-" + std::to_string(p) + ": " + describe(group);
    }
  }
  return {};
}

std::string GroupLife::describe(const Group& group) const {
  std::string text;
  for (const auto& member : group.members) {
    const auto& machine = member->machine();
    text += member->id() + " on n" + to_string(member->node().id()) + " phase " +
            std::to_string(static_cast<int>(machine.phase())) + " epoch " + to_string(machine.epoch()) + " owns " +
            std::to_string(machine.owned().size()) + " reads " + std::to_string(machine.reading().size()) + "; ";
  }
  for (const auto& [at, shell] : shells_) {
    if (shell && shell->runs()) text += shell->describe();
  }
  return text;
}

std::string GroupLife::told() const {
  const auto& settings = world_.settings;
  return std::to_string(settings.groups) + " groups of at most " + std::to_string(settings.members_max) +
         (settings.by_pattern ? ", by pattern" : "") + ", session " + std::to_string(settings.session_ms) +
         " ms, requests " + std::to_string(settings.request_ms) + " ms, something every " +
         std::to_string(settings.pace_us / 1'000) + " ms";
}

}  // namespace troupe::sim
