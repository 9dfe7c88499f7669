#include <set>

#include "actors/consumer_manager.hpp"
#include "actors/consumers.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/consumer_ear.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

struct ConsumersFixture {
  explicit ConsumersFixture(std::uint64_t seed = 3, std::size_t consumers_max = 10) : scheduler(seed) {
    consumers = std::make_unique<Consumers>(Consumers::Options{.broker = [this] { return &broker; },
                                                               .groups = &broker.groups(),
                                                               .manager = manager_slot,
                                                               .table = &table,
                                                               .consumers_max = consumers_max});
    start_manager();
  }
  ~ConsumersFixture() {
    for (const auto& ear : ears) ear->consumer.reset();
    scheduler.run();
    scheduler.end_owned();
  }

  void start_manager() {
    manager = scheduler.own(
        spawn_consumer_manager(scheduler.system(), {.table = &table}, table.add("consumer_manager", "consumers", "node")));
    manager_slot->set(manager);
    scheduler.run();
  }
  std::shared_ptr<Ear> open(ConsumerOptions options, bool works = true) {
    auto ear = ears.emplace_back(std::make_shared<Ear>());
    ear->works = works;
    ear->begin(consumers->open(std::move(options), ear));
    scheduler.run();
    return ear;
  }
  void pass(Millis time) {
    for (Millis left = time; left > 0; left -= 100) {
      broker.groups().advance(100);
      scheduler.advance(100);
    }
  }
  std::size_t rows() const {
    std::size_t count = 0;
    for (const auto& row : table.snapshot()) count += row.kind == "consumer_coordinator" ? 1 : 0;
    return count;
  }
  template <class T>
  static std::pair<std::shared_ptr<std::optional<Result<T>>>, Reply<T>> expect() {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    return {answer, Reply<T>{[answer](Result<T> result) { answer->emplace(std::move(result)); }}};
  }

  FakeBroker broker;
  ActorTable table;
  std::shared_ptr<HandleSlot<caf::actor>> manager_slot = std::make_shared<HandleSlot<caf::actor>>();
  std::unique_ptr<Consumers> consumers;
  std::vector<std::shared_ptr<Ear>> ears;
  SeededScheduler scheduler;
  caf::actor manager;
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a consumer is an actor below the manager, joins, reads, and commits when it is closed", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 1);
  append_values(fixture.broker, "t", 0, 0, 5);
  const auto ear = fixture.open(reads_topic("t"));
  CHECK(ear->log == Words{"assigned t-0@0"});
  append_values(fixture.broker, "t", 0, 5, 5);
  fixture.scheduler.run();
  CHECK(ear->count() == 10);
  bool seen = false;
  for (const auto& row : fixture.table.snapshot()) {
    if (row.kind != "consumer_coordinator") continue;
    seen = true;
    CHECK(row.parent == "consumers");
    CHECK(row.name.starts_with("g/"));
    CHECK(row.state == ActorState::running);
  }
  CHECK(seen);

  auto [answer, reply] = ConsumersFixture::expect<std::monostate>();
  ear->consumer->close(std::move(reply));
  fixture.scheduler.run();
  CHECK(answer->has_value());
  CHECK(ear->closed);
  CHECK(fixture.broker.groups().committed("g", "t", 0) == Offset{10});
  CHECK(fixture.broker.groups().members("g") == 0);
  CHECK(fixture.broker.waiting_fetches() == 0);
  CHECK(fixture.rows() == 0);
  CHECK(fixture.consumers->count() == 0);
}

TEST_CASE("three consumers share a topic, and take over what one leaves", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 6);
  for (int i = 0; i < 3; ++i) fixture.open(reads_topic("t"));
  fixture.pass(500);
  for (const auto& ear : fixture.ears) CHECK(ear->owned().size() == 2);
  fixture.ears[1]->consumer.reset();
  fixture.pass(500);
  CHECK(fixture.ears[0]->owned().size() == 3);
  CHECK(fixture.ears[2]->owned().size() == 3);
  for (std::int32_t p = 0; p < 6; ++p) append_values(fixture.broker, "t", p, 0, 2);
  fixture.scheduler.run();
  CHECK(fixture.ears[0]->count() + fixture.ears[2]->count() == 12);
}

TEST_CASE("a slow release is waited for, one that never comes is not", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 2);
  const auto first = fixture.open(reads_topic("t"));
  first->releases = false;
  const auto second = fixture.open(reads_topic("t"));
  fixture.pass(3'000);
  REQUIRE(first->revoking.size() == 1);
  CHECK(second->owned().empty());
  SECTION("slow") {
    first->consumer->released(first->revoking);
    fixture.pass(200);
    CHECK(first->log.back().starts_with("revoked"));
  }
  SECTION("never") {
    fixture.pass(2'500);
    CHECK(first->log.back().starts_with("taken"));
  }
  CHECK(second->owned().size() == 1);
}

TEST_CASE("while the coordinator moves a consumer goes on reading, and commits afterwards", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 1);
  const auto ear = fixture.open(reads_topic("t"));
  fixture.broker.groups().go_away(Errc::coordinator_load_in_progress);
  append_values(fixture.broker, "t", 0, 0, 3);
  auto [answer, reply] = ConsumersFixture::expect<std::vector<CommittedPosition>>();
  fixture.scheduler.run();
  ear->consumer->commit({}, std::move(reply));
  fixture.pass(5'000);
  CHECK(ear->count() == 3);
  CHECK_FALSE(answer->has_value());
  fixture.broker.groups().come_back();
  fixture.pass(500);
  REQUIRE(answer->has_value());
  REQUIRE((**answer)->size() == 1);
  CHECK((**answer)->front().next.value() == Offset{3});
  CHECK(ear->log == Words{"assigned t-0@0"});
}

TEST_CASE("a consumer is given no more than it gave credit for", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 2);
  for (int i = 0; i < 40; ++i) append_values(fixture.broker, "t", i % 2, i, 3);
  auto options = reads_topic("t");
  options.credit = {10, 1 << 20};
  const auto ear = fixture.open(options, false);
  fixture.pass(500);
  CHECK(ear->count() == 12);
  ear->consumer->credit({2, 0});
  fixture.pass(500);
  CHECK(ear->count() == 12);
  ear->consumer->credit({9, 0});
  fixture.pass(500);
  CHECK(ear->count() == 21);
}

TEST_CASE("when the manager is told to stop all leave their groups", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 2);
  const auto one = fixture.open(reads_topic("t"));
  const auto two = fixture.open(reads_topic("t", "h"));
  append_values(fixture.broker, "t", 0, 0, 3);
  fixture.pass(500);
  caf::anon_send_exit(fixture.manager, caf::exit_reason::user_shutdown);
  fixture.scheduler.run();
  CHECK(one->closed);
  CHECK(two->closed);
  CHECK(fixture.broker.groups().members("g") == 0);
  CHECK(fixture.broker.groups().members("h") == 0);
  CHECK(fixture.broker.groups().committed("h", "t", 0) == Offset{3});
  CHECK(fixture.rows() == 0);
  const auto late = fixture.open(reads_topic("t"));
  REQUIRE(late->failed);
  CHECK(late->failed->code == Errc::coordinator_not_available);
}

TEST_CASE("consumers do not outlive their manager, and their listeners hear of it", "[consumer]") {
  ConsumersFixture fixture;
  fixture.broker.add_topic("t", 1);
  const auto ear = fixture.open(reads_topic("t"));
  auto [answer, reply] = ConsumersFixture::expect<Offset>();
  caf::anon_send_exit(fixture.manager, caf::exit_reason::kill);
  fixture.scheduler.run();
  REQUIRE(ear->failed);
  CHECK(ear->failed->code == Errc::coordinator_not_available);
  CHECK(ear->closed);
  CHECK(fixture.broker.waiting_fetches() == 0);
  ear->consumer->seek({fixture.broker.topic("t")->id, PartitionId{0}}, {}, std::move(reply));
  fixture.scheduler.run();
  REQUIRE(answer->has_value());
  CHECK((**answer).error().code == Errc::request_timed_out);
  fixture.start_manager();
  CHECK_FALSE(fixture.open(reads_topic("t"))->failed);
}

TEST_CASE("a node has as many consumers as it may have", "[consumer]") {
  ConsumersFixture fixture(3, 2);
  fixture.broker.add_topic("t", 1);
  const auto one = fixture.open(reads_topic("t"));
  fixture.open(reads_topic("t"));
  const auto third = fixture.open(reads_topic("t"));
  REQUIRE(third->failed);
  CHECK(third->failed->code == Errc::overloaded);
  one->consumer.reset();
  fixture.scheduler.run();
  CHECK_FALSE(fixture.open(reads_topic("t"))->failed);
}

TEST_CASE("whatever comes between the actors, every record is delivered, in order", "[consumer]") {
  const auto seed = seed_or(17);
  for (std::uint64_t round = 0; round < 15; ++round) {
    INFO("TROUPE_SEED=" << seed << " round " << round);
    ConsumersFixture fixture(seed + round);
    Prng random(seed + round);
    fixture.broker.add_topic("t", 3);
    std::array<int, 3> appended{};
    for (int step = 0; step < 50; ++step) {
      switch (random.below(6)) {
        case 0:
          if (fixture.ears.size() < 5) fixture.open(reads_topic("t"));
          break;
        case 1:
          if (fixture.ears.size() > 1) fixture.ears[random.below(fixture.ears.size())]->consumer.reset();
          break;
        case 2: fixture.pass(static_cast<Millis>(random.below(800))); break;
        default: {
          const auto p = random.below(3);
          append_values(fixture.broker, "t", static_cast<std::int32_t>(p), appended[p], 2);
          appended[p] += 2;
          if (random.chance(1, 2)) fixture.scheduler.run();
        }
      }
    }
    fixture.open(reads_topic("t"));
    fixture.pass(5'000);
    std::size_t expected = 0;
    std::set<std::pair<std::string, std::string>> seen;
    for (const auto count : appended) expected += static_cast<std::size_t>(count);
    for (const auto& ear : fixture.ears) {
      CHECK(ear->without_holes);
      for (const auto& [name, values] : ear->values_of) {
        for (const auto& value : values) seen.emplace(name, value);
      }
    }
    CHECK(seen.size() == expected);
  }
}
