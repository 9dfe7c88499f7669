#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/group_desk.hpp"
#include "actors/group_manager.hpp"
#include "core/group/group_place.hpp"
#include "tests/actors/node_fixture.hpp"
#include "tests/actors/replica_fixture.hpp"

/// Nodes with groups, in one thread.
namespace troupe::test {

/// What a node has for groups. Its actors go before it does.
struct GroupNode {
  actors::GroupDirectory directory;
  std::shared_ptr<actors::HandleSlot<caf::actor>> desk = std::make_shared<actors::HandleSlot<caf::actor>>();
  std::shared_ptr<actors::GroupListeners> listeners = std::make_shared<actors::GroupListeners>();
  actors::GroupFront front{desk, listeners};
  actors::HandleSlot<caf::actor> manager;

  void start(SeededScheduler& scheduler, actors::GroupManagerOptions manager_options,
             actors::GroupDeskOptions desk_options) {
    manager_options.directory = &directory;
    manager_options.desk = desk;
    desk_options.directory = &directory;
    desk_options.listeners = listeners;
    const auto row = [&](const char* kind) { return manager_options.table->add(kind, kind); };
    manager.set(scheduler.own(actors::spawn_group_manager(scheduler.system(), manager_options, row("group_manager"))));
    desk->set(scheduler.own(actors::spawn_group_desk(scheduler.system(), std::move(desk_options), row("group_desk"))));
  }
  void kill() {
    for (const auto& one : directory.all()) caf::anon_send_exit(one.coordinator, caf::exit_reason::kill);
    for (const auto& actor : {manager.get(), desk->get()}) {
      if (actor) caf::anon_send_exit(actor, caf::exit_reason::kill);
    }
  }
};

/// Calls of a GroupApi, and their answers.
class GroupClient {
 public:
  GroupClient(GroupApi& api, SeededScheduler& scheduler) : api_(api), scheduler_(scheduler) {}

  template <class T>
  using Answer = std::shared_ptr<std::optional<Result<T>>>;
  template <class T>
  static std::pair<Answer<T>, Reply<T>> expect() {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    return {answer, Reply<T>{[answer](Result<T> result) {
              REQUIRE_FALSE(answer->has_value());
              answer->emplace(std::move(result));
            }}};
  }
  template <class T>
  Result<T> wait(const Answer<T>& answer, Millis ms = 10'000) {
    scheduler_.run();
    for (Millis passed = 0; !answer->has_value() && passed < ms; passed += 10) scheduler_.advance(10);
    REQUIRE(answer->has_value());
    return **answer;
  }

  static group::MemberProfile reads(std::vector<std::string> topics) {
    group::MemberProfile profile;
    profile.topics = std::move(topics);
    return profile;
  }
  Answer<group::HeartbeatAnswer> start_beat(group::HeartbeatRequest request, Millis timeout_ms = 5'000) {
    auto [answer, reply] = expect<group::HeartbeatAnswer>();
    api_.heartbeat(std::move(request), timeout_ms, std::move(reply));
    return answer;
  }
  Result<group::HeartbeatAnswer> join(const std::string& group, const std::string& member, const std::string& topic) {
    return wait(start_beat({group, member, group::joining, reads({topic}), {}}));
  }
  Result<group::HeartbeatAnswer> beat(const std::string& group, const std::string& member, group::GroupEpoch epoch,
                                      std::optional<group::PartitionList> owned = {}) {
    return wait(start_beat({group, member, epoch, {}, std::move(owned)}));
  }
  Answer<std::vector<Status>> start_commit(const std::string& group, group::Committer who, const std::string& topic,
                                           std::int32_t partition, std::int64_t offset, Millis timeout_ms = 5'000) {
    auto [answer, reply] = expect<std::vector<Status>>();
    api_.commit({group, std::move(who), {{topic, PartitionId{partition}, Offset{offset}, no_leader_epoch, {}, 0}}},
                timeout_ms, std::move(reply));
    return answer;
  }
  Status commit(const std::string& group, group::Committer who, const std::string& topic, std::int32_t partition,
                std::int64_t offset) {
    const auto said = wait(start_commit(group, std::move(who), topic, partition, offset));
    if (!said) return said.error();
    REQUIRE(said->size() == 1);
    return said->front();
  }
  /// What is committed for the first partition of the group's first topic; -1: nothing.
  std::int64_t committed(const std::string& group) {
    auto [answer, reply] = expect<std::vector<group::Position>>();
    api_.offsets({group, {}, {}}, 5'000, std::move(reply));
    const auto said = wait(answer);
    REQUIRE(said);
    return said->empty() ? -1 : said->front().second->offset.value();
  }
  Result<group::GroupDescription> describe(const std::string& group, Millis timeout_ms = 5'000) {
    auto [answer, reply] = expect<group::GroupDescription>();
    api_.describe(group, timeout_ms, std::move(reply));
    return wait(answer, timeout_ms + 1'000);
  }
  Result<GroupListings> list(Millis timeout_ms = 5'000) {
    auto [answer, reply] = expect<GroupListings>();
    api_.list(timeout_ms, std::move(reply));
    return wait(answer, timeout_ms + 1'000);
  }
  Result<Nothing> remove(const std::string& group) {
    auto [answer, reply] = expect<Nothing>();
    api_.delete_group(group, 5'000, std::move(reply));
    return wait(answer);
  }

 private:
  GroupApi& api_;
  SeededScheduler& scheduler_;
};

inline group::PartitionList partitions_of(const group::HeartbeatAnswer& answer) {
  group::PartitionList list;
  if (answer.assignment) {
    for (const auto& one : *answer.assignment) list.push_back(one.partition);
  }
  return list;
}

/// One node.
struct GroupNodeFixture : NodeFixture {
  GroupNode groups;
  GroupClient client{groups.front, scheduler};
  actors::GroupDeskOptions desk_options = {};
  group::GroupCoordinator::Options rules = {};

  explicit GroupNodeFixture(std::uint64_t seed = 1) : NodeFixture(seed) {}
  ~GroupNodeFixture() { end_groups(); }

  void start_groups() {
    start_node();
    desk_options.node_id = BrokerId{1};
    desk_options.images = images;
    desk_options.metadata_quorum = [this] { return quorum.get(); };
    groups.start(scheduler,
                 {.node_id = BrokerId{1},
                  .metadata_quorum = [this] { return quorum.get(); },
                  .leaders = &directory,
                  .clock = &clock,
                  .table = &table,
                  .rules = rules},
                 desk_options);
    scheduler.run();
  }
  void end_groups() {
    groups.kill();
    scheduler.end_owned();
  }
  TopicIdPartition place_of(const std::string& group) {
    const auto topic = images->get()->find_topic(group::offsets_topic);
    REQUIRE(topic);
    return {topic->id, group::partition_of_group(group)};
  }
};

/// Several nodes; the groups' topic is on all of them, led in turn, so that the group named `led_by(n)` is coordinated by node n.
struct GroupClusterFixture : ReplicaFixture {
  std::map<BrokerId, std::unique_ptr<GroupNode>> groups;
  std::vector<std::unique_ptr<GroupNode>> gone_groups;
  metadata::TopicPtr offsets;
  metadata::TopicPtr orders;

  explicit GroupClusterFixture(std::uint64_t seed = 1) : ReplicaFixture(3, seed, true) {
    for (int id = 1; id <= 3; ++id) start_groups(id);
    std::vector<std::vector<BrokerId>> replicas;
    for (int i = 0; i < group::offsets_partitions; ++i) {
      replicas.push_back(brokers({i % 3 + 1, (i + 1) % 3 + 1, (i + 2) % 3 + 1}));
    }
    offsets = controller->create(std::string(group::offsets_topic), std::move(replicas), {{"min.insync.replicas", "2"}});
    orders = controller->create("orders", {brokers({1, 2, 3}), brokers({2, 3, 1})});
    scheduler.advance(500);
  }
  ~GroupClusterFixture() {
    for (auto& [id, one] : groups) one->kill();
    scheduler.end_owned();
  }

  void start_groups(int id) {
    auto& one = node(id);
    auto& made = *(groups[one.id] = std::make_unique<GroupNode>());
    made.start(scheduler,
               {.node_id = one.id,
                .metadata_quorum = [&one] { return one.quorum.get(); },
                .leaders = &one.directory,
                .clock = &one.clock,
                .table = &one.table},
               {.node_id = one.id,
                .images = one.images,
                .metadata_quorum = [&one] { return one.quorum.get(); },
                .links = one.links.get()});
    scheduler.run();
  }
  /// The process is killed.
  void kill_node(int id) {
    auto& one = groups.at(BrokerId{id});
    one->kill();
    gone_groups.push_back(std::move(one));
    groups.erase(BrokerId{id});
    stop(BrokerId{id});
  }
  GroupClient client(int id) { return {groups.at(BrokerId{id})->front, scheduler}; }

  TopicIdPartition place_of(const std::string& group) const { return {offsets->id, group::partition_of_group(group)}; }
  /// A group's name whose coordinator was on that node at first.
  std::string led_by(int id) const {
    for (int i = 0;; ++i) {
      auto name = "group-" + std::to_string(i);
      if (group::partition_of_group(name).value() % 3 + 1 == id) return name;
    }
  }
};

}  // namespace troupe::test
