#include "actors/errors.hpp"
#include "actors/processor_manager.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/fake_broker.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::processing;
using namespace troupe::test;

namespace {

/// What the processors of a test do, and what they saw.
struct Script {
  std::function<void(const InputRecord&)> before = [](const InputRecord&) {};  ///< may throw
  std::vector<std::string> seen;                                               ///< "topic/partition/offset"
  int objects = 0;
  int started = 0;
};

class ScriptedProcessor final : public Processor {
 public:
  explicit ScriptedProcessor(std::shared_ptr<Script> script) : script_(std::move(script)) { ++script_->objects; }
  ~ScriptedProcessor() override { --script_->objects; }

  void on_start(const Assignment&) override { ++script_->started; }
  void process(const InputRecord& record, Output& output) override {
    script_->before(record);
    script_->seen.push_back(std::string(record.topic) + "/" + to_string(record.partition) + "/" + to_string(record.offset));
    output.send("out", std::string(record.key.value_or("none")), "seen " + std::string(record.value.value_or("")));
  }

 private:
  std::shared_ptr<Script> script_;
};

struct ProcessorFixture {
  explicit ProcessorFixture(std::uint64_t seed = 5) : scheduler(seed) {
    broker.add_topic("out");
    specs.push_back(spec_of("echo"));
  }

  ProcessorSpec make_spec(const std::string& name) {
    return {.name = name, .inputs = {"in"}, .outputs = {{.name = "out"}}, .make = [script = script](const Assignment&) {
              return std::make_unique<ScriptedProcessor>(script);
            }};
  }
  ProcessorSpecPtr spec_of(const std::string& name) { return std::make_shared<const ProcessorSpec>(make_spec(name)); }

  void start() {
    manager = scheduler.own(spawn_processor_manager(scheduler.system(),
                                                    {.broker = &broker,
                                                     .processors = [this] { return specs; },
                                                     .metrics = &registry,
                                                     .table = &table,
                                                     .trim_after = trim_after,
                                                     .seed = 1},
                                                    table.add("processor_manager", "processors", "node")));
    scheduler.run();
  }
  void append(int records, std::int32_t partition = 0) {
    std::vector<std::pair<std::string, std::string>> batch;
    for (int i = 0; i < records; ++i) batch.emplace_back("k", "v" + std::to_string(appended++));
    broker.append("in", PartitionId{partition}, batch);
    scheduler.run();
  }
  std::vector<std::string> output() const {
    std::vector<std::string> values;
    for (const auto& [key, value] : broker.records("out", PartitionId{0})) values.push_back(value);
    return values;
  }
  std::vector<std::string> expected() const {
    std::vector<std::string> values;
    for (int i = 0; i < appended; ++i) values.push_back("seen v" + std::to_string(i));
    return values;
  }
  std::optional<ActorStatus> status(const std::string& name) const {
    for (auto& row : table.snapshot()) {
      if (row.name == name) return row;
    }
    return std::nullopt;
  }

  metrics::Registry registry;
  FakeBroker broker;
  ActorTable table;
  std::shared_ptr<Script> script = std::make_shared<Script>();
  std::vector<ProcessorSpecPtr> specs;
  std::size_t trim_after = 1'000;
  SeededScheduler scheduler;
  caf::actor manager;
  int appended = 0;
};

}  // namespace

TEST_CASE("a processor reads its input, writes its output, and stands in the tree below the manager", "[processor]") {
  ProcessorFixture fixture;
  fixture.broker.add_topic("in");
  fixture.append(3);
  fixture.start();
  fixture.append(40);
  CHECK(fixture.output() == fixture.expected());
  const auto host = fixture.status("echo/in/0");
  REQUIRE(host);
  CHECK(host->kind == "processor_host");
  CHECK(host->parent == "processors");
  CHECK(host->state == ActorState::running);
  CHECK(fixture.status("processor_positions")->state == ActorState::running);
}

TEST_CASE("a processor that throws is started again, and nothing is lost or written twice", "[processor]") {
  ProcessorFixture fixture;
  fixture.broker.add_topic("in");
  int throws = 3;
  fixture.script->before = [&](const InputRecord& record) {
    if (record.offset == Offset{25} && throws-- > 0) throw std::runtime_error("not today");
  };
  fixture.start();
  fixture.append(50);
  const auto failed = fixture.status("echo/in/0");
  CHECK(failed->state == ActorState::waiting_restart);
  REQUIRE(failed->last_error);
  CHECK(failed->last_error->find("offset 25: not today") != std::string::npos);
  CHECK(fixture.script->objects == 0);
  fixture.scheduler.advance(2'000);
  CHECK(fixture.output() == fixture.expected());
  CHECK(fixture.status("echo/in/0")->restarts == 3);
  CHECK(fixture.status("echo/in/0")->state == ActorState::running);
  CHECK(fixture.script->started == 4);
}

TEST_CASE("whatever user code throws, and wherever, ends only its own run", "[processor]") {
  ProcessorFixture fixture;
  fixture.broker.add_topic("in");
  auto no_start = fixture.make_spec("no-start");
  no_start.make = [](const Assignment&) -> std::unique_ptr<Processor> { throw 42; };
  auto nothing = fixture.make_spec("nothing");
  nothing.make = [](const Assignment&) -> std::unique_ptr<Processor> { return nullptr; };
  fixture.specs.push_back(std::make_shared<const ProcessorSpec>(no_start));
  fixture.specs.push_back(std::make_shared<const ProcessorSpec>(nothing));
  fixture.start();
  fixture.append(5);
  CHECK(fixture.output() == fixture.expected());
  CHECK(fixture.status("no-start/in/0")->last_error->find("threw at its start") != std::string::npos);
  CHECK(fixture.status("nothing/in/0")->last_error->find("returned nothing") != std::string::npos);
  // It is tried for ever, ever more rarely.
  fixture.scheduler.advance(120'000);
  const auto restarts = fixture.status("no-start/in/0")->restarts;
  CHECK(restarts >= 9);
  CHECK(restarts <= 16);
  CHECK(fixture.status("no-start/in/0")->state == ActorState::waiting_restart);
  CHECK(fixture.status("processors")->state == ActorState::running);
}

TEST_CASE("a record that fails again and again is passed over when the spec says so", "[processor]") {
  ProcessorFixture fixture;
  fixture.broker.add_topic("in");
  auto spec = fixture.make_spec("echo");
  spec.on_error = OnError::skip;
  fixture.specs = {std::make_shared<const ProcessorSpec>(spec)};
  fixture.script->before = [](const InputRecord& record) {
    if (record.value == "v7") throw std::runtime_error("poison");
  };
  fixture.start();
  fixture.append(20);
  fixture.scheduler.advance(10'000);
  auto expected = fixture.expected();
  expected.erase(expected.begin() + 7);
  CHECK(fixture.output() == expected);
  CHECK(fixture.status("echo/in/0")->restarts == 3);
  const auto exposed = fixture.registry.expose();
  CHECK(exposed.find("troupe_processor_records_passed_over_total{processor=\"echo\"} 1") != std::string::npos);
  CHECK(exposed.find("troupe_processor_outputs_total{processor=\"echo\"} ") != std::string::npos);
}

TEST_CASE("the next manager goes on where the last one was", "[processor]") {
  ProcessorFixture fixture;
  fixture.broker.add_topic("in");
  fixture.start();
  fixture.append(100);
  fixture.scheduler.advance(1'500);
  SECTION("after a stop in order") { caf::anon_send_exit(fixture.manager, caf::exit_reason::user_shutdown); }
  SECTION("after a crash") { caf::anon_send_exit(fixture.manager, caf::exit_reason::kill); }
  fixture.scheduler.run();
  CHECK(fixture.script->objects == 0);
  CHECK(fixture.broker.waiting_fetches() == 0);
  fixture.script->seen.clear();
  fixture.append(3);
  fixture.start();
  CHECK(fixture.output() == fixture.expected());
  CHECK(fixture.script->seen == std::vector<std::string>{"in/0/100", "in/0/101", "in/0/102"});
}

TEST_CASE("topics and partitions that come are worked on, those that go are not", "[processor]") {
  ProcessorFixture fixture;
  fixture.start();
  fixture.scheduler.advance(3'000);
  CHECK_FALSE(fixture.status("echo/in/0"));
  fixture.broker.add_topic("in");
  fixture.append(2);
  fixture.scheduler.advance(1'500);
  CHECK(fixture.output().size() == 2);
  fixture.broker.alter_topic({.name = "in", .partitions = 3}, {});
  fixture.scheduler.advance(1'500);
  fixture.append(2, 2);
  CHECK(fixture.output().size() == 4);
  CHECK(fixture.status("echo/in/2")->state == ActorState::running);
  // Deleted and made again it is another topic: from its start.
  fixture.broker.delete_topic("in", {});
  fixture.broker.add_topic("in");
  fixture.append(1);
  fixture.scheduler.advance(2'500);
  CHECK(fixture.output().size() == 5);
  CHECK(fixture.status("echo/in/0")->state == ActorState::running);
  CHECK_FALSE(fixture.status("echo/in/2"));
  fixture.broker.delete_topic("in", {});
  fixture.scheduler.advance(2'500);
  CHECK_FALSE(fixture.status("echo/in/0"));
  CHECK(fixture.script->objects == 0);
}

TEST_CASE("an output topic that is missing is made", "[processor]") {
  ProcessorFixture fixture;
  fixture.broker.delete_topic("out", {});
  fixture.broker.add_topic("in");
  auto spec = fixture.make_spec("echo");
  spec.outputs[0].partitions = 4;
  fixture.specs = {std::make_shared<const ProcessorSpec>(spec)};
  fixture.start();
  REQUIRE(fixture.broker.topic("out"));
  CHECK(fixture.broker.topic("out")->partition_count() == 4);
}

TEST_CASE("the topic of the positions stays short", "[processor]") {
  ProcessorFixture fixture;
  fixture.trim_after = 10;
  fixture.broker.add_topic("in");
  fixture.start();
  for (int i = 0; i < 60; ++i) {
    fixture.append(1);
    fixture.scheduler.advance(1'100);
  }
  CHECK(fixture.broker.records(std::string(positions_topic), PartitionId{0}).size() <= 12);
  caf::anon_send_exit(fixture.manager, caf::exit_reason::kill);
  fixture.scheduler.run();
  fixture.script->seen.clear();
  fixture.start();
  fixture.append(1);
  CHECK(fixture.script->seen == std::vector<std::string>{"in/0/60"});
}

TEST_CASE("whatever fails and whenever, every record is written once and in order", "[processor]") {
  const auto seed = seed_or(77);
  for (std::uint64_t round = 0; round < 40; ++round) {
    INFO("TROUPE_SEED=" << seed << " round " << round);
    ProcessorFixture fixture(seed + round);
    Prng random(seed + round);
    fixture.broker.add_topic("in");
    bool faults = true;
    fixture.script->before = [&](const InputRecord&) {
      if (faults && random.chance(1, 30)) throw std::runtime_error("by chance");
    };
    fixture.start();
    for (int step = 0; step < 60; ++step) {
      switch (random.below(6)) {
        case 0:
          fixture.broker.fail_produce(Error{Errc::not_enough_replicas, "by chance"});
          fixture.scheduler.advance(300);
          fixture.broker.fail_produce(std::nullopt);
          break;
        case 1:
          caf::anon_send_exit(fixture.manager, caf::exit_reason::kill);
          fixture.scheduler.run();
          fixture.start();
          break;
        case 2: fixture.scheduler.advance(static_cast<std::int64_t>(random.below(1'500))); break;
        default: fixture.append(1 + static_cast<int>(random.below(20))); break;
      }
    }
    faults = false;
    fixture.scheduler.advance(60'000);
    CHECK(fixture.output() == fixture.expected());
  }
}
