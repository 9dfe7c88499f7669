#include "actors/partition_messages.hpp"
#include "tests/actors/node_fixture.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

caf::behavior silent(caf::event_based_actor* /*self*/, int /*unused*/) {
  return {[](const actors::ProduceSlot&) {}, [](const actors::FetchPartition&) {}, [](const actors::FindOffset&) {},
          [](const actors::DeleteRecordsBefore&) {}, [](const actors::CancelFetch&) {}};
}

/// A topic of two partitions; the second one's leader takes everything and says nothing.
struct GatewayFixture : NodeFixture {
  metadata::TopicPtr topic;
  TopicIdPartition id;
  caf::actor stuck;

  GatewayFixture() {
    start_node();
    topic = create_topic("t", 2);
    id = {topic->id, PartitionId{1}};
    stuck = scheduler.own(scheduler.system().spawn(silent, 0));
    directory.set(id, {stuck, topic->partitions[1].leader_epoch});
  }
  ~GatewayFixture() { directory.remove(id); }
};

template <class T>
Errc error_of(const NodeFixture::Answer<T>& answer) {
  REQUIRE(answer->has_value());
  REQUIRE_FALSE(**answer);
  return (**answer).error().code;
}

}  // namespace

TEST_CASE("reads that are open at a leader that goes down wait for the next one, but not for long", "[actors][gateway]") {
  GatewayFixture node;
  const auto fetched = node.fetch({.partition = node.id, .from = Offset{0}, .wait_ms_max = 60'000});
  const auto found = node.find_offset(node.id, {.kind = OffsetSpec::Kind::earliest});
  const auto deleted = node.delete_records(node.id, Offset{1});
  const auto elsewhere =
      node.fetch({.partition = {node.topic->id, PartitionId{0}}, .from = Offset{0}, .wait_ms_max = 60'000});
  node.scheduler.advance(200);
  CHECK_FALSE(fetched->has_value());
  CHECK_FALSE(found->has_value());
  CHECK_FALSE(deleted->has_value());
  node.directory.remove(node.id);
  caf::anon_send_exit(node.stuck, caf::exit_reason::kill);
  node.scheduler.run();
  CHECK(error_of(deleted) == Errc::request_timed_out);  // it may have been done
  node.scheduler.advance(4'900);
  CHECK_FALSE(fetched->has_value());
  CHECK_FALSE(found->has_value());
  node.scheduler.advance(200);
  CHECK(error_of(fetched) == Errc::leader_not_available);
  CHECK(error_of(found) == Errc::leader_not_available);
  CHECK_FALSE(elsewhere->has_value());
}

TEST_CASE("a read that has no leader is answered by the one that comes, within the time that it may wait",
          "[actors][gateway]") {
  GatewayFixture node;
  const auto here = *node.directory.find({node.topic->id, PartitionId{0}});
  node.directory.remove(node.id);
  const auto found = node.find_offset(node.id, {.kind = OffsetSpec::Kind::earliest});
  const auto fetched = node.fetch({.partition = node.id, .from = Offset{0}, .wait_ms_max = 2'000});
  node.scheduler.advance(1'000);
  CHECK_FALSE(found->has_value());
  node.directory.set(node.id, here);  // any leader will do
  node.scheduler.advance(100);
  REQUIRE(found->has_value());
  CHECK((*found)->value().offset == Offset{0});
  CHECK_FALSE(fetched->has_value());
  node.scheduler.advance(700);
  CHECK_FALSE(fetched->has_value());
  node.scheduler.advance(300);  // the pause without a leader counts
  REQUIRE(fetched->has_value());
  CHECK((*fetched)->value().batches.empty());
}

TEST_CASE("a read that waits for a leader can be cancelled", "[actors][gateway]") {
  GatewayFixture node;
  node.directory.remove(node.id);
  auto [answer, reply] = NodeFixture::expect<FetchResponse>();
  const auto call = node.broker->fetch({.partition = node.id, .from = Offset{0}, .wait_ms_max = 2'000}, std::move(reply));
  node.scheduler.advance(100);
  CHECK_FALSE(answer->has_value());
  node.broker->cancel(call);
  node.scheduler.run();
  CHECK(error_of(answer) == Errc::cancelled);
}

TEST_CASE("a leader that says nothing is waited for, but not for ever", "[actors][gateway]") {
  GatewayFixture node;
  const auto found = node.find_offset(node.id, {.kind = OffsetSpec::Kind::earliest});
  const auto deleted = node.delete_records(node.id, Offset{1});
  const auto fetched = node.fetch({.partition = node.id, .from = Offset{0}, .wait_ms_max = 20'000});
  node.scheduler.advance(29'000);
  CHECK_FALSE(found->has_value());
  CHECK_FALSE(deleted->has_value());
  node.scheduler.advance(3'000);
  CHECK(error_of(found) == Errc::request_timed_out);
  CHECK(error_of(deleted) == Errc::request_timed_out);
  CHECK_FALSE(fetched->has_value());  // its own wait comes on top
  node.scheduler.advance(20'000);
  CHECK(error_of(fetched) == Errc::request_timed_out);
}

TEST_CASE("what a partition answered in time counts, also when another one did not", "[actors][gateway]") {
  GatewayFixture node;
  ProduceRequest request{.topic = node.topic, .timeout_ms = 1'000};
  request.records.push_back({.value = as_bytes("a"), .partition = PartitionId{0}});
  request.records.push_back({.value = as_bytes("b"), .partition = PartitionId{1}});
  auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
  node.broker->produce(std::move(request), std::move(reply));
  node.scheduler.advance(900);
  CHECK_FALSE(answer->has_value());
  node.scheduler.advance(300);
  REQUIRE(answer->has_value());
  const auto& records = (**answer)->records;
  REQUIRE(records.size() == 2);
  REQUIRE(records[0]);
  CHECK(records[0]->offset == Offset{0});
  REQUIRE_FALSE(records[1]);
  CHECK(records[1].error().code == Errc::request_timed_out);
}

TEST_CASE("a producer that wants no acknowledgement gets none, at once, and its record is written", "[actors][gateway]") {
  GatewayFixture node;
  for (const std::int32_t partition : {0, 1}) {
    ProduceRequest request{.topic = node.topic, .acks = Acks::none};
    request.records.push_back({.value = as_bytes("v"), .partition = PartitionId{partition}});
    auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
    node.broker->produce(std::move(request), std::move(reply));
    node.scheduler.advance(50);
    const auto record = NodeFixture::record_of(answer);
    REQUIRE(record);
    CHECK(record->offset == no_offset);
  }
  CHECK(node.values(node.topic) == std::vector<std::string>{"v"});
}

TEST_CASE("who makes a topic hears of it when all its partitions can be used", "[actors][gateway]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    NodeFixture node(seed);
    node.start_node();
    bool answered = false;
    const auto check = [&](const Result<metadata::TopicPtr>& topic) {
      REQUIRE(topic);
      answered = true;
      for (std::int32_t p = 0; p < (*topic)->partition_count(); ++p) {
        CHECK(node.leader_of({(*topic)->id, PartitionId{p}}));
      }
    };
    node.broker->create_topic({.name = "t", .partitions = 5}, Reply<metadata::TopicPtr>{check});
    node.scheduler.advance(1'000);
    REQUIRE(answered);
    answered = false;
    node.broker->alter_topic({.name = "t", .partitions = 9}, Reply<metadata::TopicPtr>{check});
    node.scheduler.advance(1'000);
    CHECK(answered);
  }
}

TEST_CASE("without its metadata a node says so, and goes on when it is back", "[actors][gateway]") {
  NodeFixture node;
  node.start_node();
  caf::anon_send_exit(caf::actor_cast<caf::actor>(node.quorum.get()), caf::exit_reason::kill);
  node.scheduler.run();
  node.quorum.set(actors::MetadataQuorum{});  // as when nobody holds it any more
  auto [refused, reply] = NodeFixture::expect<metadata::TopicPtr>();
  node.broker->create_topic({.name = "t"}, std::move(reply));
  node.scheduler.run();
  CHECK(error_of(refused) == Errc::leader_not_available);
  node.scheduler.advance(1'000);
  const auto topic = node.create_topic("t");
  const auto written = node.produce(topic, "v");
  node.scheduler.advance(500);
  CHECK(NodeFixture::record_of(written));
}
