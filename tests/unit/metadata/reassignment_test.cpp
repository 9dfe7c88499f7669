#include "core/metadata/reassignment.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

ReassignPartitionsRequest to(const TopicId& topic, const Ids& replicas) {
  return {{{{topic, PartitionId{0}}, ids_of(replicas)}}};
}
ReassignPartitionsRequest off(const TopicId& topic) { return {{{{topic, PartitionId{0}}, std::nullopt}}}; }

}  // namespace

TEST_CASE("a reassignment ends when the new replicas are in the ISR", "[reassignment]") {
  Cluster cluster{5};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.commit(to(topic, {3, 4, 5}));
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 2 3 of 3 4 5 1 2 adding 4 5 removing 1 2");
  CHECK(*cluster.answer.partitions[0] == cluster.partition(topic));
  cluster.alter_isr(topic, {1, 2, 3, 4});
  const auto progress = reassignments(*cluster.image);
  REQUIRE(progress.size() == 1);
  CHECK(progress[0] ==
        ReassignmentProgress{{topic, PartitionId{0}}, ids_of({3, 4, 5}), ids_of({4, 5}), ids_of({5}), ids_of({1, 2})});
  cluster.alter_isr(topic, {1, 2, 3, 4, 5});
  CHECK(text(cluster.partition(topic)) == "leader 3 epoch 1 isr 3 4 5 of 3 4 5");
  CHECK(*cluster.answer.partitions[0] == cluster.partition(topic));
  CHECK(reassignments(*cluster.image).empty());
  CHECK(cluster.image->replica_count() == 3);
}

TEST_CASE("a leader that stays leads on", "[reassignment]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2}});
  cluster.commit(to(topic, {3, 1}));
  cluster.alter_isr(topic, {1, 2, 3});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 3 of 3 1");
}

TEST_CASE("another order, or fewer replicas, is in force at once", "[reassignment]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.commit(to(topic, {3, 2, 1}));
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 2 3 of 3 2 1");
  cluster.commit(to(topic, {3, 2}));
  CHECK(text(cluster.partition(topic)) == "leader 3 epoch 1 isr 2 3 of 3 2");
  cluster.commit(to(topic, {3, 2}));
  CHECK(cluster.verdict() == "ok");
  CHECK(cluster.written == 0);
}

TEST_CASE("copies stay while those that remain are too few in sync", "[reassignment]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.alter_isr(topic, {1, 2});
  cluster.commit(to(topic, {2, 3}));
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 2 of 2 3 1 removing 1");
  cluster.alter_isr(topic, {1, 2, 3});
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 1 isr 2 3 of 2 3");
}

TEST_CASE("who holds all that is committed, in the ISR or eligible, is not let go of before as many others do",
          "[reassignment]") {
  // Goal: with min.insync.replicas = 2 one lost disk costs nothing, also while the ISR is small (found by simulation, cluster seed 1033702).
  Cluster cluster{5};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.alter_isr(topic, {1});
  REQUIRE(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 3 of 1 2 3");
  SECTION("fewer copies") {
    cluster.commit(to(topic, {1}));  // one copy is what is asked for, and it has everything
    CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 of 1");
  }
  SECTION("fewer copies, of which one has not been in sync") {
    cluster.restart(3, true);
    cluster.alter_isr(topic, {1, 2});
    cluster.alter_isr(topic, {1});
    REQUIRE(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 2 3");
    cluster.unfence(3);
    cluster.commit(to(topic, {1, 3}));
    CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 3 2 removing 2");
    cluster.alter_isr(topic, {1, 3});
    CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 3 of 1 3");
  }
  SECTION("calling off") {
    cluster.commit(to(topic, {3, 4, 5}));
    cluster.alter_isr(topic, {1, 2, 4});
    cluster.alter_isr(topic, {1, 4});
    REQUIRE(cluster.partition(topic).isr == ids_of({1, 4}));
    cluster.commit(off(topic));  // 1 would be the only one that has what 1 and 4 acknowledged
    CHECK(cluster.verdict() == "eligible_leaders_not_available");
    cluster.alter_isr(topic, {1, 4, 3});
    cluster.commit(off(topic));
    CHECK(cluster.verdict() == "ok");
    CHECK(cluster.partition(topic).isr == ids_of({1, 3}));
  }
}

TEST_CASE("a reassignment is called off as long as one of the old replicas is in sync", "[reassignment]") {
  Cluster cluster{5};
  const auto topic = cluster.add_topic("rides", {{1, 2}});
  cluster.commit(off(topic));
  CHECK(cluster.verdict() == "no_reassignment_in_progress");
  cluster.commit(to(topic, {3, 4}));
  cluster.alter_isr(topic, {1, 2, 3});
  cluster.commit(ElectLeadersRequest{{{topic, PartitionId{0}}}, BrokerId{3}});
  REQUIRE(cluster.partition(topic).leader == BrokerId{3});
  cluster.commit(off(topic));
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 2 isr 1 2 of 1 2");
  CHECK(reassignments(*cluster.image).empty());

  cluster.commit(to(topic, {3, 4}));
  cluster.alter_isr(topic, {1, 2, 3});
  cluster.commit(ElectLeadersRequest{{{topic, PartitionId{0}}}, BrokerId{3}});
  cluster.alter_isr(topic, {3});
  cluster.commit(off(topic));
  CHECK(cluster.verdict() == "eligible_leaders_not_available");
  cluster.alter_isr(topic, {3, 4});
  CHECK(text(cluster.partition(topic)) == "leader 3 epoch 3 isr 3 4 of 3 4");
}

TEST_CASE("called off, the replicas are back in their order, and so is the preferred leader", "[reassignment]") {
  Cluster cluster{5};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  for (const Ids& target : {Ids{3, 1, 4}, Ids{4, 5}, Ids{3}, Ids{2, 5, 1, 3}}) {
    cluster.commit(to(topic, target));
    if (!cluster.partition(topic).is_reassigned()) break;
    CHECK(cluster.partition(topic).replicas_before == ids_of({1, 2, 3}));
    cluster.commit(off(topic));
    CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 2 3 of 1 2 3");
    CHECK(cluster.partition(topic).replicas_before.empty());
  }
  // Fewer, or another order, is in force at once: there is nothing to call off.
  CHECK(cluster.partition(topic).replicas == ids_of({3}));
  CHECK(cluster.partition(topic).replicas_before.empty());
}

TEST_CASE("replicas that cannot be are refused, each by its reason", "[reassignment]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2}});
  const auto verdict = [&](const ReassignPartitionsRequest& request) {
    cluster.commit(request);
    CHECK(cluster.written == 0);
    return cluster.verdict();
  };
  CHECK(verdict(to(uuid(99), {1})) == "unknown_topic_or_partition");
  CHECK(verdict(to(topic, {})) == "invalid_replica_assignment");
  CHECK(verdict(to(topic, {1, 1})) == "invalid_replica_assignment");
  CHECK(verdict(to(topic, {1, 9})) == "broker_id_not_registered");
  cluster.drain(3);
  CHECK(verdict(to(topic, {1, 3})) == "invalid_replica_assignment");
  cluster.commit(to(topic, {1, 4}));
  CHECK(verdict(to(topic, {2, 4})) == "reassignment_in_progress");
  CHECK(verdict(to(topic, {1, 4})) == "ok");
}

TEST_CASE("a reassignment outlives the death of those that it adds and removes", "[reassignment]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2}}, {{"min.insync.replicas", "1"}});
  cluster.commit(to(topic, {3, 4}));
  cluster.fence(3);
  cluster.fence(1);
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 1 isr 2 of 3 4 1 2 adding 3 4 removing 1 2");
  cluster.unfence(3);
  cluster.alter_isr(topic, {2, 4});
  cluster.alter_isr(topic, {2, 4, 3});
  CHECK(text(cluster.partition(topic)) == "leader 3 epoch 2 isr 4 3 of 3 4");
}
