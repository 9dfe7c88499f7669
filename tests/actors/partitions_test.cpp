#include <algorithm>

#include "tests/actors/node_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

class Listener final : public TailListener {
 public:
  void on_tail(TailEvent event) override { events.push_back(std::move(event)); }
  std::vector<TailEvent> events;
};

}  // namespace

TEST_CASE("a leader that is killed is not noticed by producers: every record is written once", "[actors]") {
  const auto seed = seed_or(41);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 20; ++round) {
    CAPTURE(round);
    NodeFixture node(seed + round);
    node.start_node();
    const auto topic = node.create_topic("t");
    Prng random(seed + round);
    std::vector<NodeFixture::Answer<ProduceResponse>> answers;
    for (int i = 0; i < 30; ++i) {
      answers.push_back(node.produce(topic, "v" + std::to_string(i)));
      for (std::uint64_t steps = random.below(12); steps > 0; --steps) node.scheduler.step();
      if (i % 10 == 7) {
        const auto leader = node.directory.find({topic->id, PartitionId{0}});
        if (leader) caf::anon_send_exit(leader->leader, caf::exit_reason::kill);
      }
    }
    node.scheduler.advance(5'000);
    std::vector<std::string> expected;
    for (int i = 0; i < 30; ++i) {
      expected.push_back("v" + std::to_string(i));
      const auto record = NodeFixture::record_of(answers[static_cast<std::size_t>(i)]);
      REQUIRE(record);
      CHECK(record->offset == Offset{i});
    }
    CHECK(node.values(topic) == expected);
  }
}

TEST_CASE("a disk worker that fails comes back, and no acknowledged record is lost or repeated", "[actors]") {
  const auto seed = seed_or(97);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 20; ++round) {
    CAPTURE(round);
    NodeFixture node(seed + round);
    node.start_node();
    const auto topic = node.create_topic("t");
    const auto epoch = topic->partitions[0].leader_epoch;
    Prng random(seed + round);
    std::vector<NodeFixture::Answer<ProduceResponse>> answers;
    for (int i = 0; i < 30; ++i) {
      if (i == 12)
        node.disk.fail({.kind = random.chance(1, 2) ? OperationKind::sync : OperationKind::write, .path_contains = "/log/"});
      answers.push_back(node.produce(topic, "v" + std::to_string(i)));
      for (std::uint64_t steps = random.below(12); steps > 0; --steps) node.scheduler.step();
    }
    node.scheduler.advance(10'000);
    auto stored = node.values(topic);
    for (int i = 0; i < 30; ++i) {
      const auto record = NodeFixture::record_of(answers[static_cast<std::size_t>(i)]);
      const auto value = "v" + std::to_string(i);
      CAPTURE(value);
      CHECK(std::count(stored.begin(), stored.end(), value) ==
            (record ? 1 : std::count(stored.begin(), stored.end(), value)));
      CHECK(std::count(stored.begin(), stored.end(), value) <= 1);
      REQUIRE(record);
      CHECK(stored.at(static_cast<std::size_t>(record->offset.value())) == value);
    }
    // The log was recovered while the node ran: another epoch leads.
    CHECK(node.broker->topic("t")->partitions[0].leader_epoch > epoch);
  }
}

TEST_CASE("a full disk is told as such, reads go on, and the node takes records again when there is space", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  node.produce(topic, "before");
  node.scheduler.advance(100);
  node.disk.set_capacity(0);
  std::vector<NodeFixture::Answer<ProduceResponse>> refused;
  for (int i = 0; i < 8; ++i) {
    refused.push_back(node.produce(topic, std::string(100'000, 'x')));
    node.scheduler.step();
  }
  node.scheduler.advance(2'000);
  for (const auto& answer : refused) {
    const auto record = NodeFixture::record_of(answer);
    REQUIRE_FALSE(record);
    CHECK(record.error().code == Errc::storage_full);
  }
  CHECK(node.values(topic) == std::vector<std::string>{"before"});
  node.disk.set_capacity(std::uint64_t{1} << 30);
  const auto after = node.produce(topic, "after");
  node.scheduler.advance(2'000);
  REQUIRE(NodeFixture::record_of(after));
  CHECK(node.values(topic) == std::vector<std::string>{"before", "after"});
}

TEST_CASE("a listener hears every commit once and in order, and is told when the leader goes", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  const TopicIdPartition id{topic->id, PartitionId{0}};
  const auto listener = std::make_shared<Listener>();
  auto attachment = node.broker->attach_tail(id, listener);
  node.scheduler.run();
  REQUIRE(listener->events.size() == 1);
  CHECK(listener->events[0].kind == TailEvent::Kind::attached);
  for (int i = 0; i < 10; ++i) node.produce(topic, "v");
  node.scheduler.advance(1'000);
  Offset next{0};
  for (std::size_t i = 1; i < listener->events.size(); ++i) {
    CHECK(listener->events[i].from == next);
    CHECK_FALSE(listener->events[i].batches.empty());
    next = listener->events[i].next_offset;
  }
  CHECK(next == Offset{10});

  caf::anon_send_exit(node.directory.find(id)->leader, caf::exit_reason::kill);
  node.scheduler.advance(1'000);
  CHECK(listener->events.back().kind == TailEvent::Kind::ended);
  attachment.reset();
  const auto again = std::make_shared<Listener>();
  attachment = node.broker->attach_tail(id, again);
  node.scheduler.advance(100);
  REQUIRE(again->events.size() == 1);
  CHECK(again->events[0].next_offset == Offset{10});
}

TEST_CASE("a listener that holds on to what it got is given no more bytes, but every event", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  const auto listener = std::make_shared<Listener>();
  const auto attachment = node.broker->attach_tail({topic->id, PartitionId{0}}, listener);
  node.scheduler.run();
  constexpr std::size_t size = 600'000;
  for (int i = 0; i < 12; ++i) {
    node.produce(topic, std::string(size, 'x'));
    node.scheduler.advance(50);
  }
  REQUIRE(listener->events.size() == 13);
  std::size_t held = 0;
  for (const auto& event : listener->events) held += event.batches.size();
  CHECK(held <= std::size_t{4} << 20);
  CHECK(listener->events[12].batches.empty());
  CHECK(listener->events[12].next_offset == Offset{12});
  listener->events.clear();  // and with them what they counted
  for (int i = 0; i < 6; ++i) {
    node.produce(topic, std::string(size, 'x'));
    node.scheduler.advance(100);
  }
  REQUIRE(listener->events.size() == 6);
  for (const auto& event : listener->events) CHECK_FALSE(event.batches.empty());
}

TEST_CASE("a topic that is deleted takes its leaders, files and waiting fetches along", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t", 3);
  for (int i = 0; i < 5; ++i) node.produce(topic, "v");
  node.scheduler.advance(100);
  auto [waiting, waiting_reply] = NodeFixture::expect<FetchResponse>();
  node.broker->fetch({.partition = {topic->id, PartitionId{2}}, .from = Offset{0}, .wait_ms_max = 60'000},
                     std::move(waiting_reply));
  node.scheduler.run();
  auto [deleted, reply] = NodeFixture::expect<Nothing>();
  node.broker->delete_topic("t", std::move(reply));
  node.scheduler.advance(1'000);
  REQUIRE(deleted->has_value());
  CHECK(**deleted);
  REQUIRE(waiting->has_value());
  CHECK((**waiting).error().code == Errc::unknown_topic_or_partition);
  CHECK_FALSE(node.directory.find({topic->id, PartitionId{0}}));
  CHECK_FALSE(node.has_row("partition_leader", "t/0"));
  for (const auto& file : node.disk.files()) {
    INFO(file);
    CHECK(file.find(to_string(topic->id)) == std::string::npos);
  }
  const auto again = node.create_topic("t", 3);
  CHECK(again->id != topic->id);
  CHECK(node.values(again).empty());
}

TEST_CASE("partitions that are added can be used at once, and a request for one that is not is refused", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  auto [altered, reply] = NodeFixture::expect<metadata::TopicPtr>();
  node.broker->alter_topic({.name = "t", .partitions = 3}, std::move(reply));
  node.scheduler.advance(100);
  REQUIRE(altered->has_value());
  REQUIRE(**altered);
  CHECK(node.values(***altered, PartitionId{2}).empty());
  ProduceRequest request{.topic = topic};
  request.records.push_back({.value = as_bytes("x"), .partition = PartitionId{2}});
  request.records.push_back({.value = as_bytes("x"), .partition = PartitionId{3}});
  auto [produced, produced_reply] = NodeFixture::expect<ProduceResponse>();
  node.broker->produce(std::move(request), std::move(produced_reply));
  node.scheduler.advance(100);
  REQUIRE(produced->has_value());
  CHECK((**produced)->records[0]);
  CHECK((**produced)->records[1].error().code == Errc::unknown_topic_or_partition);
}

TEST_CASE("a request whose time is over is told that its outcome is unknown", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  node.disk.fail({.kind = OperationKind::sync, .path_contains = "/log/", .always = true});
  const auto answer = node.produce(topic, "v", {}, 500);
  node.scheduler.advance(2'000);
  const auto record = NodeFixture::record_of(answer);
  REQUIRE_FALSE(record);
  CHECK(record.error().code == Errc::request_timed_out);
}

TEST_CASE("what a node holds of unanswered requests is bounded, and told as overload", "[actors]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  actors::Broker small({.node_id = BrokerId{1},
                        .images = node.images,
                        .gateways = {node.gateway},
                        .partition_manager = node.manager,
                        .table = &node.table,
                        .clock = &node.clock,
                        .produce_bytes_max = 1000,
                        .health = [] { return HealthReport{}; }});
  std::vector<NodeFixture::Answer<ProduceResponse>> answers;
  const std::string value(400, 'x');
  for (int i = 0; i < 4; ++i) {
    ProduceRequest request{.topic = topic, .memory = Bytes::copy_of(as_bytes(value))};
    request.records.push_back({.value = request.memory.view()});
    auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
    small.produce(std::move(request), std::move(reply));
    answers.push_back(answer);
  }
  CHECK_FALSE(answers[0]->has_value());
  REQUIRE(answers[3]->has_value());
  CHECK((*answers[3])->error().code == Errc::overloaded);
  node.scheduler.advance(1'000);
  CHECK(NodeFixture::record_of(answers[0]));
  CHECK(small.produce_bytes() == 0);

  // Together, too, each is admitted or refused for itself.
  std::vector<ProduceCall> calls;
  answers.clear();
  for (int i = 0; i < 4; ++i) {
    auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
    calls.push_back({{.topic = topic, .memory = Bytes::copy_of(as_bytes(value))}, std::move(reply)});
    calls.back().request.records.push_back({.value = calls.back().request.memory.view()});
    answers.push_back(answer);
  }
  small.produce_all(std::move(calls));
  CHECK_FALSE(answers[0]->has_value());
  REQUIRE(answers[3]->has_value());
  CHECK((*answers[3])->error().code == Errc::overloaded);
  node.scheduler.advance(1'000);
  CHECK(NodeFixture::record_of(answers[1]));
  CHECK(small.produce_bytes() == 0);
}
