#include <algorithm>

#include "storage/paths.hpp"
#include "tests/actors/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Three nodes that reach each other; partitions of `t` and `other` have replicas 1, 2, 3 and are led by 1.
struct CareFixture : ReplicaFixture {
  metadata::TopicPtr topic;
  metadata::TopicPtr other;
  TopicIdPartition id;
  TopicIdPartition other_id;

  explicit CareFixture(std::vector<BrokerId> replicas = brokers({1, 2, 3})) : ReplicaFixture(3, 9, true) {
    const std::map<std::string, std::string> config{{"min.insync.replicas", "1"}, {"segment.bytes", "4096"}};
    topic = controller->create("t", {replicas}, config);
    other = controller->create("other", {replicas}, config);
    id = {topic->id, PartitionId{0}};
    other_id = {other->id, PartitionId{0}};
    scheduler.advance(300);
  }
  int leader() const { return controller->partition(id).leader.value(); }
  std::size_t in_sync() const { return controller->partition(id).isr.size(); }
  void write(const metadata::TopicPtr& to, int count) {
    for (int i = 0; i < count; ++i) {
      const auto answer = produce(2, to, std::string(500, 'x'));
      scheduler.advance(60);
      REQUIRE(record_of(answer));
    }
  }
  /// Logs of the partition that a node has put aside.
  std::size_t set_aside(int at) {
    const auto all = node(at).disk.files();
    return static_cast<std::size_t>(std::ranges::count_if(all, [&](const std::string& file) {
      return file.find("/quarantine/") != std::string::npos && file.find(".set-aside") != std::string::npos &&
             file.find(to_string(id.topic_id)) != std::string::npos && file.ends_with(".log");
    }));
  }
  std::vector<std::string> segments(const FaultyFileSystem& disk) const {
    std::vector<std::string> all;
    for (const auto& file : disk.files()) {
      if (file.starts_with("/log/partitions/" + to_string(id) + "/") && file.ends_with(".log")) all.push_back(file);
    }
    std::ranges::sort(all);
    return all;
  }
  void fail_writes(int at) {
    node(at).disk.fail(
        {.kind = OperationKind::write, .path_contains = "/partitions/" + to_string(id) + "/", .bytes_written = 40});
  }
  std::uint64_t restarts(int at) { return node(at).row("disk_worker", "data-disk").restarts; }
};

}  // namespace

TEST_CASE("a leader whose log fails hands over, copies it anew, and its node leads on elsewhere", "[actors][replica_care]") {
  CareFixture cluster;
  cluster.write(cluster.topic, 5);
  cluster.write(cluster.other, 2);
  const auto other_before = cluster.controller->partition(cluster.other_id);
  const auto other_leader = cluster.node(1).directory.find(cluster.other_id)->leader.address();
  cluster.fail_writes(1);
  const auto answer = cluster.produce(2, cluster.topic, "x");
  cluster.scheduler.advance(5'000);
  CHECK(ReplicaFixture::record_of(answer));
  CHECK(cluster.leader() != 1);
  CHECK(cluster.in_sync() == 3);
  CHECK(cluster.restarts(1) == 0);
  CHECK(cluster.set_aside(1) > 0);
  CHECK(cluster.controller->partition(cluster.other_id) == other_before);
  CHECK(cluster.node(1).directory.find(cluster.other_id)->leader.address() == other_leader);
  cluster.write(cluster.topic, 3);
  cluster.write(cluster.other, 2);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
  cluster.check_same_logs({1, 2, 3}, cluster.other_id);
  // And all of it is there after the next start.
  auto disk = cluster.stop(BrokerId{1});
  cluster.start(BrokerId{1}, std::move(disk));
  cluster.scheduler.advance(3'000);
  CHECK(cluster.in_sync() == 3);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("a follower whose log fails copies it anew", "[actors][replica_care]") {
  CareFixture cluster;
  cluster.write(cluster.topic, 5);
  const auto before = cluster.controller->partition(cluster.id);
  cluster.fail_writes(3);
  cluster.write(cluster.topic, 1);
  cluster.scheduler.advance(5'000);
  const auto after = cluster.controller->partition(cluster.id);
  CHECK(after.leader == before.leader);
  CHECK(after.leader_epoch > before.leader_epoch);
  CHECK(cluster.in_sync() == 3);
  CHECK(cluster.restarts(3) == 0);
  CHECK(cluster.set_aside(3) > 0);
  cluster.write(cluster.topic, 3);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("a log that fails where nobody else has it is recovered with its directory", "[actors][replica_care]") {
  const bool alone = GENERATE(true, false);
  CAPTURE(alone);
  CareFixture cluster(alone ? brokers({1}) : brokers({1, 2}));
  cluster.write(cluster.topic, 3);
  if (!alone) {
    auto gone = cluster.stop(BrokerId{2});
    cluster.controller->fence(BrokerId{2});
    REQUIRE(cluster.in_sync() == 1);
  }
  const auto before = cluster.bytes(1, cluster.id);
  cluster.fail_writes(1);
  const auto answer = cluster.produce(alone ? 2 : 3, cluster.topic, "x");
  cluster.scheduler.advance(5'000);
  CHECK(ReplicaFixture::record_of(answer));
  CHECK(cluster.restarts(1) == 1);
  CHECK(cluster.set_aside(1) == 0);
  CHECK(cluster.bytes(1, cluster.id).starts_with(before));
  CHECK(cluster.leader() == 1);
}

TEST_CASE("a replica with a hole in its log copies it anew and is in sync again", "[actors][replica_care]") {
  CareFixture cluster;
  cluster.write(cluster.topic, 40);
  REQUIRE(cluster.scheduler.ask<actors::Done>(cluster.node(3).worker.get(), actors::Checkpoint{}));
  auto disk = cluster.stop(BrokerId{3});
  cluster.controller->fence(BrokerId{3});
  const auto segments = cluster.segments(disk);
  REQUIRE(segments.size() > 3);
  REQUIRE(disk.remove(segments[2]));
  cluster.start(BrokerId{3}, std::move(disk));
  cluster.controller->unfence(BrokerId{3});
  cluster.scheduler.advance(5'000);
  CHECK(cluster.in_sync() == 3);
  CHECK(cluster.set_aside(3) > 2);
  cluster.write(cluster.topic, 2);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("a leader whose log is found damaged by a reader hands over and copies it anew", "[actors][replica_care]") {
  CareFixture cluster;
  cluster.write(cluster.topic, 40);
  const auto whole = cluster.bytes(2, cluster.id);
  const auto segments = cluster.segments(cluster.node(1).disk);
  REQUIRE(segments.size() > 3);
  REQUIRE(cluster.node(1).disk.flip_bit(segments[1], 300, 3));
  auto [answer, reply] = ReplicaFixture::expect<FetchResponse>();
  cluster.node(1).broker->fetch({.partition = cluster.id, .from = Offset{0}, .bytes_max = std::size_t{10} << 20},
                                std::move(reply));
  cluster.scheduler.advance(500);
  for (Offset from{0}; from < Offset{40};) {
    const auto response = cluster.fetch(2, cluster.id, from);
    if (!response) {
      CHECK(response.error().code == Errc::corrupt_message);
      break;
    }
    from = response->next_offset;
  }
  cluster.scheduler.advance(5'000);
  CHECK(cluster.leader() != 1);
  CHECK(cluster.in_sync() == 3);
  CHECK(cluster.restarts(1) == 0);
  CHECK(cluster.set_aside(1) > 2);
  CHECK((cluster.bytes(1, cluster.id) == whole));
  cluster.check_same_logs({1, 2, 3}, cluster.id);
}

TEST_CASE("a damaged log that nobody can replace is kept and used as far as it goes", "[actors][replica_care]") {
  CareFixture cluster(brokers({1, 2}));
  cluster.write(cluster.topic, 40);
  auto gone = cluster.stop(BrokerId{2});
  cluster.controller->fence(BrokerId{2});
  const auto segments = cluster.segments(cluster.node(1).disk);
  REQUIRE(cluster.node(1).disk.flip_bit(segments[1], 300, 3));
  std::optional<Errc> refused;
  for (Offset from{0}; from < Offset{40} && !refused;) {
    const auto response = cluster.fetch(3, cluster.id, from);
    if (!response) refused = response.error().code;
    if (response) from = response->next_offset;
  }
  CHECK(refused == Errc::corrupt_message);
  cluster.scheduler.advance(5'000);
  CHECK(cluster.leader() == 1);
  CHECK(cluster.set_aside(1) == 0);
  CHECK(cluster.restarts(1) == 0);
  const auto answer = cluster.produce(3, cluster.topic, "goes on");
  cluster.scheduler.advance(200);
  CHECK(ReplicaFixture::record_of(answer));
}
