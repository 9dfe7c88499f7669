#include "tests/sim/quorum_cluster.hpp"
#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

/// `voters` nodes that were told of each other, and others that join.
sim::QuorumCluster cluster_of(int voters, int others = 0) {
  sim::QuorumCluster cluster{5};
  std::vector<BrokerId> listed;
  for (int i = 1; i <= voters; ++i) listed.emplace_back(i);
  for (int i = 1; i <= voters + others; ++i) {
    cluster.add({.id = BrokerId{i}, .bootstrap_voters = i <= voters ? listed : std::vector<BrokerId>{}, .contacts = listed});
  }
  return cluster;
}

void start(sim::QuorumCluster& cluster, std::initializer_list<int> ids) {
  for (const auto id : ids) cluster.start(BrokerId{id});
}

bool ready_within(sim::QuorumCluster& cluster, Millis time) {
  return cluster.run_until(cluster.now() + time, [&] { return cluster.ready_leader() != BrokerId{-1}; });
}

}  // namespace

TEST_CASE("the first election waits until all listed voters are there and empty (design, section 7)", "[quorum]") {
  auto cluster = cluster_of(3);
  start(cluster, {1, 2});
  CHECK_FALSE(ready_within(cluster, 10'000));
  CHECK(cluster.node(BrokerId{1}).role() == QuorumRole::unformatted);
  CHECK(cluster.node(BrokerId{1}).cluster_id().is_nil());
  start(cluster, {3});
  CHECK(ready_within(cluster, 3'000));
  for (const auto id : cluster.ids()) {
    CHECK(cluster.node(id).cluster_id() == cluster.node(BrokerId{1}).cluster_id());
    CHECK(cluster.node(id).voters().size() == 3);
  }
  CHECK_FALSE(cluster.invariants().violation());
}

TEST_CASE("a voter that says hello and goes away is not counted as there", "[quorum]") {
  auto cluster = cluster_of(3);
  start(cluster, {2, 3});
  cluster.run_until(500);
  cluster.crash(BrokerId{3});
  cluster.run_until(3'000);
  start(cluster, {1});
  cluster.run_until(6'000);
  CHECK(cluster.node(BrokerId{1}).role() == QuorumRole::unformatted);
}

TEST_CASE("voters that were told of different voters do not found a cluster", "[quorum]") {
  sim::QuorumCluster cluster{5};
  cluster.add({.id = BrokerId{1}, .bootstrap_voters = {BrokerId{1}, BrokerId{2}}});
  cluster.add({.id = BrokerId{2}, .bootstrap_voters = {BrokerId{1}, BrokerId{2}, BrokerId{3}}});
  cluster.add({.id = BrokerId{3}, .bootstrap_voters = {BrokerId{1}, BrokerId{2}, BrokerId{3}}});
  start(cluster, {1, 2, 3});
  cluster.run_until(10'000);
  for (const auto id : cluster.ids()) CHECK(cluster.node(id).role() == QuorumRole::unformatted);
}

TEST_CASE("a node alone is a cluster at once", "[quorum]") {
  auto cluster = cluster_of(1);
  start(cluster, {1});
  CHECK(ready_within(cluster, 100));
}

TEST_CASE("a node without a list joins as an observer and follows the log", "[quorum]") {
  auto cluster = cluster_of(1, 2);
  start(cluster, {2, 3});
  cluster.run_until(2'000);
  CHECK(cluster.node(BrokerId{2}).role() == QuorumRole::unformatted);
  start(cluster, {1});
  REQUIRE(ready_within(cluster, 1'000));
  cluster.propose(BrokerId{1}, 100);
  cluster.run_until(cluster.now() + 2'000);
  for (const auto id : {BrokerId{2}, BrokerId{3}}) {
    CHECK(cluster.node(id).role() == QuorumRole::observer);
    CHECK(cluster.applied(id).end == cluster.invariants().committed_end());
  }
}

TEST_CASE("a founder that dies when only it is formatted tells the others when it is back", "[quorum]") {
  auto cluster = cluster_of(3);
  start(cluster, {1, 2, 3});
  REQUIRE(cluster.run_until(5'000, [&] {
    return cluster.disk(BrokerId{1}).hard_state && !cluster.disk(BrokerId{1}).hard_state->cluster_id.is_nil();
  }));
  cluster.crash(BrokerId{1});
  cluster.run_until(cluster.now() + 2'000);
  start(cluster, {1});
  CHECK(ready_within(cluster, 3'000));
  CHECK_FALSE(cluster.invariants().violation());
}

TEST_CASE("an empty disk under an old id has no vote until it is added (M4, F19)", "[quorum]") {
  auto cluster = cluster_of(3);
  start(cluster, {1, 2, 3});
  REQUIRE(ready_within(cluster, 5'000));
  const BrokerId victim{cluster.ready_leader() == BrokerId{3} ? 2 : 3};
  const auto before = cluster.node(victim).key();
  cluster.wipe(victim);
  cluster.start(victim);
  cluster.run_until(cluster.now() + 3'000);
  const auto after = cluster.node(victim).key();
  CHECK(after != before);
  CHECK(cluster.node(victim).role() == QuorumRole::observer);
  const auto leader = cluster.ready_leader();
  REQUIRE(leader != BrokerId{-1});
  CHECK(cluster.node(leader).voters().contains(before));
  CHECK(cluster.node(victim).cluster_id() == cluster.node(leader).cluster_id());

  // With its voice the other two would be a majority without the one that is left: it must not have one.
  const BrokerId other{6 - leader.value() - victim.value()};
  cluster.crash(other);
  cluster.run_until(cluster.now() + 5'000);
  CHECK(cluster.ready_leader() == BrokerId{-1});
  cluster.start(other);
  REQUIRE(ready_within(cluster, 5'000));

  cluster.remove_voter(cluster.ready_leader(), before);
  cluster.run_until(cluster.now() + 500);
  cluster.add_voter(cluster.ready_leader(), after);
  cluster.run_until(cluster.now() + 1'000);
  CHECK(cluster.node(victim).role() == QuorumRole::follower);
  CHECK(cluster.node(victim).voters().size() == 3);
  CHECK_FALSE(cluster.invariants().violation());
}

TEST_CASE("a cluster grows from one voter to seven and shrinks again while it works", "[quorum]") {
  auto cluster = cluster_of(1, 6);
  start(cluster, {1, 2, 3, 4, 5, 6, 7});
  REQUIRE(ready_within(cluster, 2'000));
  cluster.run_until(cluster.now() + 2'000);
  for (int id = 2; id <= 7; ++id) {
    cluster.add_voter(cluster.ready_leader(), cluster.node(BrokerId{id}).key());
    cluster.propose(cluster.ready_leader(), 50);
    cluster.run_until(cluster.now() + 500);
    CHECK(cluster.node(cluster.ready_leader()).voters().size() == static_cast<std::size_t>(id));
  }
  for (int id = 1; id <= 6; ++id) {  // the leader among them
    REQUIRE(ready_within(cluster, 5'000));
    cluster.remove_voter(cluster.ready_leader(), cluster.node(BrokerId{id}).key());
    cluster.run_until(cluster.now() + 1'000);
  }
  REQUIRE(ready_within(cluster, 5'000));
  CHECK(cluster.ready_leader() == BrokerId{7});
  CHECK(cluster.node(BrokerId{7}).voters().size() == 1);
  cluster.run_until(cluster.now() + 3'000);
  CHECK(cluster.node(BrokerId{1}).role() == QuorumRole::observer);
  CHECK(cluster.applied(BrokerId{1}).end == cluster.invariants().committed_end());
  CHECK_FALSE(cluster.invariants().violation());
}
