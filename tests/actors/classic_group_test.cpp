#include "tests/actors/group_fixture.hpp"

// Members of classic groups on several nodes, while the coordinator moves.

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::test;

namespace {

/// A client of Kafka's, at one node's door.
class ClassicClient {
 public:
  using Joining = GroupClient::Answer<group::ClassicJoinAnswer>;
  using Syncing = GroupClient::Answer<group::ClassicSyncAnswer>;

  ClassicClient(GroupClusterFixture& cluster, int node, std::string group)
      : cluster_(cluster),
        api_(cluster.groups.at(BrokerId{node})->front),
        waiter_(api_, cluster.scheduler),
        group_(std::move(group)) {}

  Joining start_join(bool takes_id_first = false, Millis timeout_ms = 60'000) {
    group::ClassicJoinRequest join;
    join.group = group_;
    join.member = member;
    join.client_id = "app";
    join.protocol_type = "consumer";
    join.protocols = {{"range", "m"}};
    join.takes_id_first = takes_id_first;
    auto [answer, reply] = GroupClient::expect<group::ClassicJoinAnswer>();
    api_.join(std::move(join), timeout_ms, std::move(reply));
    cluster_.scheduler.run();
    return answer;
  }
  group::ClassicJoinAnswer joined(const Joining& answer) {
    const auto said = waiter_.wait(answer);
    REQUIRE(said);
    member = said->member;
    generation = said->generation;
    return *said;
  }
  Syncing start_sync(std::vector<group::ClassicAssignment> assignments = {}) {
    auto [answer, reply] = GroupClient::expect<group::ClassicSyncAnswer>();
    api_.sync({group_, member, {}, generation, "consumer", "range", std::move(assignments)}, 60'000, std::move(reply));
    cluster_.scheduler.run();
    return answer;
  }
  std::string synced(const Syncing& answer) {
    const auto said = waiter_.wait(answer);
    REQUIRE(said);
    return said->assignment;
  }
  Result<Nothing> beat() {
    auto [answer, reply] = GroupClient::expect<Nothing>();
    api_.heartbeat(group::ClassicHeartbeatRequest{group_, member, {}, generation}, 5'000, std::move(reply));
    return waiter_.wait(answer);
  }
  Status leave() {
    auto [answer, reply] = GroupClient::expect<std::vector<Status>>();
    api_.leave({group_, {{member, {}}}}, 5'000, std::move(reply));
    const auto said = waiter_.wait(answer);
    REQUIRE(said);
    return said->at(0);
  }

  std::string member;
  group::GroupEpoch generation{-1};

 private:
  GroupClusterFixture& cluster_;
  GroupApi& api_;
  GroupClient waiter_;
  const std::string group_;
};

struct TwoMembers {
  GroupClusterFixture cluster;
  std::string group = cluster.led_by(1);
  ClassicClient leader{cluster, 2, group};
  ClassicClient follower{cluster, 3, group};

  explicit TwoMembers(std::uint64_t seed = 1) : cluster(seed) {
    const auto told = leader.joined(leader.start_join(true));
    REQUIRE(told.join_again);
    const auto first = leader.start_join();
    const auto second = follower.start_join();
    CHECK(leader.joined(first).members.size() == 2);
    follower.joined(second);
  }
  std::vector<group::ClassicAssignment> assignments() const { return {{leader.member, "0"}, {follower.member, "1"}}; }
};

}  // namespace

TEST_CASE("members of a classic group at two nodes join, sync and commit by way of a third", "[groups]") {
  TwoMembers two;
  auto& [cluster, group, leader, follower] = two;
  const auto waiting = follower.start_sync();
  CHECK_FALSE(waiting->has_value());
  CHECK(leader.synced(leader.start_sync(two.assignments())) == "0");
  CHECK(follower.synced(waiting) == "1");
  CHECK(leader.beat());
  REQUIRE(cluster.client(3).commit(group, {follower.member, follower.generation}, "orders", 1, 5));
  CHECK(cluster.client(1).committed(group) == 5);
  CHECK(cluster.client(2).commit(group, {leader.member, group::GroupEpoch{0}}, "orders", 0, 1).error().code ==
        Errc::illegal_generation);
  CHECK(follower.leave());
  CHECK(leader.beat().error().code == Errc::rebalance_in_progress);
  CHECK(leader.joined(leader.start_join()).generation == leader.generation);
  const auto described = cluster.client(1).describe(group);
  REQUIRE(described);
  CHECK(described->type == group::GroupType::classic);
  CHECK(described->members.size() == 1);
}

TEST_CASE("a classic group goes on at the next coordinator, and calls that wait go there", "[groups]") {
  const auto seed = GENERATE(1U, 2U);
  const bool killed = GENERATE(false, true);
  CAPTURE(seed, killed);
  TwoMembers two(seed);
  auto& [cluster, group, leader, follower] = two;
  const auto move = [&] {
    if (!killed) return cluster.controller->elect(cluster.place_of(group), BrokerId{2});
    cluster.kill_node(1);
    cluster.controller->fence(BrokerId{1});
  };
  // One waits for its assignment, and its call is asked again there.
  const auto waiting = follower.start_sync();
  move();
  cluster.scheduler.advance(1'000);
  CHECK_FALSE(waiting->has_value());
  CHECK(leader.synced(leader.start_sync(two.assignments())) == "0");
  CHECK(follower.synced(waiting) == "1");
  CHECK(leader.beat());
  CHECK(follower.beat());
  CHECK(cluster.client(3).describe(group)->members.size() == 2);
  REQUIRE(cluster.client(2).commit(group, {leader.member, leader.generation}, "orders", 0, 3));
}

TEST_CASE("joins that wait when the coordinator goes make one member each at the next", "[groups]") {
  TwoMembers two;
  auto& [cluster, group, leader, follower] = two;
  const auto waiting = follower.start_sync();
  leader.synced(leader.start_sync(two.assignments()));
  follower.synced(waiting);
  ClassicClient newcomer{cluster, 2, group};
  const auto third = newcomer.start_join();
  const auto second = follower.start_join();
  CHECK(leader.beat().error().code == Errc::rebalance_in_progress);
  cluster.controller->elect(cluster.place_of(group), BrokerId{2});
  cluster.scheduler.advance(1'000);
  CHECK_FALSE(third->has_value());
  const auto first = leader.start_join();
  CHECK(leader.joined(first).members.size() == 3);
  CHECK(newcomer.joined(third).generation == leader.generation);
  // The follower had nothing new: at the new coordinator, which nobody had called together yet, it may have got the old generation.
  follower.joined(second);
  if (follower.generation != leader.generation) follower.joined(follower.start_join());
  CHECK(cluster.client(1).describe(group)->members.size() == 3);
  CHECK(follower.generation == leader.generation);
}
