#include "core/metadata/leadership.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

ElectLeadersRequest elect(const TopicId& topic, BrokerId to = no_broker, bool unclean = false) {
  return {.partitions = {{topic, PartitionId{0}}}, .to = to, .unclean = unclean};
}

}  // namespace

TEST_CASE("leadership goes to the preferred replica or to a named one, when it is in sync", "[leadership]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.commit(elect(topic));
  CHECK(cluster.verdict() == "election_not_needed");
  cluster.commit(elect(topic, BrokerId{3}));
  CHECK(text(cluster.partition(topic)) == "leader 3 epoch 1 isr 1 2 3 of 1 2 3");
  CHECK(*cluster.answer.partitions[0] == cluster.partition(topic));
  cluster.commit(elect(topic, BrokerId{3}));
  CHECK(cluster.verdict() == "election_not_needed");
  cluster.commit(elect(topic, BrokerId{4}));
  CHECK(cluster.verdict() == "invalid_replica_assignment");
  cluster.alter_isr(topic, {3, 1});
  cluster.commit(elect(topic, BrokerId{2}));
  CHECK(cluster.verdict() == "eligible_leaders_not_available");
  cluster.commit(elect(topic));
  CHECK(cluster.partition(topic).leader == BrokerId{1});
  cluster.commit(elect(topic, BrokerId{3}));
  cluster.fence(1);
  cluster.commit(elect(topic));
  CHECK(cluster.verdict() == "preferred_leader_not_available");
  cluster.unfence(1);
  cluster.commit(elect(topic));
  CHECK(cluster.verdict() == "preferred_leader_not_available");
  cluster.alter_isr(topic, {3, 1});
  cluster.drain(1);
  cluster.commit(elect(topic));
  CHECK(cluster.verdict() == "preferred_leader_not_available");
  cluster.commit(elect(uuid(99)));
  CHECK(cluster.verdict() == "unknown_topic_or_partition");
}

TEST_CASE("an unclean election needs a partition without a leader, and a replica that lives", "[leadership]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}}, {{"min.insync.replicas", "1"}});
  cluster.commit(elect(topic, no_broker, true));
  CHECK(cluster.verdict() == "election_not_needed");
  cluster.alter_isr(topic, {1});
  cluster.commit(elect(topic, BrokerId{2}, true));
  CHECK(cluster.verdict() == "eligible_leaders_not_available");  // there is a leader: nothing is thrown away
  cluster.fence(2);
  cluster.fence(3);
  cluster.fence(1);
  cluster.commit(elect(topic, no_broker, true));
  CHECK(cluster.verdict() == "eligible_leaders_not_available");
  cluster.commit(elect(topic, BrokerId{3}, true));
  CHECK(cluster.verdict() == "eligible_leaders_not_available");

  cluster.unfence(2);
  cluster.unfence(3);
  cluster.commit(elect(topic, BrokerId{2}));  // unclean only when asked
  CHECK(cluster.verdict() == "eligible_leaders_not_available");
  SECTION("any") {
    cluster.commit(elect(topic, no_broker, true));
    CHECK(text(cluster.partition(topic)) == "leader 2 epoch 2 isr 2 of 1 2 3");
  }
  SECTION("a named one") {
    cluster.commit(elect(topic, BrokerId{3}, true));
    CHECK(text(cluster.partition(topic)) == "leader 3 epoch 2 isr 3 of 1 2 3");
  }
  REQUIRE(cluster.answer.unclean.size() == 1);
  CHECK(cluster.answer.unclean[0] ==
        UncleanElection{{topic, PartitionId{0}}, cluster.partition(topic).leader, LeaderEpoch{2}, false});
}

TEST_CASE("partitions of one request are answered in order, one named twice the second time, too", "[leadership]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}, {2, 1, 3}});
  cluster.commit(ElectLeadersRequest{
      .partitions = {{topic, PartitionId{1}}, {topic, PartitionId{0}}, {topic, PartitionId{1}}, {topic, PartitionId{2}}},
      .to = BrokerId{3}});
  REQUIRE(cluster.answer.partitions.size() == 4);
  CHECK(cluster.answer.partitions[0]);
  CHECK(cluster.answer.partitions[1]);
  CHECK(cluster.answer.partitions[2].error().code == Errc::election_not_needed);
  CHECK(cluster.answer.partitions[3].error().code == Errc::unknown_topic_or_partition);
  CHECK(cluster.answer.moved == 2);
}

TEST_CASE("leaderships go back to preferred replicas, some a turn", "[leadership]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", std::vector<Ids>(7, {1, 2, 3}));
  cluster.fence(1);
  CHECK(cluster.answer.moved == 7);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(cluster.written == 0);
  cluster.unfence(1);
  for (int i = 0; i < 7; ++i) cluster.alter_isr(topic, {2, 3, 1}, i);
  cluster.commit(BalanceLeadersRequest{.moves_max = 3});
  CHECK(cluster.answer.moved == 3);
  CHECK(cluster.answer.left == 4);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(cluster.answer.moved == 4);
  for (int i = 0; i < 7; ++i) CHECK(text(cluster.partition(topic, i)) == "leader 1 epoch 2 isr 2 3 1 of 1 2 3");
}

TEST_CASE("a partition whose topic now allows unclean elections gets its leader with the next balance", "[leadership]") {
  Cluster cluster{2};
  const auto topic = cluster.add_topic("rides", {{1, 2}}, {{"min.insync.replicas", "1"}});
  cluster.alter_isr(topic, {1});
  cluster.fence(1);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(cluster.partition(topic).leader == no_broker);
  const auto decision = decide_alter(
      *cluster.image, {.name = "rides", .config = {{"unclean.leader.election.enable", "true"}}}, Requester::client);
  REQUIRE(decision);
  cluster.apply(decision->records);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 2 isr 2 of 1 2");
  CHECK(cluster.answer.unclean.size() == 1);
}
