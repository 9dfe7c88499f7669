#include "core/metadata/broker_lifecycle.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

TEST_CASE("what a dead broker led is led by others of the ISR, in one decision", "[broker_lifecycle]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}, {2, 1, 3}, {2, 3, 4}, {1, 4, 2}});
  cluster.alter_isr(topic, {1, 4}, 3);
  cluster.fence(1);
  CHECK(cluster.broker(1).fenced);
  CHECK(text(cluster.partition(topic, 0)) == "leader 2 epoch 1 isr 2 3 of 1 2 3");
  CHECK(text(cluster.partition(topic, 1)) == "leader 2 epoch 0 isr 2 3 of 2 1 3");
  CHECK(text(cluster.partition(topic, 2)) == "leader 2 epoch 0 isr 2 3 4 of 2 3 4");
  CHECK(cluster.partition(topic, 2).partition_epoch == PartitionEpoch{0});
  CHECK(text(cluster.partition(topic, 3)) == "leader 4 epoch 1 isr 4 elr 1 of 1 4 2");
  CHECK(cluster.answer.moved == 2);
  CHECK(cluster.answer.unclean.empty());
  cluster.fence(1);
  CHECK(cluster.written == 0);
}

TEST_CASE("the last of an ISR stays in it, and leads again when it is back", "[broker_lifecycle]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2}}, {{"min.insync.replicas", "1"}});
  cluster.alter_isr(topic, {1});
  CHECK(cluster.partition(topic).eligible_leader_replicas.empty());
  cluster.fence(1);
  CHECK(text(cluster.partition(topic)) == "leader -1 epoch 1 isr 1 of 1 2");
  cluster.fence(2);
  cluster.unfence(2);
  CHECK(cluster.partition(topic).leader == no_broker);  // it was not in sync
  cluster.unfence(1);
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 2 isr 1 of 1 2");
  CHECK(cluster.answer.unclean.empty());
}

TEST_CASE("an eligible leader replica leads when the whole ISR is dead", "[broker_lifecycle]") {
  // Goal: KIP-966: nothing was committed without it.
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  cluster.fence(3);
  cluster.fence(2);
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 2 3");
  cluster.fence(1);
  CHECK(text(cluster.partition(topic)) == "leader -1 epoch 1 isr 1 elr 2 of 1 2 3");
  cluster.unfence(3);
  CHECK(cluster.partition(topic).leader == no_broker);
  cluster.unfence(2);
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 2 isr 2 elr 1 of 1 2 3");
  CHECK(cluster.answer.unclean.empty());
}

TEST_CASE("a new run of a broker leaves the ISRs of others, and is fenced until it has caught up", "[broker_lifecycle]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}, {2, 1, 3}});
  const auto lone = cluster.add_topic("lone", {{1}});
  const auto before = cluster.epoch(1);
  cluster.restart(1, true);
  CHECK(cluster.epoch(1) > before);
  CHECK(cluster.broker(1).fenced);
  CHECK(text(cluster.partition(topic, 0)) == "leader 2 epoch 1 isr 2 3 of 1 2 3");
  CHECK(text(cluster.partition(topic, 1)) == "leader 2 epoch 0 isr 2 3 of 2 1 3");
  CHECK(text(cluster.partition(lone)) == "leader -1 epoch 1 isr 1 of 1");
  cluster.unfence(1);
  CHECK(text(cluster.partition(topic, 0)) == "leader 2 epoch 1 isr 2 3 of 1 2 3");
  CHECK(text(cluster.partition(lone)) == "leader 1 epoch 2 isr 1 of 1");
  CHECK(cluster.refusal(FenceBrokerRequest{BrokerId{1}, before}) == Errc::stale_broker_epoch);

  // The same run again changes nothing.
  const auto known = cluster.broker(1);
  cluster.commit(RegisterBrokerRequest{known.broker, known.incarnation});
  CHECK(cluster.written == 0);
}

TEST_CASE("a broker that is registered alone is in service at once, and leads in the next epoch", "[broker_lifecycle]") {
  Cluster cluster{1};
  const auto topic = cluster.add_topic("rides", {{1}, {1}}, {{"flush", "interval"}});
  cluster.restart(1, false);
  CHECK(cluster.written == 1);
  CHECK_FALSE(cluster.broker(1).fenced);
  CHECK(text(cluster.partition(topic)) == "leader 1 epoch 1 isr 1 of 1");
  CHECK(cluster.partition(topic).partition_epoch == PartitionEpoch{1});
  REQUIRE(cluster.answer.unclean.size() == 2);  // its log may be shorter than it was: to be said
  CHECK(cluster.answer.unclean[0].leader_epoch == LeaderEpoch{1});
  CHECK(cluster.answer.unclean[0].last_known_leader);
  cluster.restart(1, true);
  CHECK(cluster.answer.unclean.empty());
}

TEST_CASE("who comes back with another disk holds nothing of what it had", "[broker_lifecycle]") {
  // Goal: F19: an empty disk under an old id leads nothing that others have.
  constexpr Uuid disk{{1}};
  constexpr Uuid other_disk{{2}};
  Cluster cluster{3};
  for (int id = 1; id <= 3; ++id) {
    cluster.restart(id, true, disk);
    cluster.unfence(id);
  }
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  const auto lone = cluster.add_topic("lone", {{1}});
  cluster.fence(3);

  SECTION("an eligible leader replica") {
    cluster.fence(2);
    REQUIRE(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 2 3");
    SECTION("with its disk: it leads when all others are dead") {
      cluster.restart(2, false, disk);
      cluster.unfence(2);
      cluster.fence(1);
      CHECK(cluster.partition(topic).leader == BrokerId{2});
    }
    SECTION("with another") {
      cluster.restart(2, true, other_disk);
      CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 of 1 2 3");
      cluster.unfence(2);
      cluster.fence(1);
      CHECK(cluster.partition(topic).leader == no_broker);
      // Its next run has that disk still.
      cluster.restart(2, true, other_disk);
      cluster.unfence(2);
      CHECK(cluster.partition(topic).leader == no_broker);
      cluster.unfence(1);
      CHECK(text(cluster.partition(topic)) == "leader 1 epoch 2 isr 1 of 1 2 3");
      CHECK(cluster.answer.unclean.empty());
    }
  }
  SECTION("the last of an ISR, while another is eligible") {
    cluster.fence(2);
    cluster.fence(1);
    cluster.restart(1, true, other_disk);
    cluster.unfence(1);
    CHECK(text(cluster.partition(topic)) == "leader -1 epoch 1 elr 2 of 1 2 3");
    cluster.unfence(2);
    CHECK(text(cluster.partition(topic)) == "leader 2 epoch 2 isr 2 of 1 2 3");
    CHECK(cluster.answer.unclean.empty());
  }
  SECTION("of everybody who had all: somebody has to say who leads") {
    cluster.fence(2);
    cluster.fence(1);
    cluster.restart(2, true, other_disk);
    cluster.restart(1, true, other_disk);
    for (int id = 1; id <= 3; ++id) cluster.unfence(id);
    CHECK(text(cluster.partition(topic)) == "leader -1 epoch 1 of 1 2 3");
    CHECK(cluster.partition(topic).last_known_leader == no_broker);
  }
  SECTION("the only copy: nobody will ever have more") {
    cluster.restart(1, true, other_disk);
    cluster.unfence(1);
    CHECK(cluster.partition(lone).leader == BrokerId{1});
    REQUIRE(cluster.answer.unclean.size() == 1);
    CHECK(cluster.answer.unclean[0].partition == TopicIdPartition{lone, PartitionId{0}});
  }
  SECTION("who says nothing of its disk is taken at its word") {
    cluster.fence(2);
    cluster.restart(2, true);
    CHECK(text(cluster.partition(topic)) == "leader 1 epoch 0 isr 1 elr 2 of 1 2 3");
  }
}

TEST_CASE("a log that a crash may have cut is trusted only under flush = fsync", "[broker_lifecycle]") {
  // Goal: R11 and KIP-966: broker epoch and the mark of a clean end.
  Cluster cluster{3};
  const auto flush = GENERATE(std::string{"fsync"}, std::string{"interval"});
  const bool clean = GENERATE(true, false);
  const bool trusted = clean || flush == "fsync";
  INFO("flush = " << flush << ", clean = " << clean);
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}}, {{"flush", flush}});
  cluster.fence(3);

  SECTION("of the two that are left: as an eligible leader replica") {
    cluster.restart(2, clean);
    CHECK(text(cluster.partition(topic)) ==
          (trusted ? "leader 1 epoch 0 isr 1 elr 2 of 1 2 3" : "leader 1 epoch 0 isr 1 of 1 2 3"));
    cluster.unfence(2);
    cluster.fence(1);
    CHECK(cluster.partition(topic).leader == (trusted ? BrokerId{2} : no_broker));
  }
  SECTION("of the last one, while another is eligible") {
    cluster.fence(2);
    cluster.fence(1);
    cluster.restart(1, clean);
    cluster.unfence(1);
    CHECK(cluster.partition(topic).leader == (trusted ? BrokerId{1} : no_broker));
    if (!trusted) {
      CHECK(text(cluster.partition(topic)) == "leader -1 epoch 1 elr 2 of 1 2 3");
      CHECK(cluster.partition(topic).last_known_leader == BrokerId{1});
      cluster.unfence(2);
      CHECK(text(cluster.partition(topic)) == "leader 2 epoch 2 isr 2 of 1 2 3");
      CHECK(cluster.partition(topic).last_known_leader == no_broker);
      CHECK(cluster.answer.unclean.empty());
    }
  }
  SECTION("of all: who led last leads, and it is said") {
    cluster.fence(2);
    cluster.fence(1);
    cluster.restart(1, clean);
    cluster.restart(2, clean);
    cluster.unfence(2);
    CHECK(cluster.partition(topic).leader == (trusted ? BrokerId{2} : no_broker));
    cluster.unfence(1);
    CHECK(cluster.partition(topic).leader == (trusted ? BrokerId{2} : BrokerId{1}));
    if (!trusted) {
      REQUIRE(cluster.answer.unclean.size() == 1);
      CHECK(cluster.answer.unclean[0] == UncleanElection{{topic, PartitionId{0}}, BrokerId{1}, LeaderEpoch{2}, true});
      CHECK(text(cluster.partition(topic)) == "leader 1 epoch 2 isr 1 of 1 2 3");
    }
  }
}

TEST_CASE("unclean.leader.election.enable lets any replica lead when nobody in sync lives, and says so",
          "[broker_lifecycle]") {
  Cluster cluster{3};
  const auto topic =
      cluster.add_topic("rides", {{1, 2, 3}}, {{"unclean.leader.election.enable", "true"}, {"min.insync.replicas", "1"}});
  cluster.alter_isr(topic, {1});
  cluster.fence(1);
  CHECK(text(cluster.partition(topic)) == "leader 2 epoch 1 isr 2 of 1 2 3");
  CHECK(cluster.answer.unclean == std::vector{UncleanElection{{topic, PartitionId{0}}, BrokerId{2}, LeaderEpoch{1}}});
}

TEST_CASE("a broker that stops gives away what others can lead", "[broker_lifecycle]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}});
  const auto lone = cluster.add_topic("lone", {{1}});
  const auto pair = cluster.add_topic("pair", {{2, 1}});
  cluster.stop(1);
  CHECK(cluster.broker(1).stopping);
  CHECK(text(cluster.partition(topic, 0)) == "leader 2 epoch 1 isr 2 3 of 1 2 3");
  CHECK(text(cluster.partition(lone)) == "leader 1 epoch 0 isr 1 of 1");
  CHECK(text(cluster.partition(pair)) == "leader 2 epoch 0 isr 2 elr 1 of 2 1");
  cluster.stop(1);
  CHECK(cluster.written == 0);
  cluster.fence(1);
  cluster.restart(1, true);
  CHECK_FALSE(cluster.broker(1).stopping);

  // The last of all still leads, however many stop.
  cluster.stop(2);
  cluster.stop(3);
  CHECK(cluster.partition(topic, 0).leader == BrokerId{3});
  CHECK(cluster.partition(topic, 0).isr == ids_of({3}));
}

TEST_CASE("a draining broker gives its leaderships away, follows on, and survives its restart as draining",
          "[broker_lifecycle]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}, {1, 3, 2}});
  const auto lone = cluster.add_topic("lone", {{1}});
  cluster.drain(1);
  CHECK(text(cluster.partition(topic, 0)) == "leader 2 epoch 1 isr 1 2 3 of 1 2 3");
  CHECK(text(cluster.partition(topic, 1)) == "leader 3 epoch 1 isr 1 3 2 of 1 3 2");
  CHECK(cluster.partition(lone).leader == BrokerId{1});
  CHECK(cluster.answer.moved == 2);
  CHECK(cluster.answer.left == 1);
  CHECK(load_of(*cluster.image, BrokerId{1}).leads == 1);

  cluster.restart(1, true);
  CHECK(cluster.broker(1).draining);
  cluster.unfence(1);
  CHECK(cluster.broker(1).draining);
  CHECK(cluster.partition(lone).leader == BrokerId{1});  // better than nobody

  for (int i = 0; i < 3; ++i) {
    const auto more = cluster.add_topic("more-" + std::to_string(i), {});
    for (const auto& partition : cluster.image->find_topic(more)->partitions)
      CHECK_FALSE(has_broker(partition.replicas, BrokerId{1}));
  }
  cluster.drain(1, false);
  CHECK_FALSE(cluster.broker(1).draining);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(cluster.partition(topic, 0).leader == BrokerId{2});  // 1 is not in the ISR yet
}

TEST_CASE("a drain moves so many leaderships at once, and the balance the rest", "[broker_lifecycle]") {
  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", std::vector<Ids>(10, {1, 2, 3}));
  cluster.commit(DrainBrokerRequest{.broker = BrokerId{1}, .moves_max = 4});
  CHECK(cluster.answer.moved == 4);
  CHECK(cluster.answer.left == 6);
  cluster.commit(BalanceLeadersRequest{.moves_max = 5});
  CHECK(cluster.answer.moved == 5);
  CHECK(cluster.answer.left == 1);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(load_of(*cluster.image, BrokerId{1}).leads == 0);
  cluster.commit(BalanceLeadersRequest{});
  CHECK(cluster.written == 0);
  CHECK(cluster.partition(topic).isr == ids_of({1, 2, 3}));
}

TEST_CASE("only a broker that has ended and has no copies can be unregistered", "[broker_lifecycle]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{1, 2}});
  const auto other = cluster.add_topic("others", {{1, 4}});
  CHECK(cluster.refusal(UnregisterBrokerRequest{BrokerId{3}}) == Errc::conflict);  // it is alive
  cluster.fence(4);
  CHECK(cluster.refusal(UnregisterBrokerRequest{BrokerId{4}}) == Errc::conflict);  // it has a copy
  cluster.fence(3);
  cluster.commit(UnregisterBrokerRequest{BrokerId{3}});
  CHECK(cluster.image->registrations().size() == 3);
  CHECK(cluster.partition(other).replicas == ids_of({1, 4}));
  CHECK(cluster.refusal(UnregisterBrokerRequest{BrokerId{3}}) == Errc::broker_id_not_registered);
  CHECK(cluster.refusal(DrainBrokerRequest{.broker = BrokerId{3}}) == Errc::broker_id_not_registered);
  CHECK(cluster.refusal(StopBrokerRequest{BrokerId{3}, BrokerEpoch{0}}) == Errc::broker_id_not_registered);
  CHECK(cluster.refusal(UnfenceBrokerRequest{BrokerId{2}, BrokerEpoch{99}}) == Errc::stale_broker_epoch);
  CHECK(cluster.partition(topic).isr == ids_of({1, 2}));
}

TEST_CASE("a node that is alone raises the level of the metadata, one among others does not", "[broker_lifecycle]") {
  const auto level = [](const ImagePtr& image, std::int16_t number) {
    return apply_records(image, {FeatureLevelRecord{"metadata.version", number}}).after;
  };
  CHECK(decide_upgrade(*empty_image(), BrokerId{1}) == FeatureLevelRecord{"metadata.version", 2});
  CHECK(decide_upgrade(*level(cluster_image(1), 1), BrokerId{1}) == FeatureLevelRecord{"metadata.version", 2});
  CHECK_FALSE(decide_upgrade(*level(cluster_image(1), 2), BrokerId{1}));
  CHECK_FALSE(decide_upgrade(*level(cluster_image(1), 3), BrokerId{1}));
  CHECK_FALSE(decide_upgrade(*level(cluster_image(2), 1), BrokerId{1}));
}
