#include "core/metadata/left_logs.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

constexpr Millis grace = 1'000;

/// Node 3 of a cluster of four, and the logs on its disk.
struct LeftLogsFixture {
  Cluster cluster{4};
  LeftLogs logs{{.node = BrokerId{3}, .grace_ms = grace}};
  std::vector<TopicIdPartition> on_disk;
  MonotonicMs now{0};

  LeftLogs::Findings look() { return logs.look(*cluster.image, run(), on_disk, now); }
  LeftLogs::Findings look_after(Millis passed) {
    now = now + passed;
    return look();
  }
  BrokerEpoch run() const { return BrokerEpoch{cluster.image->find_broker(BrokerId{3})->broker_epoch.value()}; }
  TopicIdPartition add(const std::string& name, const Ids& replicas) {
    const TopicIdPartition id{cluster.add_topic(name, {replicas}), PartitionId{0}};
    on_disk.push_back(id);
    return id;
  }
  void reassign(const TopicIdPartition& id, const Ids& replicas) {
    cluster.commit(ReassignPartitionsRequest{{{id, ids_of(replicas)}}});
  }
  void delete_topic(const TopicIdPartition& id) { cluster.apply({TopicRemovedRecord{id.topic_id}}); }
  /// The node starts again: what it has stored is all that it knows.
  void restart() {
    const auto stored = logs.known();
    logs = LeftLogs{{.node = BrokerId{3}, .grace_ms = grace}};
    logs.recall(stored);
    cluster.restart(3, true);
  }
};

}  // namespace

TEST_CASE("a log whose partition moved to others goes after a while, and not while it moves", "[left_logs]") {
  LeftLogsFixture node;
  const auto id = node.add("t", {1, 2, 3});
  CHECK(node.look().learned);
  CHECK_FALSE(node.look().learned);
  node.reassign(id, {1, 2, 4});
  CHECK(node.look_after(10 * grace).remove.empty());
  node.cluster.alter_isr(id.topic_id, {1, 2, 3, 4});
  REQUIRE(text(node.cluster.partition(id.topic_id)).find("of 1 2 4") != std::string::npos);
  CHECK(node.look().remove.empty());
  CHECK(node.look_after(grace - 1).remove.empty());
  CHECK(node.look_after(1).remove == std::vector{id});
  node.on_disk.clear();
  const auto after = node.look();
  CHECK(after.remove.empty());
  CHECK(after.learned);
  CHECK(node.logs.known().empty());
}

TEST_CASE("a log that is assigned again in time stays, and the time begins anew when it is left again", "[left_logs]") {
  LeftLogsFixture node;
  const auto id = node.add("t", {1, 2, 3});
  node.look();
  node.reassign(id, {1, 2});
  node.look();
  node.look_after(grace - 1);
  node.reassign(id, {1, 2, 3});
  CHECK(node.look_after(grace).remove.empty());
  node.cluster.alter_isr(id.topic_id, {1, 2, 3});
  node.reassign(id, {2, 1});
  CHECK(node.look().remove.empty());
  CHECK(node.look_after(grace - 1).remove.empty());
  CHECK(node.look_after(1).remove == std::vector{id});
}

TEST_CASE("a left log stays while those who have the partition are not well", "[left_logs]") {
  LeftLogsFixture node;
  const auto id = node.add("t", {1, 2, 3});
  node.look();
  node.reassign(id, {1, 2});
  node.look();
  node.cluster.alter_isr(id.topic_id, {1});
  CHECK(node.look_after(10 * grace).remove.empty());  // fewer in sync than writers need
  node.cluster.alter_isr(id.topic_id, {1, 2});
  CHECK(node.look().remove.empty());
  CHECK(node.look_after(grace).remove == std::vector{id});
}

TEST_CASE("the log of a topic that was deleted while the node was down goes; what was never known is a stray",
          "[left_logs]") {
  LeftLogsFixture node;
  const auto id = node.add("t", {3});
  const TopicIdPartition stranger{Uuid{{9, 9}}, PartitionId{0}};
  node.look();
  node.delete_topic(id);
  node.restart();
  node.on_disk.push_back(stranger);
  CHECK(node.look().strays == std::vector{stranger});
  const auto later = node.look_after(grace);
  CHECK(later.remove == std::vector{id});
  CHECK(later.strays == std::vector{stranger});
}

TEST_CASE("metadata that were taken back to an older state delete nothing", "[left_logs]") {
  LeftLogsFixture node;
  const auto early = node.cluster.image;
  for (int i = 0; i < 20; ++i) node.cluster.add_topic("other-" + std::to_string(i), {{1}});
  const auto moved = node.add("t", {1, 2, 3});
  const auto deleted = node.add("u", {3});
  node.look();
  // An older state, in which the node registers anew; that this topic is elsewhere is of another history.
  node.cluster.image = early;
  node.cluster.apply({TopicRecord{moved.topic_id, "t"}, PartitionRecord{moved.topic_id, PartitionId{0}, BrokerId{1},
                                                                        LeaderEpoch{0}, ids_of({1}), ids_of({1})}});
  node.restart();
  REQUIRE(node.run().value() < node.logs.known().at(moved).value());
  const auto first = node.look();
  CHECK(first.remove.empty());
  CHECK(first.strays == std::vector{deleted});
  CHECK(node.look_after(100 * grace).remove.empty());
}

TEST_CASE("a run that the metadata do not know finds nothing", "[left_logs]") {
  LeftLogsFixture node;
  const auto id = node.add("t", {1, 2, 3});
  node.look();
  node.reassign(id, {1, 2});
  node.look();
  CHECK(node.logs.look(*node.cluster.image, no_broker_epoch, node.on_disk, MonotonicMs{10 * grace}).remove.empty());
  node.now = MonotonicMs{20 * grace};
  CHECK(node.look().remove.empty());  // and the time begins anew
  CHECK(node.look_after(grace).remove == std::vector{id});
}
