#include "tests/unit/replication/leader_fixture.hpp"

using namespace troupe;
using namespace troupe::replication;
using namespace troupe::replication::test;

TEST_CASE("R7: a replica joins when it holds all below the watermark and the start of the epoch", "[replication]") {
  // The new leader knows a watermark of 10; its predecessor may have shown records up to 30.
  LeaderFixture leader{{.isr = brokers({1, 2}),
                        .log_end = Offset{30},
                        .durable_end = Offset{30},
                        .high_watermark = Offset{10},
                        .epochs = {{LeaderEpoch{3}, Offset{0}}}}};
  auto fetch = leader.fetch_of(3, 29);
  fetch.position.last_fetched_epoch = LeaderEpoch{3};
  CHECK(leader.fetch(fetch));
  CHECK_FALSE(leader.effects.alter);
  fetch.position.fetch_offset = Offset{30};
  CHECK(leader.fetch(fetch));
  CHECK_FALSE(leader.effects.alter);  // not durable
  fetch.position.durable_offset = Offset{30};
  CHECK(leader.fetch(fetch));
  CHECK(leader.asked_for() == brokers({1, 2, 3}));
  CHECK(leader.effects.alter->leader_epoch == LeaderFixture::epoch);
  CHECK(leader.effects.alter->partition_epoch == PartitionEpoch{40});
  // KIP-903: which run of each; that of 2 is not known, it has not fetched.
  CHECK(leader.effects.alter->isr == std::vector<IsrMember>{{BrokerId{1}, BrokerEpoch{11}},
                                                            {BrokerId{2}, no_broker_epoch},
                                                            {BrokerId{3}, BrokerEpoch{13}}});
}

TEST_CASE("one change at a time, the next when the first is committed", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1})}};
  leader.append_records(4);
  CHECK(leader.fetch(2, 4));
  const auto first = *leader.effects.alter;
  CHECK(leader.fetch(3, 4));
  CHECK_FALSE(leader.effects.alter);
  leader.accept(first);
  CHECK(leader.asked_for() == brokers({1, 2, 3}));
  CHECK(leader.effects.alter->partition_epoch == PartitionEpoch{41});
}

TEST_CASE("who stands still leaves after the lag time, who is always a little behind stays", "[replication]") {
  LeaderFixture leader;
  for (int round = 0; round < 30; ++round) {
    leader.now = MonotonicMs{1'000 + 100 * round};
    leader.append_records(10);
    CHECK(leader.fetch(2, 10 * round));  // one round behind, each time
    if (leader.effects.alter) break;
    leader.replica.on_deadline(leader.now, leader.effects);
    if (leader.effects.alter) break;
  }
  CHECK(leader.asked_for() == brokers({1, 2}));
  CHECK(leader.now > MonotonicMs{2'000});
  CHECK(leader.now <= MonotonicMs{2'300});
}

TEST_CASE("an idle partition keeps its ISR, and after that the lag time begins with the first record", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  CHECK(leader.fetch(2, 0));
  CHECK(leader.replica.next_deadline() == std::nullopt);  // nothing to look at
  leader.now = MonotonicMs{500'000};
  leader.append_records(1);
  REQUIRE(leader.replica.next_deadline());
  CHECK(*leader.replica.next_deadline() <= leader.now);  // when the record came is seen now
  leader.at(500'000);
  CHECK_FALSE(leader.effects.alter);
  leader.at(500'999);
  CHECK_FALSE(leader.effects.alter);
  leader.at(501'001);
  CHECK(leader.asked_for() == brokers({1}));
}

TEST_CASE("one that would have to leave again at once does not join", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1}), .min_insync_replicas = 2}};  // so that the watermark stands still
  leader.appended(leader.produce(1, new_batch(5), {.acks = Acks::leader}));
  CHECK(leader.fetch(2, 1));
  leader.accept(*leader.effects.alter);
  leader.at(3'000);
  CHECK(leader.asked_for() == brokers({1}));
  leader.accept(*leader.effects.alter);
  CHECK_FALSE(leader.effects.alter);
  leader.at(9'000);
  CHECK_FALSE(leader.effects.alter);
  CHECK(leader.fetch(2, 5));
  CHECK(leader.asked_for() == brokers({1, 2}));
}

TEST_CASE("a request without an answer is sent again as it was", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1})}};
  CHECK(leader.fetch(2, 0));
  const auto first = *leader.effects.alter;
  CHECK(leader.replica.next_deadline() == MonotonicMs{1'100});
  leader.at(1'099);
  CHECK_FALSE(leader.effects.alter);
  leader.at(1'100);
  CHECK(leader.effects.alter == first);
  leader.refuse(first, Errc::request_timed_out);
  leader.at(1'200);
  CHECK(leader.effects.alter == first);
}

TEST_CASE("an old partition epoch may be that of our own first copy: the change stays pending until it is seen",
          "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  CHECK(leader.fetch(3, 0));
  const auto alter = *leader.effects.alter;
  leader.refuse(alter, Errc::invalid_update_version);
  leader.append_records(10);
  CHECK(leader.fetch(2, 10));
  CHECK(leader.replica.high_watermark() == Offset{0});  // 3 may be a member
  leader.at(60'000);
  CHECK_FALSE(leader.effects.alter);
  leader.state.isr = brokers({1, 2});
  leader.state.partition_epoch = PartitionEpoch{41};
  leader.replica.on_partition(leader.state, leader.now, leader.effects);
  CHECK(leader.replica.high_watermark() == Offset{10});
}

TEST_CASE("a refused member counts until the controller has committed that it is not one", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  CHECK(leader.fetch(3, 0));
  leader.refuse(*leader.effects.alter, Errc::ineligible_replica);
  CHECK(leader.asked_for() == brokers({1, 2}));
  const auto taken_back = *leader.effects.alter;
  leader.append_records(10);
  CHECK(leader.fetch(2, 10));
  CHECK(leader.replica.high_watermark() == Offset{0});
  leader.accept(taken_back);
  CHECK(leader.replica.high_watermark() == Offset{10});

  // It is thought of again after a while, and at once when its broker is back.
  CHECK(leader.fetch(3, 10));
  CHECK_FALSE(leader.effects.alter);
  leader.effects = {};
  leader.replica.on_broker_back(leader.now, leader.effects);
  CHECK(leader.asked_for() == brokers({1, 2, 3}));
}

TEST_CASE("a refused shrink is dropped: the larger set was the one in force", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2, 3})}};
  leader.append_records(1);
  leader.at(1'500);
  leader.at(2'600);
  CHECK(leader.asked_for() == brokers({1}));
  leader.refuse(*leader.effects.alter, Errc::ineligible_replica);
  CHECK_FALSE(leader.replica.isr().changing());
  leader.at(2'700);
  CHECK(leader.asked_for() == brokers({1}));
}

TEST_CASE("older and repeated states of the partition change nothing", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  auto old = leader.state;
  old.isr = brokers({1});
  leader.replica.on_partition(old, leader.now, leader.effects);
  old.partition_epoch = PartitionEpoch{39};
  leader.replica.on_partition(old, leader.now, leader.effects);
  old.partition_epoch = PartitionEpoch{50};
  old.leader_epoch = LeaderEpoch{4};
  leader.replica.on_partition(old, leader.now, leader.effects);
  CHECK(leader.replica.isr().committed() == brokers({1, 2}));
  CHECK_FALSE(leader.replica.ended());
}

TEST_CASE("replicas come and go with the partition, and eligible leader replicas are known", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.state.replicas = brokers({1, 3, 4});
  leader.state.isr = brokers({1});
  leader.state.eligible_leader_replicas = brokers({3});
  leader.state.partition_epoch = PartitionEpoch{41};
  leader.replica.on_partition(leader.state, leader.now, leader.effects);
  CHECK(leader.replica.eligible_leader_replicas() == brokers({3}));
  CHECK(leader.fetch(2, 0).error().code == Errc::not_leader_or_follower);
  CHECK(leader.fetch(4, 0));
  CHECK(leader.asked_for() == brokers({1, 4}));
}

TEST_CASE("who is behind and cannot be reached leaves the ISR after a second, not after the lag time", "[replication]") {
  LeaderFixture leader{{.min_insync_replicas = 2}};
  auto options = LeaderReplica::Options{.epoch = LeaderFixture::epoch, .min_insync_replicas = 2};
  leader.replica.set_options(options);
  CHECK(leader.fetch(2, 0));
  CHECK(leader.fetch(3, 0));
  leader.append_records(4);
  CHECK(leader.fetch(2, 4));
  CHECK(leader.replica.high_watermark() == Offset{0});
  leader.effects = {};
  leader.replica.on_link(BrokerId{3}, false, MonotonicMs{1'000}, leader.effects);
  CHECK_FALSE(leader.effects.alter);
  REQUIRE(leader.replica.next_deadline());
  CHECK(*leader.replica.next_deadline() <= MonotonicMs{2'000});
  leader.at(1'999);
  CHECK_FALSE(leader.effects.alter);
  leader.at(2'000);
  CHECK(leader.asked_for() == brokers({1, 2}));
  leader.accept(*leader.effects.alter);
  CHECK(leader.replica.high_watermark() == Offset{4});
  // It stays out while there is no link, and comes back over it.
  CHECK(leader.fetch(3, 0));
  CHECK_FALSE(leader.effects.alter);
  leader.effects = {};
  leader.replica.on_link(BrokerId{3}, true, MonotonicMs{3'000}, leader.effects);
  CHECK(leader.fetch(3, 4));
  CHECK(leader.asked_for() == brokers({1, 2, 3}));
}

TEST_CASE("a connection that comes back at once costs nobody the ISR", "[replication]") {
  LeaderFixture leader;
  leader.replica.set_options({.epoch = LeaderFixture::epoch});
  leader.append_records(4);
  for (std::int64_t at = 1'000; at < 10'000; at += 900) {
    leader.effects = {};
    leader.replica.on_link(BrokerId{3}, false, MonotonicMs{at}, leader.effects);
    CHECK_FALSE(leader.effects.alter);
    leader.at(at + 200);
    CHECK_FALSE(leader.effects.alter);
    leader.effects = {};
    leader.replica.on_link(BrokerId{3}, true, MonotonicMs{at + 200}, leader.effects);
    CHECK_FALSE(leader.effects.alter);
  }
  leader.at(12'000);
  CHECK_FALSE(leader.effects.alter);
}

TEST_CASE("who has all stays without a link, until there is something that it lacks", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.replica.set_options({.epoch = LeaderFixture::epoch});
  CHECK(leader.fetch(2, 0));
  leader.effects = {};
  leader.replica.on_link(BrokerId{2}, false, leader.now, leader.effects);
  leader.replica.on_link(BrokerId{9}, false, leader.now, leader.effects);  // no replica
  CHECK(leader.replica.next_deadline() == std::nullopt);
  leader.at(60'000);
  CHECK_FALSE(leader.effects.alter);
  leader.append_records(1);
  REQUIRE(leader.replica.next_deadline());
  CHECK(*leader.replica.next_deadline() <= leader.now);
  leader.at(60'001);
  CHECK(leader.asked_for() == brokers({1}));
  // Refused, for a reason that time may end: asked again after a while, and not at once.
  leader.refuse(*leader.effects.alter, Errc::ineligible_replica);
  CHECK_FALSE(leader.effects.alter);
  REQUIRE(leader.replica.next_deadline());
  CHECK(*leader.replica.next_deadline() > leader.now);
  leader.at(61'000);
  CHECK(leader.asked_for() == brokers({1}));
}
