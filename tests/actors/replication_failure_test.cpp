#include <algorithm>

#include "storage/paths.hpp"
#include "tests/actors/replica_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Three nodes, one topic with one partition: replicas 1, 2, 3, led by 1.
struct FailureFixture : ReplicaFixture {
  metadata::TopicPtr topic;
  TopicIdPartition id;

  explicit FailureFixture(std::uint64_t seed = 1, std::map<std::string, std::string> config = {{"min.insync.replicas", "2"}})
      : ReplicaFixture(3, seed) {
    topic = controller->create("t", {brokers({1, 2, 3})}, config);
    id = {topic->id, PartitionId{0}};
    scheduler.advance(300);
  }
  std::size_t in_sync() const { return controller->partition(id).isr.size(); }
  int leader() const { return controller->partition(id).leader.value(); }
  void write(int count) {
    for (int i = 0; i < count; ++i) {
      const auto answer = produce(leader(), topic, "w");
      scheduler.advance(50);
      REQUIRE(record_of(answer));
    }
  }
};

class Listener final : public TailListener {
 public:
  void on_tail(TailEvent event) override { events.push_back(std::move(event)); }
  std::vector<TailEvent> events;
};

/// By chance one of the things that can happen to a cluster and heal by themselves.
void upset(FailureFixture& cluster, Prng& random) {
  const BrokerId one{static_cast<std::int32_t>(1 + random.below(3))};
  const BrokerId other{one.value() % 3 + 1};
  switch (random.below(7)) {
    case 0:
      cluster.network.cut(one, other);
      cluster.scheduler.advance(static_cast<std::int64_t>(random.below(600)));
      return cluster.network.heal(one, other);
    case 1: {
      const auto isr = cluster.controller->partition(cluster.id).isr;
      return cluster.controller->elect(cluster.id, isr.at(random.below(isr.size())));
    }
    case 2:
      cluster.node(one.value())
          .disk.fail({.kind = random.chance(1, 2) ? OperationKind::sync : OperationKind::write, .path_contains = "/log/"});
      return;
    case 3: return caf::anon_send_exit(cluster.node(one.value()).manager->get(), caf::exit_reason::kill);
    case 4: {
      const auto entry = cluster.node(one.value()).directory.find(cluster.id);
      if (entry) caf::anon_send_exit(entry->leader, caf::exit_reason::kill);
      return;
    }
    case 5:
      cluster.network.lose_if([&random](const FakeLinks::Passing&) { return random.chance(1, 4); });
      cluster.scheduler.advance(static_cast<std::int64_t>(random.below(300)));
      return cluster.network.lose_if(nullptr);
    default:
      cluster.controller->make_deaf(one);
      cluster.scheduler.advance(static_cast<std::int64_t>(random.below(300)));
      return cluster.controller->make_hear(one);
  }
}

}  // namespace

TEST_CASE("whatever fails and heals: acknowledged records survive, each once, and replicas agree in the end",
          "[actors][replication]") {
  const auto seed = seed_or(60'001);
  INFO("TROUPE_SEED=" << seed);
  std::size_t acknowledged = 0;
  for (std::uint64_t round = 0; round < 25; ++round) {
    CAPTURE(round);
    // 2012: a turn in an answer that came to a leader before its log was open.
    const auto world = round == 0 ? 2'012 : seed + round;
    FailureFixture cluster(world);
    Prng random(world);
    std::vector<std::pair<std::string, ReplicaFixture::Answer<ProduceResponse>>> asked;
    for (int i = 0; i < 40; ++i) {
      // Also at nodes that do not lead now: their gateways wait for a leader, and may time out.
      const auto at = random.chance(4, 5) ? cluster.leader() : static_cast<int>(1 + random.below(3));
      const auto value = "v" + std::to_string(i);
      asked.emplace_back(value, cluster.produce(at, cluster.topic, value, Acks::quorum, PartitionId{0}, 3'000));
      for (auto steps = random.below(60); steps > 0; --steps) cluster.scheduler.step();
      if (random.chance(1, 4)) upset(cluster, random);
      if (random.chance(1, 3)) cluster.scheduler.advance(static_cast<std::int64_t>(random.below(50)));
    }
    for (int i = 1; i <= 3; ++i) cluster.node(i).disk.clear_faults();
    cluster.scheduler.advance(10'000);
    CHECK(cluster.in_sync() == 3);
    cluster.check_same_logs({1, 2, 3}, cluster.id);
    const auto stored = cluster.values(cluster.leader(), cluster.id);
    for (const auto& [value, answer] : asked) {
      CAPTURE(value);
      const auto record = ReplicaFixture::record_of(answer);
      const auto times = std::ranges::count(stored, value);
      CHECK(times <= 1);
      if (!record) continue;
      ++acknowledged;
      REQUIRE(times == 1);
      CHECK(stored.at(static_cast<std::size_t>(record->offset.value())) == value);
    }
  }
  CHECK(acknowledged > 400);
}

TEST_CASE("a leader that fails goes on in its epoch only when older wishes of it have become void",
          "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(3);
  const auto before = cluster.controller->partition(cluster.id);
  cluster.controller->make_deaf(BrokerId{1});
  caf::anon_send_exit(cluster.node(1).directory.find(cluster.id)->leader, caf::exit_reason::kill);
  cluster.scheduler.advance(500);
  const auto answer = cluster.produce(1, cluster.topic, "later");
  cluster.scheduler.advance(1'000);
  CHECK_FALSE(answer->has_value());  // the controller was not reached
  cluster.controller->make_hear(BrokerId{1});
  cluster.scheduler.advance(2'000);
  CHECK(ReplicaFixture::record_of(answer));
  const auto after = cluster.controller->partition(cluster.id);
  CHECK(after.leader_epoch == before.leader_epoch);
  CHECK(after.partition_epoch > before.partition_epoch);
  CHECK(after.isr == before.isr);
  CHECK(cluster.values(1, cluster.id) == std::vector<std::string>{"w", "w", "w", "later"});
}

TEST_CASE("a follower whose disk fails once is a new run of its node, and in sync again", "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(3);
  const auto run = [&] { return cluster.node(1).images->get()->find_broker(BrokerId{2})->broker_epoch; };
  const auto before = run();
  cluster.node(2).disk.fail({.kind = OperationKind::sync, .path_contains = "/log/"});
  cluster.produce(1, cluster.topic, "w");
  cluster.scheduler.advance(3'000);
  CHECK(cluster.node(2).row("disk_worker", "data-disk").restarts == 1);
  CHECK(run() > before);
  cluster.write(2);
  CHECK(cluster.in_sync() == 3);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("a log that was recovered is not followed or led with before the metadata knows of it", "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(3);
  const int failing = GENERATE(1, 2);
  CAPTURE(failing);
  cluster.controller->make_deaf(BrokerId{failing});
  cluster.node(failing).disk.fail({.kind = OperationKind::sync, .path_contains = "/log/"});
  const auto answer = cluster.produce(1, cluster.topic, "x");
  cluster.scheduler.advance(1'500);
  CHECK(cluster.node(failing).row("disk_worker", "data-disk").restarts == 1);
  CHECK(cluster.node(failing).row("disk_worker", "data-disk").state == actors::ActorState::running);
  CHECK_FALSE(answer->has_value());
  CHECK_FALSE(cluster.node(failing).directory.find(cluster.id));
  cluster.controller->make_hear(BrokerId{failing});
  cluster.scheduler.advance(3'000);
  CHECK(ReplicaFixture::record_of(answer));
  CHECK(cluster.in_sync() == 3);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("a follower whose disk is full leaves the ISR, and is back when there is space", "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(1);
  cluster.node(3).disk.set_capacity(0);
  std::vector<ReplicaFixture::Answer<ProduceResponse>> answers;
  for (int i = 0; i < 4; ++i) answers.push_back(cluster.produce(1, cluster.topic, std::string(200'000, 'x')));
  cluster.scheduler.advance(3 * ReplicaFixture::lag_max_ms);
  CHECK(cluster.in_sync() == 2);
  for (const auto& answer : answers) CHECK(ReplicaFixture::record_of(answer));
  CHECK(cluster.node(3).row("disk_worker", "data-disk").restarts == 0);
  cluster.node(3).disk.set_capacity(std::uint64_t{1} << 30);
  cluster.scheduler.advance(2'000);
  CHECK(cluster.in_sync() == 3);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("the actors between nodes may fail: others take their place", "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(2);
  const auto kill = [&](const caf::actor_addr which) {
    const auto actor = caf::actor_cast<caf::actor>(which);
    REQUIRE(actor);
    caf::anon_send_exit(actor, caf::exit_reason::kill);
    cluster.scheduler.advance(4'000);
  };
  kill(cluster.node(1).links->server);
  CHECK(cluster.in_sync() == 3);
  cluster.write(2);
  kill(cluster.node(2).links->callers.at(BrokerId{1}));
  CHECK(cluster.in_sync() == 3);
  cluster.write(2);
  const auto shrink_and_grow = [&] {
    cluster.network.cut(BrokerId{1}, BrokerId{3});
    cluster.produce(1, cluster.topic, "w");
    cluster.scheduler.advance(3 * ReplicaFixture::lag_max_ms);
    CHECK(cluster.in_sync() == 2);
    cluster.network.heal(BrokerId{1}, BrokerId{3});
    cluster.scheduler.advance(2'000);
    CHECK(cluster.in_sync() == 3);
  };
  shrink_and_grow();
  kill(cluster.node(1).isr_desk);
  shrink_and_grow();
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("bytes that are no fetch are refused, and harm nobody", "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(1);
  std::vector<Result<Bytes>> answers;
  const auto asker = cluster.scheduler.own(cluster.scheduler.system().spawn(
      [&answers](caf::event_based_actor*, int) -> caf::behavior {
        return {[&answers](const actors::PeerAnswer& answer) { answers.push_back(answer.answer); }};
      },
      0));
  auto& links = cluster.network.of(BrokerId{2});
  Prng random(5);
  for (int i = 0; i < 200; ++i) {
    ByteBuffer garbage(random.below(120));
    for (auto& byte : garbage) byte = static_cast<std::byte>(random.below(256));
    if (garbage.size() > 2) garbage[0] = std::byte{1}, garbage[1] = std::byte{1};
    links.call(BrokerId{1}, actors::Channel::replica, Bytes::adopt(std::move(garbage)), 1'000, 1, asker);
  }
  cluster.scheduler.advance(2'000);
  REQUIRE(answers.size() == 200);
  CHECK(std::ranges::all_of(answers, [](const auto& answer) { return !answer; }));
  cluster.write(3);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("who listens at the leader hears of what is committed, with its records, and not before",
          "[actors][replication]") {
  FailureFixture cluster;
  cluster.write(2);
  const auto listener = std::make_shared<Listener>();
  const auto attachment = cluster.node(1).broker->attach_tail(cluster.id, listener);
  cluster.scheduler.advance(100);
  REQUIRE(listener->events.size() == 1);
  CHECK(listener->events[0].next_offset == Offset{2});
  cluster.network.hold(BrokerId{2}, BrokerId{1});
  for (int i = 0; i < 3; ++i) {
    cluster.produce(1, cluster.topic, "held");
    cluster.scheduler.advance(50);
  }
  CHECK(listener->events.size() == 1);
  cluster.network.release(BrokerId{2}, BrokerId{1});
  cluster.scheduler.advance(300);
  Offset next{2};
  std::size_t records = 0;
  for (const auto& event : listener->events) {
    if (event.kind != TailEvent::Kind::records) continue;
    CHECK(event.from == next);
    next = event.next_offset;
    for (std::size_t at = 0; at < event.batches.size(); ++records)
      at += record::parse_batch_header(event.batches.view().subspan(at)).value().size_bytes();
  }
  CHECK(next == Offset{5});
  CHECK(records == 3);
}

TEST_CASE("a log that is left goes after a while, and its partition may come back", "[actors][replication]") {
  ReplicaFixture cluster(2);
  const auto topic = cluster.controller->create("t", {brokers({1, 2})});
  const TopicIdPartition id{topic->id, PartitionId{0}};
  cluster.scheduler.advance(200);
  const auto write = [&](const std::string& value) {
    const auto answer = cluster.produce(1, topic, value);
    cluster.scheduler.advance(100);
    REQUIRE(ReplicaFixture::record_of(answer));
  };
  write("a");
  cluster.scheduler.advance(31'000);
  cluster.controller->set_replicas(id, brokers({1}));
  cluster.scheduler.advance(31'000);
  CHECK(cluster.files(2, id) == 1);
  SECTION("assigned again in time: the log goes on") {
    write("b");
    cluster.controller->set_replicas(id, brokers({1, 2}));
    cluster.scheduler.advance(200'000);
    CHECK(cluster.files(2, id) == 1);
  }
  SECTION("assigned again too late: it is copied anew") {
    cluster.scheduler.advance(100'000);
    CHECK(cluster.files(2, id) == 0);
    write("b");
    cluster.controller->set_replicas(id, brokers({1, 2}));
    cluster.scheduler.advance(2'000);
    write("c");
    CHECK(cluster.controller->partition(id).isr == brokers({1, 2}));
    // And it is there after another start.
    auto disk = cluster.stop(BrokerId{2});
    cluster.start(BrokerId{2}, std::move(disk));
    cluster.scheduler.advance(3'000);
  }
  CHECK(cluster.controller->partition(id).isr == brokers({1, 2}));
  cluster.check_same_logs({1, 2}, id);
}

TEST_CASE("the log of a topic that was deleted while its node was down goes, and is not taken for a stranger's",
          "[actors][replication]") {
  ReplicaFixture cluster(2);
  const auto topic = cluster.controller->create("t", {brokers({1, 2})});
  const TopicIdPartition id{topic->id, PartitionId{0}};
  cluster.scheduler.advance(200);
  REQUIRE(ReplicaFixture::record_of([&] {
    const auto answer = cluster.produce(1, topic, "v");
    cluster.scheduler.advance(31'000);
    return answer;
  }()));
  auto disk = cluster.stop(BrokerId{2});
  cluster.controller->remove_topic(topic->id);
  cluster.start(BrokerId{2}, std::move(disk));
  cluster.scheduler.advance(1'000);
  CHECK(cluster.files(2, id) == 1);
  cluster.scheduler.advance(100'000);
  const auto left = cluster.node(2).disk.files();
  CHECK(std::ranges::none_of(left,
                             [&](const std::string& file) { return file.find(to_string(topic->id)) != std::string::npos; }));
}

TEST_CASE("replicas come and go with their assignment, and a log that is left stays for a while", "[actors][replication]") {
  ReplicaFixture cluster(2);
  const auto topic = cluster.controller->create("t", {brokers({1})});
  const TopicIdPartition id{topic->id, PartitionId{0}};
  cluster.scheduler.advance(200);
  const auto write = [&](int at, const std::string& value) {
    const auto answer = cluster.produce(at, topic, value);
    cluster.scheduler.advance(100);
    REQUIRE(ReplicaFixture::record_of(answer));
  };
  write(1, "alone");
  cluster.controller->set_replicas(id, brokers({1, 2}));
  cluster.scheduler.advance(1'000);
  CHECK(cluster.controller->partition(id).isr == brokers({1, 2}));
  write(1, "both");
  cluster.check_same_logs({1, 2}, id);
  cluster.controller->elect(id, BrokerId{2});
  cluster.controller->set_replicas(id, brokers({2}));
  cluster.scheduler.advance(500);
  CHECK(cluster.node(1).count("partition_leader") + cluster.node(1).count("partition_follower") == 0);
  write(2, "moved");
  CHECK(cluster.values(2, id) == std::vector<std::string>{"alone", "both", "moved"});
  CHECK(cluster.log(1, id).view.log_end_offset() == Offset{2});
  cluster.controller->set_replicas(id, brokers({2, 1}));
  cluster.scheduler.advance(1'000);
  cluster.check_same_logs({1, 2}, id);
}
