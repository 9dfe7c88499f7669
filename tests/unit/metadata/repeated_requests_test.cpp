#include "core/metadata/repeated_requests.hpp"

#include "core/metadata/reassignment.hpp"
#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// A cluster of which requests are asked twice.
struct Twice {
  Cluster cluster{4};
  TopicId topic = cluster.add_topic("rides", {{1, 2, 3}});
  DrainChanges drains;

  TopicIdPartition partition() const { return {topic, PartitionId{0}}; }
  ElectLeadersRequest elect(std::int32_t to) const { return {{partition()}, BrokerId{to}}; }
  ReassignPartitionsRequest move(const Ids& replicas) const { return {{{partition(), ids_of(replicas)}}}; }
  ReassignPartitionsRequest off() const { return {{{partition(), std::nullopt}}}; }

  /// The second time: "ok", or the code of the first partition.
  std::string again(const ClusterRequest& request, const ClusterSeen& before) {
    auto decision = decide_repeated(*cluster.image, request, before, drains);
    if (!decision) return std::string(to_string(decision.error().code));
    cluster.answer = decision->answer;
    cluster.written = decision->records.size();
    cluster.apply(decision->records);
    return cluster.verdict();
  }
};

}  // namespace

TEST_CASE("an election of unknown outcome is done once, and not against another operator", "[repeated]") {
  Twice twice;
  auto& cluster = twice.cluster;
  const auto request = twice.elect(2);
  const auto before = *seen(*cluster.image, request);
  SECTION("the first never arrived") {
    CHECK(twice.again(request, before) == "ok");
    CHECK(cluster.partition(twice.topic).leader == BrokerId{2});
    CHECK(cluster.written == 1);
  }
  SECTION("a member left the ISR: that is no election") {
    cluster.alter_isr(twice.topic, {1, 2});
    CHECK(twice.again(request, before) == "ok");
    CHECK(cluster.written == 1);
  }
  SECTION("the first was carried out") {
    cluster.commit(request);
    CHECK(twice.again(request, before) == "ok");
    CHECK(cluster.written == 0);
    CHECK(cluster.answer.partitions[0]->leader == BrokerId{2});
  }
  SECTION("somebody else has elected another since") {
    cluster.commit(request);
    cluster.commit(twice.elect(3));
    CHECK(twice.again(request, before) == "request_timed_out");
    CHECK(cluster.partition(twice.topic).leader == BrokerId{3});
    cluster.commit(twice.elect(1));  // who led at first: the epoch tells
    CHECK(twice.again(request, before) == "request_timed_out");
    CHECK(cluster.partition(twice.topic).leader == BrokerId{1});
  }
}

TEST_CASE("a reassignment of unknown outcome is not begun again after it was called off", "[repeated]") {
  Twice twice;
  auto& cluster = twice.cluster;
  const auto request = twice.move({4, 2, 3});
  const auto before = *seen(*cluster.image, request);
  SECTION("the first never arrived") {
    CHECK(twice.again(request, before) == "ok");
    CHECK(cluster.partition(twice.topic).is_reassigned());
  }
  SECTION("it is under way, or through") {
    cluster.commit(request);
    CHECK(twice.again(request, before) == "ok");
    CHECK(cluster.written == 0);
    cluster.alter_isr(twice.topic, {1, 2, 3, 4});
    CHECK(twice.again(request, before) == "ok");
    CHECK(cluster.written == 0);
    CHECK(text(cluster.partition(twice.topic)) == "leader 4 epoch 1 isr 2 3 4 of 4 2 3");
  }
  SECTION("called off by somebody else") {
    cluster.commit(request);
    cluster.commit(twice.off());
    CHECK(twice.again(request, before) == "request_timed_out");
    CHECK_FALSE(cluster.partition(twice.topic).is_reassigned());
  }
  SECTION("calling it off, when another one was begun since") {
    cluster.commit(request);
    const auto under_way = *seen(*cluster.image, twice.off());
    cluster.commit(twice.off());
    CHECK(twice.again(twice.off(), under_way) == "ok");
    CHECK(cluster.written == 0);
    cluster.commit(twice.move({4, 1}));
    CHECK(twice.again(twice.off(), under_way) == "request_timed_out");
    CHECK(cluster.partition(twice.topic).is_reassigned());
  }
}

TEST_CASE("of many partitions each has its answer, in order", "[repeated]") {
  Twice twice;
  auto& cluster = twice.cluster;
  const auto maps = cluster.add_topic("maps", {{1, 2}, {1, 2}, {1, 2}});
  ElectLeadersRequest request{.to = BrokerId{2}};
  for (const std::int32_t number : {0, 1, 2}) request.partitions.push_back({maps, PartitionId{number}});
  request.partitions.push_back({uuid(99), PartitionId{0}});
  const auto before = *seen(*cluster.image, request);
  cluster.commit(ElectLeadersRequest{{request.partitions[0], request.partitions[2]}, BrokerId{2}});
  cluster.commit(ElectLeadersRequest{{request.partitions[2]}, BrokerId{1}});
  const auto decision = decide_repeated(*cluster.image, request, before, {});
  REQUIRE(decision);
  const auto& answers = decision->answer.partitions;
  REQUIRE(answers.size() == 4);
  CHECK(answers[0]->leader == BrokerId{2});
  CHECK(answers[1]->leader == BrokerId{2});
  CHECK(answers[2].error().code == Errc::request_timed_out);
  CHECK(answers[3].error().code == Errc::unknown_topic_or_partition);
  CHECK(decision->records.size() == 1);
}

TEST_CASE("whether a broker drained meanwhile is known from where the image began", "[repeated]") {
  DrainChanges drains;
  drains.begin_at(Offset{100});
  CHECK(drains.changed_since(BrokerId{1}, Offset{99}));
  CHECK_FALSE(drains.changed_since(BrokerId{1}, Offset{100}));

  Cluster cluster{2};
  const auto& one = cluster.broker(1);
  const auto state = [&](bool draining) {
    return BrokerStateRecord{.id = BrokerId{1}, .broker_epoch = one.broker_epoch, .draining = draining};
  };
  ImageBuilder builder{cluster.image};
  REQUIRE(builder.apply(state(true), Offset{200}));
  REQUIRE(builder.apply(state(true), Offset{201}));
  REQUIRE(builder.apply(state(false), Offset{202}));
  REQUIRE(builder.apply(state(false), Offset{203}));
  drains.note(builder.finish(Offset{204}, BrokerId{1}));
  CHECK(drains.changed_since(BrokerId{1}, Offset{202}));
  CHECK_FALSE(drains.changed_since(BrokerId{1}, Offset{203}));
  CHECK_FALSE(drains.changed_since(BrokerId{2}, Offset{150}));
}
