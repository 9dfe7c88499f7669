#include "tests/unit/replication/leader_fixture.hpp"

using namespace troupe;
using namespace troupe::replication;
using namespace troupe::replication::test;

TEST_CASE("a shell learns which records a follower is owed before it answers it", "[replication]") {
  LeaderFixture leader;
  CHECK_FALSE(leader.replica.records_wanted(BrokerId{2}));  // it has not fetched in this epoch
  leader.append_records(10);
  REQUIRE(leader.fetch(2, 4));
  CHECK(leader.replica.records_wanted(BrokerId{2}) == Offset{4});
  CHECK(leader.replica.records_wanted(BrokerId{2}) == Offset{4});  // asking changes nothing
  REQUIRE(leader.replica.answer_follower(BrokerId{2}));
  CHECK_FALSE(leader.replica.records_wanted(BrokerId{2}));  // they were given
  REQUIRE(leader.fetch(2, 10));
  CHECK_FALSE(leader.replica.records_wanted(BrokerId{2}));  // it has all
  CHECK_FALSE(leader.replica.records_wanted(BrokerId{9}));
}

TEST_CASE("R8: the high watermark waits for the slowest replica in the ISR", "[replication]") {
  LeaderFixture leader;
  leader.append_records(10);
  CHECK(leader.replica.high_watermark() == Offset{0});
  CHECK(leader.fetch(2, 10));
  CHECK(leader.replica.high_watermark() == Offset{0});
  CHECK(leader.fetch(3, 4));
  CHECK(leader.replica.high_watermark() == Offset{4});
  CHECK(leader.effects.high_watermark == Offset{4});
}

TEST_CASE("R8: a member that is being added counts from the moment that it is asked for", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.append_records(10);
  CHECK(leader.fetch(2, 10));
  CHECK(leader.replica.high_watermark() == Offset{10});
  CHECK(leader.fetch(3, 10));
  CHECK(leader.asked_for() == brokers({1, 2, 3}));
  leader.append_records(5);
  CHECK(leader.fetch(2, 15));
  CHECK(leader.replica.high_watermark() == Offset{10});  // 3 may be a member already
  CHECK(leader.fetch(3, 15));
  CHECK(leader.replica.high_watermark() == Offset{15});
}

TEST_CASE("R8: a member that is being removed counts until it has been", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.append_records(10);
  leader.at(1'600);
  leader.at(2'700);
  CHECK(leader.asked_for() == brokers({1}));
  const auto alter = *leader.effects.alter;
  CHECK(leader.replica.high_watermark() == Offset{0});
  leader.accept(alter);
  CHECK(leader.replica.high_watermark() == Offset{10});
}

TEST_CASE("under fsync durable offsets count, the leader's own included", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  const auto token = leader.produce(1, new_batch(10));
  leader.replica.on_written(Offset{10}, leader.effects);
  CHECK(leader.effects.followers_ready.empty());  // nobody has fetched yet
  CHECK(*leader.fetch(2, 0));
  CHECK(leader.replica.answer_follower(BrokerId{2})->log_end == Offset{10});
  CHECK(leader.fetch(2, 10));
  CHECK(leader.replica.high_watermark() == Offset{0});  // the leader has not synced
  leader.appended(token);
  CHECK(leader.replica.high_watermark() == Offset{10});

  leader.append_records(10);
  CHECK(leader.fetch(2, 20, 13));
  CHECK(leader.replica.high_watermark() == Offset{13});
  CHECK(leader.fetch(2, 20, 20));
  CHECK(leader.replica.high_watermark() == Offset{20});
}

TEST_CASE("under interval what is in the log counts", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2}), .flush = Flush::interval}};
  leader.produce(1, new_batch(10));
  leader.replica.on_written(Offset{10}, leader.effects);
  CHECK(leader.fetch(2, 10, 0));
  CHECK(leader.replica.high_watermark() == Offset{10});
}

TEST_CASE("what a log held unsynced when its leader was elected counts after a sync", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1}), .log_end = Offset{10}, .durable_end = Offset{6}, .replicas = brokers({1, 2})}};
  CHECK(leader.effects.sync);
  CHECK(leader.replica.high_watermark() == Offset{6});
  leader.replica.on_durable(Offset{10}, leader.effects);
  CHECK(leader.replica.high_watermark() == Offset{10});
  CHECK(leader.replica.ready());
}

TEST_CASE("R3: the high watermark does not retreat when a slower replica joins", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1})}};
  leader.append_records(10);
  CHECK(leader.replica.high_watermark() == Offset{10});
  leader.state.isr = brokers({1, 2});
  leader.state.partition_epoch = PartitionEpoch{41};
  leader.replica.on_partition(leader.state, leader.now, leader.effects);
  leader.append_records(1);
  CHECK(leader.fetch(2, 3));
  CHECK(leader.replica.high_watermark() == Offset{10});
}

TEST_CASE("R6: only fetches of this epoch advance the watermark", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.append_records(10);
  auto old = leader.fetch_of(2, 10);
  old.position.leader_epoch = LeaderEpoch{4};
  CHECK(leader.fetch(old).error().code == Errc::fenced_leader_epoch);
  auto future = leader.fetch_of(2, 10);
  future.position.leader_epoch = LeaderEpoch{6};
  CHECK(leader.fetch(future).error().code == Errc::unknown_leader_epoch);
  CHECK(leader.replica.high_watermark() == Offset{0});
  CHECK(leader.fetch(9, 10).error().code == Errc::not_leader_or_follower);
}

TEST_CASE("a run of a follower that has ended does not count, nor does it speak", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.append_records(10);
  CHECK(leader.fetch(2, 8));
  CHECK(leader.replica.high_watermark() == Offset{8});
  auto next_run = leader.fetch_of(2, 5);
  next_run.broker_epoch = BrokerEpoch{30};
  CHECK(leader.fetch(next_run));
  CHECK(leader.fetch(2, 10).error().code == Errc::stale_broker_epoch);
  CHECK(leader.replica.high_watermark() == Offset{8});
}

TEST_CASE("R9: the watermark stands still while the ISR is below the minimum", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2}), .min_insync_replicas = 2}};
  leader.append_records(3);
  CHECK(leader.fetch(2, 3));
  const auto token = leader.produce(1, new_batch(4));
  leader.state.isr = brokers({1});
  leader.state.partition_epoch = PartitionEpoch{41};
  leader.replica.on_partition(leader.state, leader.now, leader.effects);
  CHECK(leader.asked_for() == brokers({1, 2}));
  const auto back = *leader.effects.alter;
  leader.appended(token);
  CHECK(leader.replica.under_min_isr());
  CHECK(leader.replica.high_watermark() == Offset{3});

  // 2 comes back, and with it the minimum.
  CHECK(leader.fetch(2, 7));
  CHECK(leader.replica.high_watermark() == Offset{3});
  leader.accept(back);
  CHECK(leader.replica.high_watermark() == Offset{7});
}

TEST_CASE("R9: fewer replicas than the minimum are all that there are", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1}), .min_insync_replicas = 2, .replicas = brokers({1})}};
  leader.appended(leader.produce(1, new_batch(1), {.acks = Acks::leader}));
  CHECK(leader.replica.high_watermark() == Offset{1});
}

TEST_CASE("a position that a successor may have shown is not out of range", "[replication]") {
  // Found by troupe_sim --of group --seed=101978: a member beside a leader that was deposed, and did not know it, was told that
  // what its group had committed was beyond the log's end.
  LeaderFixture leader{{.isr = brokers({1, 2}),
                        .log_end = Offset{30},
                        .durable_end = Offset{30},
                        .high_watermark = Offset{30},
                        .epochs = {{LeaderEpoch{3}, Offset{0}}}}};
  leader.appended(leader.produce(1, new_batch(5), {.acks = Acks::leader}));
  REQUIRE(leader.replica.ready());
  REQUIRE(leader.replica.high_watermark() == Offset{30});
  CHECK(leader.replica.check_offset(Offset{34}));
  CHECK_FALSE(leader.replica.has_records_at(Offset{34}));
  CHECK(leader.replica.check_offset(Offset{36}).error().code == Errc::offset_out_of_range);
}

TEST_CASE("R13: an elected leader is ready when the watermark has reached the start of its epoch", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2}),
                        .log_end = Offset{30},
                        .durable_end = Offset{30},
                        .high_watermark = Offset{20},
                        .epochs = {{LeaderEpoch{3}, Offset{0}}}}};
  CHECK_FALSE(leader.replica.ready());
  CHECK(leader.replica.committed_end().error().code == Errc::offset_not_available);
  CHECK(leader.replica.check_offset(Offset{25}));  // an earlier leader may have shown it: it waits
  CHECK_FALSE(leader.replica.has_records_at(Offset{25}));
  CHECK(leader.replica.check_offset(Offset{31}).error().code == Errc::offset_out_of_range);

  auto fetch = leader.fetch_of(2, 30);
  fetch.position.last_fetched_epoch = LeaderEpoch{3};
  CHECK(leader.fetch(fetch));
  CHECK(leader.replica.ready());
  CHECK(*leader.replica.committed_end() == Offset{30});
}

TEST_CASE("a parked fetch is answered for records, for a new watermark, for a new log start", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  CHECK_FALSE(*leader.fetch(2, 0));
  leader.append_records(5);
  CHECK(leader.effects.followers_ready == brokers({2}));
  auto answer = *leader.replica.answer_follower(BrokerId{2});
  CHECK(answer.fetch_offset == Offset{0});
  CHECK(answer.log_end == Offset{5});
  CHECK(answer.high_watermark == Offset{0});

  leader.append_records(1);
  CHECK(leader.effects.followers_ready.empty());  // it has been given records and has not said that it holds them

  CHECK(*leader.fetch(2, 6));  // with it all is committed: that is news for 2
  answer = *leader.replica.answer_follower(BrokerId{2});
  CHECK(answer.log_end == answer.fetch_offset);
  CHECK(answer.high_watermark == Offset{6});

  leader.effects = {};
  leader.replica.on_log_start(Offset{4}, leader.effects);
  CHECK(leader.effects.followers_ready == brokers({2}));
  CHECK(leader.replica.answer_follower(BrokerId{2})->log_start == Offset{4});
}

TEST_CASE("records are given once for a position, and again when that is asked for", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.append_records(5);
  CHECK(*leader.fetch(2, 0));
  CHECK(leader.replica.answer_follower(BrokerId{2})->log_end == Offset{5});
  auto same = leader.fetch_of(2, 0);
  same.again = false;
  CHECK_FALSE(*leader.fetch(same));
  same.again = true;
  CHECK(*leader.fetch(same));
  CHECK(leader.replica.answer_follower(BrokerId{2})->log_end == Offset{5});

  // The log was emptied by a new log start: the same offset, and another position.
  auto emptied = leader.fetch_of(2, 3);
  CHECK(*leader.fetch(emptied));
  CHECK(leader.replica.answer_follower(BrokerId{2})->log_end == Offset{5});
  emptied.again = false;
  emptied.position.last_fetched_epoch = no_leader_epoch;
  CHECK(*leader.fetch(emptied));
}

TEST_CASE("R10: a follower is told by epoch where its log parts from the leader's", "[replication]") {
  // leader  [0..9 e1] [10..29 e3] | epoch 5 begins at 30
  LeaderFixture leader{{.log_end = Offset{30},
                        .durable_end = Offset{30},
                        .high_watermark = Offset{10},
                        .epochs = {{LeaderEpoch{1}, Offset{0}}, {LeaderEpoch{3}, Offset{10}}}}};
  const auto diverging = [&](std::int64_t offset, int last_epoch) -> std::optional<DivergingEpoch> {
    auto fetch = leader.fetch_of(2, offset);
    fetch.position.last_fetched_epoch = LeaderEpoch{last_epoch};
    const auto news = leader.fetch(fetch);
    REQUIRE(news);
    return leader.replica.answer_follower(BrokerId{2})->diverging;
  };
  CHECK(diverging(40, 2) == DivergingEpoch{LeaderEpoch{1}, Offset{10}});
  CHECK(diverging(12, 1) == DivergingEpoch{LeaderEpoch{1}, Offset{10}});
  CHECK(diverging(35, 3) == DivergingEpoch{LeaderEpoch{3}, Offset{30}});
  CHECK(diverging(40, 4) == DivergingEpoch{LeaderEpoch{3}, Offset{30}});
  CHECK(diverging(30, 3) == std::nullopt);
  CHECK(diverging(10, 1) == std::nullopt);
  CHECK(leader.replica.high_watermark() == Offset{10});  // what parts does not count
}

TEST_CASE("a follower from before the log start is refused, and told where the log begins", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2}),
                        .log_start = Offset{20},
                        .log_end = Offset{30},
                        .durable_end = Offset{30},
                        .high_watermark = Offset{25},
                        .epochs = {{LeaderEpoch{4}, Offset{20}}}}};
  const auto old = leader.fetch_of(2, 7);
  CHECK(leader.fetch(old).error().code == Errc::offset_out_of_range);
  const auto answer = leader.replica.refusal_answer(old, Errc::offset_out_of_range);
  CHECK(answer.log_start == Offset{20});
  CHECK(answer.fetch_offset == Offset{7});

  auto foreign = leader.fetch_of(2, 25);  // its last epoch is older than all that is kept here
  foreign.position.last_fetched_epoch = LeaderEpoch{2};
  CHECK(leader.fetch(foreign).error().code == Errc::offset_out_of_range);
  auto ahead = leader.fetch_of(2, 31);
  ahead.position.last_fetched_epoch = no_leader_epoch;
  CHECK(leader.fetch(ahead).error().code == Errc::offset_out_of_range);
  CHECK(leader.replica.high_watermark() == Offset{25});
}
