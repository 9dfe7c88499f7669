#include "core/metadata/controller_duties.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// What the duties want decided is decided and committed at once.
struct DutiesFixture {
  Cluster cluster;
  ControllerDuties duties{{.liveness = {.session_timeout_ms = 1'000, .fence_retry_ms = 200}, .balance_ms = 3'000}};
  MonotonicMs now{50'000};
  std::vector<AnswerHeartbeat> answers;
  std::size_t decided = 0;

  explicit DutiesFixture(std::int32_t brokers) : cluster(brokers) {}

  void perform(DutyEffects effects) {
    for (auto& effect : effects) {
      if (auto* answer = std::get_if<AnswerHeartbeat>(&effect)) {
        answers.push_back(std::move(*answer));
      } else {
        ++decided;
        cluster.commit(std::get<DecideCluster>(effect).request);
        duties.on_image(cluster.image, now);
      }
    }
  }
  Result<HeartbeatAnswer> beat(std::int32_t id) {
    perform(duties.heartbeat(
        7, {.broker = BrokerId{id}, .broker_epoch = cluster.epoch(id), .applied = cluster.image->applied()}, now));
    CHECK(answers.back().token == 7);
    return answers.back().answer;
  }
  /// Time passes; brokers that are named are heard meanwhile.
  void pass(Millis time, const Ids& alive) {
    for (; time > 0; time -= 100) {
      now += 100;
      for (const auto id : alive) REQUIRE(beat(id));
      if (const auto due = duties.next_deadline(); due && *due <= now) perform(duties.on_deadline(now));
    }
  }
};

}  // namespace

TEST_CASE("who is not the active controller answers no heartbeat and fences nobody", "[duties]") {
  DutiesFixture fixture{3};
  CHECK(fixture.beat(1).error().code == Errc::not_controller);
  CHECK_FALSE(fixture.duties.next_deadline());
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  CHECK(fixture.beat(1));
  fixture.duties.end();
  CHECK(fixture.beat(1).error().code == Errc::not_controller);
  CHECK_FALSE(fixture.duties.next_deadline());
  fixture.now += 10'000;
  fixture.perform(fixture.duties.on_deadline(fixture.now));
  fixture.perform(fixture.duties.peer_gone(BrokerId{2}, {}, fixture.now));
  CHECK(fixture.decided == 0);
}

TEST_CASE("a silent broker leads nothing after its session, and is let back when it is heard", "[duties]") {
  DutiesFixture fixture{3};
  const auto topic = fixture.cluster.add_topic("t", {{2, 1, 3}});
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  fixture.pass(900, {1, 3});
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{2});
  fixture.pass(300, {1, 3});
  CHECK(fixture.cluster.broker(2).fenced);
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{1});
  CHECK(numbers(fixture.cluster.partition(topic).isr) == Ids{1, 3});
  CHECK(fixture.beat(2)->fenced);  // and asks for its return
  CHECK_FALSE(fixture.cluster.broker(2).fenced);
  CHECK_FALSE(fixture.beat(2)->fenced);
}

TEST_CASE("a broker whose connection is refused is fenced at once, another run of it is not", "[duties]") {
  DutiesFixture fixture{3};
  const auto topic = fixture.cluster.add_topic("t", {{2, 1, 3}});
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  fixture.perform(fixture.duties.peer_gone(BrokerId{2}, Uuid{{1, 2, 3}}, fixture.now));
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{2});
  fixture.perform(fixture.duties.peer_gone(BrokerId{2}, fixture.cluster.broker(2).incarnation, fixture.now));
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{1});
}

TEST_CASE("a new controller fences nobody before a whole session", "[duties]") {
  DutiesFixture fixture{3};
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  fixture.pass(600, {1});
  fixture.duties.end();
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  fixture.pass(900, {1});
  CHECK_FALSE(fixture.cluster.broker(2).fenced);
  fixture.pass(200, {1});
  CHECK(fixture.cluster.broker(2).fenced);
  CHECK(fixture.cluster.broker(3).fenced);
}

TEST_CASE("a new controller fences at once who was gone before, and the next run registers without waiting", "[duties]") {
  DutiesFixture fixture{3};
  const auto topic = fixture.cluster.add_topic("t", {{2, 1, 3}});
  const auto run = fixture.cluster.broker(2).incarnation;
  fixture.perform(fixture.duties.peer_up(BrokerId{2}, run, fixture.now));
  fixture.perform(fixture.duties.peer_up(BrokerId{3}, fixture.cluster.broker(3).incarnation, fixture.now));
  fixture.perform(fixture.duties.peer_gone(BrokerId{2}, run, fixture.now));
  fixture.perform(fixture.duties.peer_up(BrokerId{2}, Uuid{{9}}, fixture.now));
  CHECK(fixture.decided == 0);
  fixture.perform(fixture.duties.begin(fixture.cluster.image, fixture.now));
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{1});
  CHECK(fixture.decided == 1);
  CHECK(fixture.duties.check_registration({.broker = {.id = BrokerId{2}}, .incarnation = Uuid{{9}}}, fixture.now));
}

TEST_CASE("a broker that fell silent before its controller did has no second session", "[duties]") {
  DutiesFixture fixture{3};
  const auto run = fixture.cluster.broker(2).incarnation;
  fixture.perform(fixture.duties.peer_up(BrokerId{2}, run, fixture.now));
  fixture.now += 600;
  fixture.perform(fixture.duties.begin(fixture.cluster.image, fixture.now));
  fixture.now += 200;
  fixture.perform(fixture.duties.peer_down(BrokerId{2}, run, fixture.now - 800, fixture.now));
  CHECK(fixture.duties.next_deadline() == fixture.now + 200);
  fixture.pass(200, {1, 3});
  CHECK(fixture.cluster.broker(2).fenced);
  CHECK_FALSE(fixture.cluster.broker(3).fenced);
}

TEST_CASE("leaders come back to their preferred replicas in time", "[duties]") {
  DutiesFixture fixture{3};
  const auto topic = fixture.cluster.add_topic("t", {{2, 1, 3}});
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  fixture.pass(1'500, {1, 3});
  fixture.pass(200, {1, 2, 3});
  const auto& left = fixture.cluster.partition(topic);
  auto proposal = fixture.cluster.proposal(topic, {1, 2, 3});
  CHECK(left.leader == BrokerId{1});
  fixture.cluster.commit(proposal);  // broker 2 has caught up
  fixture.duties.on_image(fixture.cluster.image, fixture.now);
  fixture.pass(3'100, {1, 2, 3});
  CHECK(fixture.cluster.partition(topic).leader == BrokerId{2});
}

TEST_CASE("a registration of another process with a living broker's id is not decided", "[duties]") {
  DutiesFixture fixture{2};
  const RegisterBrokerRequest other{.broker = {.id = BrokerId{2}}, .incarnation = Uuid{{9}}};
  CHECK(fixture.duties.check_registration(other, fixture.now));  // passive: the controller looks
  fixture.duties.begin(fixture.cluster.image, fixture.now);
  CHECK(fixture.duties.check_registration(other, fixture.now).error().code == Errc::duplicate_broker_registration);
  fixture.pass(1'100, {1});
  CHECK(fixture.duties.check_registration(other, fixture.now));
}
