#include "core/metadata/isr_rules.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

TEST_CASE("a leader shrinks and grows its ISR, and each change is a partition epoch", "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.alter_isr(topic, {1, 3});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 3 of 1 2 3");
  CHECK(cluster.partition(topic).partition_epoch == PartitionEpoch{1});
  CHECK(*cluster.answer.partitions[0] == cluster.partition(topic));
  cluster.alter_isr(topic, {1, 3, 2});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 3 2 of 1 2 3");
  cluster.alter_isr(topic, {1, 3, 2});  // the same: a change that was taken back
  CHECK(cluster.partition(topic).partition_epoch == PartitionEpoch{3});
  CHECK(cluster.written == 1);
}

TEST_CASE("a proposal is refused by the first reason that applies", "[isr_rules]") {
  // Goal: a repeated request of which the first was accepted hears of its old partition epoch, whatever has become of its members.
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.fence(3);
  auto request = cluster.proposal(topic, {1, 3});  // in the end: 3 is fenced
  auto& proposal = request.proposals[0];
  const auto verdict = [&] {
    cluster.commit(request);
    CHECK(cluster.written == 0);
    return cluster.verdict();
  };
  const auto right = proposal;
  proposal.isr = {{BrokerId{4}, cluster.epoch(4)}};  // no replica, and without the leader
  proposal.partition_epoch = PartitionEpoch{0};
  proposal.leader_epoch = LeaderEpoch{1};
  proposal.partition.partition = PartitionId{1};
  request.broker_epoch = BrokerEpoch{99};
  CHECK(verdict() == "stale_broker_epoch");
  request.broker_epoch = cluster.epoch(1);
  CHECK(verdict() == "unknown_topic_or_partition");
  proposal.partition.partition = PartitionId{-1};
  CHECK(verdict() == "unknown_topic_or_partition");
  proposal.partition = right.partition;
  CHECK(verdict() == "fenced_leader_epoch");
  proposal.leader_epoch = right.leader_epoch;
  CHECK(verdict() == "invalid_update_version");
  proposal.partition_epoch = right.partition_epoch;
  CHECK(verdict() == "invalid_argument");
  proposal.isr = {};
  CHECK(verdict() == "invalid_argument");
  proposal.isr = {{BrokerId{2}, cluster.epoch(2)}};
  CHECK(verdict() == "invalid_argument");  // without its leader
  proposal.isr = {{BrokerId{1}, cluster.epoch(1)}, {BrokerId{1}, cluster.epoch(1)}};
  CHECK(verdict() == "invalid_argument");
  proposal.isr = right.isr;
  CHECK(verdict() == "ineligible_replica");
  cluster.unfence(3);
  request = cluster.proposal(topic, {1, 3});
  CHECK(cluster.partition(topic).isr == ids_of({1, 2}));
  cluster.commit(request);
  CHECK(cluster.verdict() == "ok");
  cluster.commit(request);
  CHECK(cluster.verdict() == "invalid_update_version");
}

TEST_CASE("only the leader of now is heard", "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  auto request = cluster.proposal(topic, {1, 2});
  request.broker = BrokerId{2};
  request.broker_epoch = cluster.epoch(2);
  cluster.commit(request);
  CHECK(cluster.verdict() == "fenced_leader_epoch");
  request.broker = BrokerId{9};
  cluster.commit(request);
  CHECK(cluster.verdict() == "stale_broker_epoch");
}

TEST_CASE("who may not join an ISR may still be in it", "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.drain(2);
  cluster.alter_isr(topic, {1, 2});  // a member that drains stays
  cluster.alter_isr(topic, {1});
  cluster.commit(cluster.proposal(topic, {1, 2}));
  CHECK(cluster.verdict() == "ineligible_replica");
  cluster.stop(3);
  cluster.commit(cluster.proposal(topic, {1, 3}));
  CHECK(cluster.verdict() == "ineligible_replica");
  cluster.drain(2, false);
  cluster.alter_isr(topic, {1, 2});

  SECTION("an earlier run of a member is refused, an unknown one is not") {
    auto request = cluster.proposal(topic, {1, 2});
    request.proposals[0].isr[1].broker_epoch = BrokerEpoch{cluster.epoch(2).value() - 1};
    cluster.commit(request);
    CHECK(cluster.verdict() == "ineligible_replica");
    request.proposals[0].isr[1].broker_epoch = no_broker_epoch;
    cluster.commit(request);
    CHECK(cluster.verdict() == "ok");
  }
}

TEST_CASE("who leaves an ISR that is below the minimum stays eligible until it has grown", "[isr_rules]") {
  // Goal: KIP-966.
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  REQUIRE(cluster.image->find_topic(topic)->config.min_insync_replicas == 2);
  cluster.alter_isr(topic, {1, 2});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 2 of 1 2 3");  // 3 may lack what 1 and 2 commit now
  cluster.alter_isr(topic, {1});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 2 3");
  cluster.alter_isr(topic, {1, 3});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 3 of 1 2 3");
  cluster.alter_isr(topic, {1, 3, 2});
  cluster.alter_isr(topic, {1});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 3 of 1 2 3");

  SECTION("and is forgotten when the minimum sinks to what there is") {
    const auto decision =
        decide_alter(*cluster.image, {.name = "rides", .config = {{"min.insync.replicas", "1"}}}, Requester::client);
    REQUIRE(decision);
    const auto before = cluster.partition(topic).partition_epoch;
    cluster.apply(decision->records);
    CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 of 1 2 3");
    CHECK(cluster.partition(topic).partition_epoch == before + 1);
  }
  SECTION("and not by another setting") {
    const auto decision =
        decide_alter(*cluster.image, {.name = "rides", .config = {{"retention.ms", "5"}}}, Requester::client);
    REQUIRE(decision);
    CHECK(decision->records.size() == 1);
  }
}

TEST_CASE("proposals of one request are answered one by one, each after those before it", "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}, {1, 2, 3}});
  auto request = cluster.proposal(topic, {1, 2});
  request.proposals.push_back(request.proposals[0]);  // the same again: its partition epoch is old by then
  request.proposals.push_back(cluster.proposal(topic, {1, 3}, 1).proposals[0]);
  cluster.commit(request);
  REQUIRE(cluster.answer.partitions.size() == 3);
  CHECK(cluster.answer.partitions[0]);
  CHECK(cluster.answer.partitions[1].error().code == Errc::invalid_update_version);
  CHECK(cluster.answer.partitions[2]);
  CHECK(cluster.written == 2);
  CHECK(cluster.partition(topic, 0).isr == ids_of({1, 2}));
  CHECK(cluster.partition(topic, 1).isr == ids_of({1, 3}));
}

namespace {

GiveUpReplicasRequest give_up(const Cluster& cluster, const TopicId& topic, std::int32_t broker) {
  return {BrokerId{broker}, cluster.epoch(broker), {{topic, PartitionId{0}}}};
}

}  // namespace

TEST_CASE("a leader that lost its log gives way to who is in sync, and is not eligible", "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}}, {{"min.insync.replicas", "3"}});
  cluster.commit(give_up(cluster, topic, 1));
  CHECK(cluster.verdict() == "ok");
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 1 isr 2 3 of 1 2 3");
  CHECK(cluster.answer.unclean.empty());
  cluster.alter_isr(topic, {2, 3, 1});
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 1 isr 2 3 1 of 1 2 3");
}

TEST_CASE("a follower that lost its log leaves the ISR, and its leader begins an epoch that knows nothing of it",
          "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  const auto stale = cluster.proposal(topic, {1, 2, 3});
  cluster.commit(give_up(cluster, topic, 3));
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 1 isr 1 2 of 1 2 3");
  cluster.commit(stale);
  CHECK(cluster.verdict() == "fenced_leader_epoch");
  // Out of the ISR already: what its leader counts of it is void all the same.
  cluster.commit(give_up(cluster, topic, 3));
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 2 isr 1 2 of 1 2 3");
}

TEST_CASE("an eligible replica takes over from the last of the ISR", "[isr_rules]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2}}, {{"min.insync.replicas", "2"}});
  cluster.alter_isr(topic, {1});
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 2");
  cluster.commit(give_up(cluster, topic, 1));
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 1 isr 2 of 1 2");
}

TEST_CASE("a replica without which records would be lost is not given up", "[isr_rules]") {
  Cluster cluster{3};
  const auto unclean = GENERATE(std::string{"false"}, std::string{"true"});
  const auto topic =
      cluster.add_topic("rides", {{1, 2}}, {{"min.insync.replicas", "1"}, {"unclean.leader.election.enable", unclean}});
  cluster.alter_isr(topic, {1});
  const auto before = cluster.partition(topic);
  cluster.commit(give_up(cluster, topic, 1));
  CHECK(cluster.verdict() == "eligible_leaders_not_available");
  CHECK(cluster.written == 0);
  CHECK(cluster.partition(topic) == before);
  auto other_run = give_up(cluster, topic, 2);
  ++other_run.broker_epoch;
  cluster.commit(other_run);
  CHECK(cluster.verdict() == "stale_broker_epoch");
  cluster.commit(give_up(cluster, topic, 3));
  CHECK(cluster.verdict() == "ok");
  CHECK(cluster.written == 0);
}
