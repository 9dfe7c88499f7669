#include "tests/unit/replication/leader_fixture.hpp"

using namespace troupe;
using namespace troupe::replication;
using namespace troupe::replication::test;

TEST_CASE("acks: none at once, leader when the leader holds it, quorum when it is committed", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  const auto none = leader.produce(1, new_batch(), {.acks = Acks::none});
  CHECK(leader.only_result()->base_offset == Offset{0});
  leader.appended(none);
  CHECK(leader.effects.answers.empty());

  leader.appended(leader.produce(2, new_batch(), {.acks = Acks::leader}));
  CHECK(leader.only_result()->base_offset == Offset{1});

  leader.appended(leader.produce(3, new_batch(), {.acks = Acks::quorum}));
  CHECK(leader.effects.answers.empty());
  CHECK(leader.fetch(2, 2));
  CHECK(leader.effects.answers.empty());
  CHECK(leader.fetch(2, 3));
  CHECK(leader.only_result()->base_offset == Offset{2});
}

TEST_CASE("a retry at quorum of what is not committed waits as well", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.appended(leader.produce(1, new_batch(2, ProducerId{9}, 0), {.acks = Acks::leader}));
  CHECK(leader.produce(2, new_batch(2, ProducerId{9}, 0)) == 0);
  CHECK(leader.effects.answers.empty());
  CHECK(leader.fetch(2, 2));
  CHECK(leader.only_result()->duplicate);
}

TEST_CASE("fewer replicas in sync than the minimum: refused at quorum before anything is written", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2}), .min_insync_replicas = 3}};
  CHECK(leader.produce(1, new_batch()) == 0);
  CHECK(leader.only_result().error().code == Errc::not_enough_replicas);
  CHECK(leader.produce(2, new_batch(), {.acks = Acks::leader}) != 0);
}

TEST_CASE("fewer than the minimum after the append: another code, for the outcome is unknown", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2}), .min_insync_replicas = 2}};
  leader.appended(leader.produce(1, new_batch(), {.deadline = MonotonicMs{1'500}}));
  leader.state.isr = brokers({1});
  leader.state.partition_epoch = PartitionEpoch{41};
  leader.replica.on_partition(leader.state, leader.now, leader.effects);
  CHECK(leader.replica.next_deadline() <= MonotonicMs{1'500});
  leader.at(1'499);
  CHECK(leader.effects.answers.empty());
  leader.at(1'500);
  CHECK(leader.only_result().error().code == Errc::not_enough_replicas_after_append);
}

TEST_CASE("not committed by its deadline: the outcome is unknown, and what it repeated of old is told", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.appended(leader.produce(1, new_batch(1, ProducerId{9}, 0)));
  CHECK(leader.fetch(2, 1));
  std::vector<NewBatch> two;
  two.push_back(new_batch(1, ProducerId{9}, 0));
  two.push_back(new_batch(1, ProducerId{9}, 1));
  leader.effects = {};
  leader.replica.on_produce(2, std::move(two), {.deadline = MonotonicMs{1'200}}, leader.effects);
  leader.appended(leader.effects.appends.at(0).token);
  leader.at(1'200);
  REQUIRE(leader.effects.answers.size() == 1);
  CHECK(leader.effects.answers[0].results[0]->duplicate);
  CHECK(leader.effects.answers[0].results[1].error().code == Errc::request_timed_out);
  CHECK(leader.fetch(2, 2));
  CHECK(leader.effects.answers.empty());  // once
}

TEST_CASE("R12: leadership lost after the append has a code of its own, before it another", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  leader.append_records(1);                           // slot 100: in the log, not committed
  const auto token = leader.produce(1, new_batch());  // on its way to the disk
  leader.replica.park(7, MonotonicMs{9'000});
  auto next = leader.state;
  next.leader_epoch = LeaderEpoch{6};
  next.leader = BrokerId{2};
  next.partition_epoch = PartitionEpoch{41};
  leader.effects = {};
  leader.replica.on_partition(next, leader.now, leader.effects);
  CHECK(leader.replica.ended());
  REQUIRE(leader.effects.answers.size() == 2);
  for (const auto& answer : leader.effects.answers) CHECK(answer.results[0].error().code == Errc::leadership_lost);
  CHECK(leader.effects.readable == std::vector<std::uint64_t>{7});

  leader.appended(token);
  CHECK(leader.effects.answers.empty());
  CHECK(leader.fetch(2, 2).error().code == Errc::not_leader_or_follower);
  CHECK(leader.replica.high_watermark() == Offset{0});
  leader.produce(2, new_batch());
  CHECK(leader.only_result().error().code == Errc::not_leader_or_follower);
  CHECK(leader.replica.answer_follower(BrokerId{2}).error().code == Errc::not_leader_or_follower);
  CHECK(leader.replica.check_offset(Offset{0}).error().code == Errc::not_leader_or_follower);
  CHECK(leader.replica.committed_end().error().code == Errc::not_leader_or_follower);
}

TEST_CASE("a refusal in a slot stays one when the leadership is lost", "[replication]") {
  LeaderFixture leader{{.isr = brokers({1, 2})}};
  std::vector<NewBatch> two;
  two.push_back(new_batch(1, ProducerId{9}, 0));
  two.push_back(new_batch(1, ProducerId{9}, 7));
  leader.replica.on_produce(1, std::move(two), leader.effects);
  leader.effects = {};
  leader.replica.resign(leader.effects);
  REQUIRE(leader.effects.answers.size() == 1);
  CHECK(leader.effects.answers[0].results[0].error().code == Errc::leadership_lost);
  CHECK(leader.effects.answers[0].results[1].error().code == Errc::out_of_order_sequence_number);
}

TEST_CASE("produces that wait for followers are bounded", "[replication]") {
  PartitionState state{.leader = BrokerId{1}, .replicas = brokers({1, 2}), .isr = brokers({1, 2})};
  LeaderReplica replica({.slots_waiting_max = 2}, {BrokerId{1}, BrokerEpoch{1}}, state, {});
  LeaderEffects effects;
  for (std::uint64_t slot = 1; slot <= 3; ++slot) {
    std::vector<NewBatch> one;
    one.push_back(new_batch());
    effects = {};
    replica.on_produce(slot, std::move(one), effects);
    if (!effects.appends.empty()) {
      const auto token = effects.appends[0].token;
      replica.on_appended(token, ok(), effects);
    }
  }
  REQUIRE(effects.answers.size() == 1);
  CHECK(effects.answers[0].results[0].error().code == Errc::overloaded);
}
