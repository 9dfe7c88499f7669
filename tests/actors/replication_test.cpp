#include <algorithm>

#include "core/replication/fetch_codec.hpp"
#include "tests/actors/replica_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Three nodes, one topic with one partition: replicas 1, 2, 3, led by 1.
struct ReplicatedFixture : ReplicaFixture {
  metadata::TopicPtr topic;
  TopicIdPartition id;

  explicit ReplicatedFixture(std::uint64_t seed = 1,
                             std::map<std::string, std::string> config = {{"min.insync.replicas", "2"}})
      : ReplicaFixture(3, seed) {
    topic = controller->create("t", {brokers({1, 2, 3})}, config);
    id = {topic->id, PartitionId{0}};
    scheduler.advance(300);
  }
  std::vector<BrokerId> isr() const { return controller->partition(id).isr; }
  /// Acknowledged by all.
  std::vector<std::string> write(int at, int from, int count) {
    std::vector<std::string> written;
    for (int i = from; i < from + count; ++i) {
      written.push_back("v" + std::to_string(i));
      const auto answer = produce(at, controller->topic(id.topic_id), written.back());
      scheduler.advance(30);
      REQUIRE(record_of(answer));
    }
    return written;
  }
};

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::int64_t latest(ReplicaFixture& cluster, int at, const TopicIdPartition& id) {
  const auto found = cluster.find(at, id, {.kind = OffsetSpec::Kind::latest});
  return found ? found->offset.value() : -1;
}

}  // namespace

TEST_CASE("records reach all replicas byte for byte, and their producers hear of it then", "[actors][replication]") {
  const auto seed = seed_or(11);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 5; ++round) {
    CAPTURE(round);
    ReplicatedFixture cluster(seed + round,
                              {{"min.insync.replicas", "2"}, {"flush", round % 2 == 0 ? "fsync" : "interval"}});
    std::vector<ReplicaFixture::Answer<ProduceResponse>> answers;
    std::vector<std::string> expected;
    Prng random(seed + round);
    for (int i = 0; i < 60; ++i) {
      expected.push_back("v" + std::to_string(i) + std::string(random.below(2'000), 'x'));
      answers.push_back(cluster.produce(1, cluster.topic, expected.back()));
      if (random.chance(1, 3)) cluster.scheduler.advance(static_cast<std::int64_t>(random.below(20)));
    }
    cluster.scheduler.advance(1'000);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto record = ReplicaFixture::record_of(answers[i]);
      REQUIRE(record);
      CHECK(record->offset == Offset{static_cast<std::int64_t>(i)});
    }
    cluster.check_same_logs({1, 2, 3}, cluster.id);
    CHECK(cluster.values(1, cluster.id) == expected);
    CHECK(cluster.isr() == brokers({1, 2, 3}));
  }
}

TEST_CASE("a record is neither acknowledged at quorum nor shown before all in-sync replicas have it",
          "[actors][replication]") {
  ReplicatedFixture cluster;
  cluster.write(1, 0, 3);
  CHECK(cluster.values(1, cluster.id).size() == 3);  // a consumer at the end: what comes is kept for it
  cluster.write(1, 3, 1);
  cluster.network.hold(BrokerId{3}, BrokerId{1});  // broker 3 no longer says how far it is
  const auto quorum = cluster.produce(1, cluster.topic, "all");
  cluster.scheduler.advance(500);
  CHECK_FALSE(quorum->has_value());
  CHECK(latest(cluster, 1, cluster.id) == 4);
  // The leader keeps it in memory for its followers, together with what was committed before; consumers get that only.
  CHECK(cluster.values(1, cluster.id) == std::vector<std::string>{"v0", "v1", "v2", "v3"});
  const auto last = cluster.fetch(1, cluster.id, Offset{3});
  REQUIRE(last);
  CHECK(last->next_offset == Offset{4});
  CHECK(record::parse_batch_header(last->batches).value().size_bytes() == last->batches.size());
  const auto leader = cluster.produce(1, cluster.topic, "leader", Acks::leader);
  cluster.scheduler.advance(100);
  CHECK(ReplicaFixture::record_of(leader));  // the leader has it, and that is what was asked for
  CHECK(latest(cluster, 1, cluster.id) == 4);
  cluster.network.release(BrokerId{3}, BrokerId{1});
  cluster.scheduler.advance(300);
  CHECK(ReplicaFixture::record_of(quorum));
  CHECK(latest(cluster, 1, cluster.id) == 6);
}

TEST_CASE("the ISR shrinks when a follower stops, and grows when it is back and has caught up", "[actors][replication]") {
  ReplicatedFixture cluster;
  const auto before = cluster.write(1, 0, 5);
  cluster.network.cut(BrokerId{3}, BrokerId{1});
  const auto while_away = cluster.produce(1, cluster.topic, "away");
  cluster.scheduler.advance(500);
  CHECK_FALSE(while_away->has_value());
  CHECK(cluster.isr() == brokers({1, 2, 3}));
  cluster.scheduler.advance(2 * ReplicaFixture::lag_max_ms);
  CHECK(cluster.isr() == brokers({1, 2}));
  CHECK(ReplicaFixture::record_of(while_away));
  const auto more = cluster.write(1, 5, 20);
  CHECK(cluster.log(3, cluster.id).view.log_end_offset() < Offset{26});
  cluster.network.heal(BrokerId{3}, BrokerId{1});
  cluster.scheduler.advance(2'000);
  CHECK(cluster.isr() == brokers({1, 2, 3}));
  cluster.check_same_logs({1, 2, 3}, cluster.id);
  CHECK(cluster.values(1, cluster.id) == joined(joined(before, {"away"}), more));
}

TEST_CASE("with too few replicas in sync, quorum is refused before anything is written, and leader is not",
          "[actors][replication]") {
  ReplicatedFixture cluster;
  cluster.write(1, 0, 1);
  cluster.network.cut(BrokerId{3}, BrokerId{1});
  cluster.network.cut(BrokerId{2}, BrokerId{1});
  const auto first = cluster.produce(1, cluster.topic, "in doubt", Acks::quorum, PartitionId{0}, 10'000);
  cluster.scheduler.advance(3 * ReplicaFixture::lag_max_ms);
  CHECK(cluster.isr() == brokers({1}));
  CHECK_FALSE(first->has_value());
  CHECK(latest(cluster, 1, cluster.id) == 1);  // the watermark stands while the ISR is below its minimum
  const auto end = cluster.log(1, cluster.id).view.log_end_offset();
  const auto refused = cluster.produce(1, cluster.topic, "refused");
  cluster.scheduler.advance(200);
  CHECK(cluster.log(1, cluster.id).view.log_end_offset() == end);
  cluster.scheduler.advance(10'000);
  const auto in_doubt = ReplicaFixture::record_of(first);
  REQUIRE_FALSE(in_doubt);
  CHECK(in_doubt.error().code == Errc::request_timed_out);
  REQUIRE(refused->has_value());
  CHECK(ReplicaFixture::record_of(refused).error().code == Errc::not_enough_replicas);
  const auto taken = cluster.produce(1, cluster.topic, "taken", Acks::leader);
  cluster.scheduler.advance(200);
  CHECK(ReplicaFixture::record_of(taken));
}

TEST_CASE("a follower that becomes leader keeps every acknowledged record; what was not acknowledged is cut off elsewhere",
          "[actors][replication]") {
  const auto seed = seed_or(77);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 20; ++round) {
    CAPTURE(round);
    ReplicatedFixture cluster(seed + round);
    Prng random(seed + round);
    auto expected = cluster.write(1, 0, 5);
    // The leader is alone with what it takes now: nobody hears it, and it hears of nothing.
    for (const auto other : {BrokerId{2}, BrokerId{3}}) cluster.network.cut(BrokerId{1}, other);
    cluster.controller->make_deaf(BrokerId{1});
    const auto lost = cluster.produce(1, cluster.topic, "lost");
    for (auto steps = random.below(400); steps > 0; --steps) cluster.scheduler.step();
    cluster.controller->elect(cluster.id, BrokerId{2});
    cluster.scheduler.advance(static_cast<std::int64_t>(random.below(300)));
    CHECK_FALSE(lost->has_value());
    // Without a majority's word the new leader shrinks the ISR to those that fetch from it.
    const auto after = cluster.produce(2, cluster.topic, "after");
    cluster.scheduler.advance(3 * ReplicaFixture::lag_max_ms);
    REQUIRE(ReplicaFixture::record_of(after));
    CHECK(cluster.isr() == brokers({2, 3}));
    expected.emplace_back("after");
    CHECK(cluster.values(2, cluster.id) == expected);
    // Back again: it follows, without the record that was never acknowledged.
    cluster.controller->make_hear(BrokerId{1});
    for (const auto other : {BrokerId{2}, BrokerId{3}}) cluster.network.heal(BrokerId{1}, other);
    cluster.scheduler.advance(3'000);
    REQUIRE(cluster.node(1).count("partition_follower") == 1);
    CHECK(cluster.node(1).count("partition_leader") == 0);
    CHECK(cluster.isr() == brokers({2, 3, 1}));
    cluster.check_same_logs({1, 2, 3}, cluster.id);
    CHECK(cluster.values(2, cluster.id) == expected);
    // Whether the producer at the old leader hears at all, it does not hear of success.
    if (lost->has_value()) CHECK_FALSE(ReplicaFixture::record_of(lost));
  }
}

TEST_CASE("an old leader that does not know of its successor commits nothing any more", "[actors][replication]") {
  ReplicatedFixture cluster;
  cluster.write(1, 0, 2);
  cluster.controller->make_deaf(BrokerId{1});  // it hears its followers, and no metadata
  cluster.controller->elect(cluster.id, BrokerId{3});
  cluster.scheduler.advance(100);
  const auto stale = cluster.produce(1, cluster.topic, "stale", Acks::quorum, PartitionId{0}, 5'000);
  const auto fresh = cluster.produce(3, cluster.topic, "fresh");
  cluster.scheduler.advance(4'000);
  CHECK_FALSE(stale->has_value());
  CHECK(latest(cluster, 1, cluster.id) == 2);
  cluster.scheduler.advance(2'000);
  REQUIRE(stale->has_value());
  CHECK(ReplicaFixture::record_of(stale).error().code == Errc::request_timed_out);
  CHECK(ReplicaFixture::record_of(fresh));
  CHECK(cluster.isr() == brokers({2, 3}));
  cluster.controller->make_hear(BrokerId{1});
  cluster.scheduler.advance(3'000);
  cluster.check_same_logs({1, 2, 3}, cluster.id);
  CHECK(cluster.values(3, cluster.id) == std::vector<std::string>{"v0", "v1", "fresh"});
}

TEST_CASE("a leader that is told to give way says that outcomes are unknown, and the retry finds each record once",
          "[actors][replication]") {
  const auto seed = seed_or(405);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 20; ++round) {
    CAPTURE(round);
    ReplicatedFixture cluster(seed + round);
    Prng random(seed + round);
    std::vector<ReplicaFixture::Answer<ProduceResponse>> answers;
    for (int i = 0; i < 30; ++i) {
      answers.push_back(cluster.produce(1, cluster.topic, "v" + std::to_string(i)));
      for (auto steps = random.below(30); steps > 0; --steps) cluster.scheduler.step();
      // There and back: the leadership returns to the producer's node with another epoch.
      if (i == 10) cluster.controller->elect(cluster.id, BrokerId{2});
      if (i == 20) cluster.controller->elect(cluster.id, BrokerId{1});
    }
    cluster.scheduler.advance(5'000);
    const auto stored = cluster.values(1, cluster.id);
    for (int i = 0; i < 30; ++i) {
      const auto value = "v" + std::to_string(i);
      CAPTURE(value);
      const auto record = ReplicaFixture::record_of(answers[static_cast<std::size_t>(i)]);
      REQUIRE(record);
      CHECK(std::ranges::count(stored, value) == 1);
      CHECK(stored.at(static_cast<std::size_t>(record->offset.value())) == value);
    }
    cluster.check_same_logs({1, 2, 3}, cluster.id);
  }
}

TEST_CASE("a follower that comes back with an empty disk copies everything before it is in sync", "[actors][replication]") {
  ReplicatedFixture cluster;
  const auto before = cluster.write(1, 0, 30);
  cluster.stop(BrokerId{3});
  cluster.controller->fence(BrokerId{3});
  const auto more = cluster.write(1, 30, 10);
  CHECK(cluster.isr() == brokers({1, 2}));
  cluster.start(BrokerId{3}, {});
  cluster.controller->unfence(BrokerId{3});
  cluster.scheduler.advance(2'000);
  CHECK(cluster.isr() == brokers({1, 2, 3}));
  cluster.check_same_logs({1, 2, 3}, cluster.id);
  CHECK(cluster.values(1, cluster.id) == joined(before, more));
}

TEST_CASE("a node that was killed goes on with the log that it has", "[actors][replication]") {
  const auto seed = seed_or(2209);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 10; ++round) {
    CAPTURE(round);
    ReplicatedFixture cluster(seed + round);
    const BrokerId killed{round % 2 == 0 ? 3 : 1};  // a follower, or the leader
    auto expected = cluster.write(1, 0, 10);
    auto disk = cluster.stop(killed);
    cluster.controller->fence(killed);
    const auto leader = cluster.controller->partition(cluster.id).leader.value();
    cluster.scheduler.advance(100);
    expected = joined(expected, cluster.write(leader, 10, 5));
    cluster.start(killed, std::move(disk));
    cluster.controller->unfence(killed);
    cluster.scheduler.advance(3'000);
    CHECK(cluster.isr().size() == 3);
    cluster.check_same_logs({1, 2, 3}, cluster.id);
    CHECK(cluster.values(leader, cluster.id) == expected);
  }
}

TEST_CASE("many partitions between two nodes share one session, and only those with news travel", "[actors][replication]") {
  ReplicaFixture cluster(2);
  constexpr int count = 200;
  const auto topic = cluster.controller->create("many", std::vector<std::vector<BrokerId>>(count, brokers({1, 2})));
  std::set<std::int64_t> sessions;
  std::size_t requests = 0;
  std::size_t statements = 0;
  cluster.network.watch([&](const FakeLinks::Passing& passing) {
    if (passing.is_answer || passing.channel != actors::Channel::replica) return;
    const auto request = replication::decode_fetch_request(passing.payload);
    REQUIRE(request);
    CHECK(passing.from == BrokerId{2});
    if (request->session_id != replication::no_fetch_session) sessions.insert(request->session_id.value());
    ++requests;
    statements += request->partitions.size();
  });
  cluster.scheduler.advance(1'000);
  CHECK(sessions.size() == 1);
  CHECK(cluster.node(2).count("replica_fetcher") == 1);
  CHECK(cluster.node(1).count("replica_fetcher") == 0);
  CHECK(statements >= count);

  requests = statements = 0;
  cluster.scheduler.advance(5'000);
  CHECK(statements == 0);
  CHECK(requests <= 11);  // one in 500 ms keeps the session

  for (int p = 0; p < count; ++p) cluster.produce(1, topic, "v", Acks::quorum, PartitionId{p});
  cluster.scheduler.advance(500);
  for (int p = 0; p < count; ++p) cluster.check_same_logs({1, 2}, {topic->id, PartitionId{p}});
  CHECK(sessions.size() == 1);

  requests = statements = 0;
  const auto one = cluster.produce(1, topic, "one", Acks::quorum, PartitionId{7});
  cluster.scheduler.advance(200);
  CHECK(ReplicaFixture::record_of(one));
  CHECK(statements <= 3);  // the position with it, and those with what is known of the watermark
}

TEST_CASE("a partition whose records have to be read from a slow disk holds up none of the others",
          "[actors][replication]") {
  ReplicaFixture cluster(2);
  const auto cold = cluster.controller->create("cold", {brokers({1, 2})});
  const auto warm = cluster.controller->create("warm", {brokers({1, 2})});
  const TopicIdPartition cold_id{cold->id, PartitionId{0}};
  const TopicIdPartition warm_id{warm->id, PartitionId{0}};
  cluster.scheduler.advance(300);
  cluster.network.cut(BrokerId{1}, BrokerId{2});
  const std::string value(300'000, 'c');  // more than a leader keeps in memory
  for (int i = 0; i < 10; ++i) {
    cluster.produce(1, cold, value, Acks::leader);
    cluster.scheduler.advance(20);
  }
  // No read of the first segment succeeds.
  cluster.node(1).disk.fail({.kind = OperationKind::read, .path_contains = to_string(cold->id), .always = true});
  cluster.network.heal(BrokerId{1}, BrokerId{2});
  cluster.scheduler.advance(200);
  for (int i = 0; i < 20; ++i) {
    const auto answer = cluster.produce(1, warm, "w" + std::to_string(i));
    cluster.scheduler.advance(30);
    CHECK(ReplicaFixture::record_of(answer));
  }
  cluster.check_same_logs({1, 2}, warm_id);
  CHECK(cluster.log(2, cold_id).view.log_end_offset() < Offset{10});
  cluster.node(1).disk.clear_faults();
  cluster.scheduler.advance(1'000);
  cluster.check_same_logs({1, 2}, cold_id);
}

TEST_CASE("a follower whose log has begun behind the leader's end, or ended before its start, starts over",
          "[actors][replication]") {
  ReplicatedFixture cluster(3, {{"min.insync.replicas", "1"}, {"segment.bytes", "4096"}});
  cluster.write(1, 0, 10);
  auto disk = cluster.stop(BrokerId{3});
  cluster.controller->fence(BrokerId{3});
  cluster.write(1, 10, 40);
  auto [deleted, reply] = ReplicaFixture::expect<Offset>();
  cluster.node(1).broker->delete_records({.partition = cluster.id, .before = Offset{30}}, std::move(reply));
  cluster.scheduler.advance(500);
  REQUIRE(**deleted);
  CHECK(cluster.log(2, cluster.id).view.log_start_offset() == Offset{30});  // followers forget with their leader
  cluster.start(BrokerId{3}, std::move(disk));
  cluster.controller->unfence(BrokerId{3});
  cluster.scheduler.advance(2'000);
  CHECK(cluster.log(3, cluster.id).view.log_start_offset() == Offset{30});
  CHECK(cluster.log(3, cluster.id).view.log_end_offset() == Offset{50});
  CHECK(cluster.isr() == brokers({1, 2, 3}));
}

TEST_CASE("what many leaders want of the controller travels together", "[actors][replication]") {
  ReplicaFixture cluster(2);
  constexpr int count = 200;
  const auto topic = cluster.controller->create("many", std::vector<std::vector<BrokerId>>(count, brokers({1, 2})));
  cluster.scheduler.advance(500);
  CHECK(cluster.controller->alter_requests == 0);
  cluster.network.cut(BrokerId{1}, BrokerId{2});
  for (int p = 0; p < count; ++p) cluster.produce(1, topic, "v", Acks::quorum, PartitionId{p});
  cluster.scheduler.advance(3 * ReplicaFixture::lag_max_ms);
  for (int p = 0; p < count; ++p) {
    CHECK(cluster.controller->partition({topic->id, PartitionId{p}}).isr == brokers({1}));
  }
  CHECK(cluster.controller->alter_requests < 20);
}
