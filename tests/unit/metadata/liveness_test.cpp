#include "core/metadata/liveness.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

constexpr Millis session = 1'000;
constexpr Millis retry = 200;

struct LivenessFixture {
  Cluster cluster;
  Liveness liveness{{.session_timeout_ms = session, .fence_retry_ms = retry}};
  MonotonicMs now{50'000};

  explicit LivenessFixture(std::int32_t brokers) : cluster(brokers) { liveness.start(*cluster.image, now); }

  void commit(const ClusterRequest& request) {
    cluster.commit(request);
    liveness.update(*cluster.image, now);
  }
  Result<Liveness::Outcome> beat(std::int32_t id, bool wants_shutdown = false) {
    return beat_at(id, cluster.image->applied(), wants_shutdown);
  }
  Result<Liveness::Outcome> beat_at(std::int32_t id, Offset applied, bool wants_shutdown = false) {
    return liveness.heartbeat(
        *cluster.image,
        {.broker = BrokerId{id}, .broker_epoch = cluster.epoch(id), .applied = applied, .wants_shutdown = wants_shutdown},
        now);
  }
  Ids silent() {
    Ids all;
    for (const auto& one : liveness.take_silent(now)) all.push_back(one.broker.value());
    return all;
  }
  void register_new_run(std::int32_t id) {
    cluster.restart(id, true);
    liveness.update(*cluster.image, now);
  }
};

}  // namespace

TEST_CASE("who is not heard for a session is to be fenced, until the image says so", "[liveness]") {
  LivenessFixture fixture{3};
  CHECK(fixture.liveness.next_deadline() == fixture.now + session);
  fixture.now += session - 1;
  CHECK(fixture.silent().empty());
  REQUIRE(fixture.beat(2));
  fixture.now += 1;
  CHECK(fixture.silent() == Ids{1, 3});
  CHECK(fixture.silent().empty());  // on its way
  CHECK(fixture.liveness.next_deadline() == fixture.now + retry);
  fixture.commit(FenceBrokerRequest{BrokerId{1}, fixture.cluster.epoch(1)});
  fixture.now += retry;
  CHECK(fixture.silent() == Ids{3});  // that one was not committed
  REQUIRE(fixture.beat(3));
  fixture.now += retry;
  CHECK(fixture.silent().empty());  // it was heard meanwhile
}

TEST_CASE("a new controller gives everybody a full session", "[liveness]") {
  LivenessFixture fixture{2};
  fixture.now += 10 * session;
  Liveness next{{.session_timeout_ms = session}};
  next.start(*fixture.cluster.image, fixture.now);
  CHECK(next.take_silent(fixture.now + session - 1).empty());
  CHECK(next.take_silent(fixture.now + session).size() == 2);
}

TEST_CASE("a new controller begins with what its links know", "[liveness]") {
  LivenessFixture fixture{4};
  const auto run = [&](std::int32_t id) { return fixture.cluster.broker(id).incarnation; };
  Liveness next{{.session_timeout_ms = session}};
  // Of broker 1 nothing is known.
  next.peer_up(BrokerId{2}, run(2), fixture.now);
  next.peer_up(BrokerId{3}, run(3), fixture.now);
  next.peer_up(BrokerId{4}, run(4), fixture.now);
  fixture.now += 300;
  next.peer_down(BrokerId{3}, run(3), fixture.now - 200);
  next.peer_gone(BrokerId{4}, run(4), fixture.now);
  fixture.now += 500;
  const auto began = fixture.now;
  next.start(*fixture.cluster.image, began);
  const auto silent_at = [&](MonotonicMs when) {
    Ids all;
    for (const auto& one : next.take_silent(when)) all.push_back(one.broker.value());
    return all;
  };
  CHECK(silent_at(began) == Ids{4});
  SECTION("a broker whose link is lost has the rest of its session") {
    CHECK(silent_at(began - 700 + session - 1) == Ids{4});  // no image says that it is fenced
    CHECK(silent_at(began - 700 + session) == Ids{3});
    CHECK(silent_at(began + session - 1) == Ids{3, 4});
    CHECK(silent_at(began + session) == Ids{1, 2});
  }
  SECTION("its link is back: it has all of it") {
    next.peer_up(BrokerId{3}, run(3), began + 100);
    CHECK(silent_at(began + session - 1) == Ids{4});
    CHECK(silent_at(began + session) == Ids{1, 2, 3});
  }
  SECTION("a link is lost when the controller has begun, and was silent before") {
    next.peer_down(BrokerId{2}, run(2), began - 600);
    CHECK(silent_at(began - 600 + session) == Ids{2, 3, 4});
  }
  SECTION("a link that was lost long ago") {
    next.start(*fixture.cluster.image, began + 10 * session);
    CHECK(silent_at(began + 10 * session) == Ids{3, 4});
  }
}

TEST_CASE("a heartbeat counts for more than a link that was silent before it", "[liveness]") {
  LivenessFixture fixture{2};
  const auto run = fixture.cluster.broker(2).incarnation;
  fixture.liveness.peer_up(BrokerId{2}, run, fixture.now);
  fixture.now += 900;
  REQUIRE(fixture.beat(2));
  fixture.liveness.peer_down(BrokerId{2}, run, fixture.now);
  fixture.now += session - 1;
  CHECK(fixture.silent() == Ids{1});
  fixture.now += 1;
  CHECK(fixture.silent() == Ids{2});
}

TEST_CASE("a run that another one took the place of has ended, and the new one may register", "[liveness]") {
  LivenessFixture fixture{2};
  const auto run = fixture.cluster.broker(2).incarnation;
  const RegisterBrokerRequest next_run{.broker = {.id = BrokerId{2}}, .incarnation = uuid(88)};
  const auto check = [&](const Liveness& liveness) {
    return liveness.check_registration(next_run, fixture.now).has_value();
  };
  SECTION("while this one is the controller") {
    fixture.liveness.peer_up(BrokerId{2}, run, fixture.now);
    fixture.liveness.peer_down(BrokerId{2}, run, fixture.now);
    CHECK_FALSE(check(fixture.liveness));
    fixture.liveness.peer_up(BrokerId{2}, next_run.incarnation, fixture.now);
    CHECK(check(fixture.liveness));
    CHECK(fixture.silent() == Ids{2});
  }
  SECTION("before it was") {
    Liveness next{{.session_timeout_ms = session}};
    next.peer_up(BrokerId{2}, run, fixture.now);
    next.peer_gone(BrokerId{2}, run, fixture.now);
    next.peer_up(BrokerId{2}, next_run.incarnation, fixture.now);
    next.start(*fixture.cluster.image, fixture.now);
    CHECK(check(next));
  }
  SECTION("a link to an older run says nothing of a newer one") {
    Liveness next{{.session_timeout_ms = session}};
    next.peer_up(BrokerId{2}, uuid(70), fixture.now);
    next.peer_down(BrokerId{2}, uuid(70), fixture.now - 900);
    next.start(*fixture.cluster.image, fixture.now);
    CHECK_FALSE(check(next));
    next.peer_gone(BrokerId{2}, uuid(70), fixture.now);
    CHECK_FALSE(check(next));
    CHECK(next.take_silent(fixture.now + session - 1).empty());
  }
}

TEST_CASE("a process that is gone is fenced at once, an older run of it does not count", "[liveness]") {
  LivenessFixture fixture{2};
  const auto run = fixture.cluster.broker(1).incarnation;
  fixture.liveness.peer_gone(BrokerId{1}, uuid(77), fixture.now);
  fixture.liveness.peer_gone(BrokerId{9}, {}, fixture.now);
  CHECK(fixture.silent().empty());
  fixture.liveness.peer_gone(BrokerId{1}, run, fixture.now);
  CHECK(fixture.liveness.next_deadline() == fixture.now);
  CHECK(fixture.silent() == Ids{1});
  fixture.liveness.peer_gone(BrokerId{2}, {}, fixture.now);
  CHECK(fixture.silent() == Ids{2});
}

TEST_CASE("another process with the id of a live broker is refused", "[liveness]") {
  LivenessFixture fixture{2};
  const RegisterBrokerRequest other{.broker = {.id = BrokerId{1}}, .incarnation = uuid(88)};
  const auto refused = fixture.liveness.check_registration(other, fixture.now);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::duplicate_broker_registration);
  auto same = other;
  same.incarnation = fixture.cluster.broker(1).incarnation;
  CHECK(fixture.liveness.check_registration(same, fixture.now));
  auto next_of_same_process = other;
  next_of_same_process.previous_incarnation = fixture.cluster.broker(1).incarnation;
  CHECK(fixture.liveness.check_registration(next_of_same_process, fixture.now));
  auto unknown = other;
  unknown.broker.id = BrokerId{7};
  CHECK(fixture.liveness.check_registration(unknown, fixture.now));

  CHECK_FALSE(fixture.liveness.check_registration(other, fixture.now + session - 1));
  CHECK(fixture.liveness.check_registration(other, fixture.now + session));
  fixture.liveness.peer_gone(BrokerId{1}, {}, fixture.now);
  CHECK(fixture.liveness.check_registration(other, fixture.now));
}

TEST_CASE("a registered broker is in service when it has applied its registration", "[liveness]") {
  LivenessFixture fixture{2};
  fixture.register_new_run(1);
  const auto registered_at = fixture.cluster.broker(1).broker_epoch;
  auto outcome = fixture.beat_at(1, registered_at);
  REQUIRE(outcome);
  CHECK(outcome->answer == HeartbeatAnswer{.fenced = true});
  CHECK_FALSE(outcome->wants);
  outcome = fixture.beat_at(1, registered_at + 1);
  REQUIRE(outcome);
  REQUIRE(outcome->wants);
  fixture.commit(*outcome->wants);
  outcome = fixture.beat(1);
  REQUIRE(outcome);
  CHECK(outcome->answer == HeartbeatAnswer{.fenced = false});
  CHECK_FALSE(outcome->wants);
}

TEST_CASE("heartbeats of another run, or of nobody, are refused", "[liveness]") {
  LivenessFixture fixture{2};
  const HeartbeatRequest old{.broker = BrokerId{1}, .broker_epoch = fixture.cluster.epoch(1)};
  fixture.register_new_run(1);
  CHECK(fixture.liveness.heartbeat(*fixture.cluster.image, old, fixture.now).error().code == Errc::stale_broker_epoch);
  CHECK(fixture.liveness.heartbeat(*fixture.cluster.image, {.broker = BrokerId{5}}, fixture.now).error().code ==
        Errc::broker_id_not_registered);
}

TEST_CASE("a broker may stop when it leads nothing that another could lead, and all who live know", "[liveness]") {
  LivenessFixture fixture{3};
  const auto topic = fixture.cluster.add_topic("rides", {{1, 2, 3}});
  fixture.cluster.add_topic("lone", {{1}});
  fixture.liveness.update(*fixture.cluster.image, fixture.now);
  auto outcome = fixture.beat(1, true);
  REQUIRE(outcome);
  CHECK_FALSE(outcome->answer.may_stop);
  REQUIRE(outcome->wants);
  const auto before = fixture.cluster.image->applied();
  fixture.commit(*outcome->wants);
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{2});
  outcome = fixture.beat(1, true);
  CHECK_FALSE(outcome->wants);
  CHECK_FALSE(outcome->answer.may_stop);  // nobody has said that it knows
  REQUIRE(fixture.beat(2));
  REQUIRE(fixture.beat_at(3, before));
  CHECK_FALSE(fixture.beat(1, true)->answer.may_stop);
  const RegisterBrokerRequest next_run{.broker = {.id = BrokerId{1}}, .incarnation = uuid(88)};
  CHECK_FALSE(fixture.liveness.check_registration(next_run, fixture.now));
  SECTION("the last one says so") { REQUIRE(fixture.beat(3)); }
  SECTION("the last one is dead") { fixture.liveness.peer_gone(BrokerId{3}, {}, fixture.now); }
  CHECK(fixture.beat(1, true)->answer.may_stop);
  CHECK(fixture.liveness.check_registration(next_run, fixture.now));  // it need not wait
}

TEST_CASE("a broker that nobody uses may stop at once", "[liveness]") {
  LivenessFixture fixture{2};
  fixture.commit(FenceBrokerRequest{BrokerId{1}, fixture.cluster.epoch(1)});
  const auto outcome = fixture.beat(1, true);
  REQUIRE(outcome);
  CHECK(outcome->answer.may_stop);
  CHECK_FALSE(outcome->wants);
}

TEST_CASE("a broker is drained when it leads nothing", "[liveness]") {
  LivenessFixture fixture{3};
  const auto topic = fixture.cluster.add_topic("rides", {{1, 2}, {1, 2}}, {{"min.insync.replicas", "1"}});
  fixture.cluster.alter_isr(topic, {1}, 1);
  fixture.commit(DrainBrokerRequest{.broker = BrokerId{1}});
  CHECK_FALSE(fixture.beat(1)->answer.drained);
  fixture.cluster.alter_isr(topic, {1, 2}, 1);
  fixture.commit(BalanceLeadersRequest{});
  CHECK(fixture.beat(1)->answer == HeartbeatAnswer{.fenced = false, .drained = true});
}
