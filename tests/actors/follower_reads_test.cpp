#include <algorithm>

#include "tests/actors/replica_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

class Listener final : public TailListener {
 public:
  void on_tail(TailEvent event) override { events.push_back(std::move(event)); }
  bool ended() const {
    return std::ranges::any_of(events, [](const auto& one) { return one.kind == TailEvent::Kind::ended; });
  }
  /// The end of what was told without a hole, and how many records came along.
  std::pair<Offset, std::size_t> told() const {
    Offset next = no_offset;
    std::size_t records = 0;
    for (const auto& event : events) {
      if (event.kind == TailEvent::Kind::attached) next = event.next_offset;
      if (event.kind != TailEvent::Kind::records) continue;
      CHECK(event.from == next);
      CHECK(event.next_offset > event.from);
      next = event.next_offset;
      for (std::size_t at = 0; at < event.batches.size(); ++records)
        at += record::parse_batch_header(event.batches.view().subspan(at)).value().size_bytes();
    }
    return {next, records};
  }
  std::vector<TailEvent> events;
};

/// Three nodes, one topic with one partition: replicas 1, 2, 3, led by 1.
struct ReadsFixture : ReplicaFixture {
  metadata::TopicPtr topic;
  TopicIdPartition id;

  explicit ReadsFixture(std::uint64_t seed = 1, bool with_stand_ins = false) : ReplicaFixture(3, seed, with_stand_ins) {
    topic = controller->create("t", {brokers({1, 2, 3})}, {{"min.insync.replicas", "2"}});
    id = {topic->id, PartitionId{0}};
    scheduler.advance(300);
  }
  int leader() const { return controller->partition(id).leader.value(); }
  void write(int count, const std::string& value = "w") {
    for (int i = 0; i < count; ++i) {
      const auto answer = produce(leader(), topic, value);
      scheduler.advance(50);
      REQUIRE(record_of(answer));
    }
  }
  /// What this node gives of the partition within that time.
  std::vector<std::string> held(int at, Millis wait_ms = 20) {
    std::vector<std::string> all;
    for (Offset from{0};;) {
      auto [answer, reply] = expect<FetchResponse>();
      node(at).broker->fetch({.partition = id, .from = from}, std::move(reply));
      scheduler.advance(wait_ms);
      if (!answer->has_value() || !**answer || (**answer)->batches.empty()) return all;
      const auto& batches = (**answer)->batches;
      CHECK((**answer)->next_offset <= (**answer)->high_watermark);
      for (std::size_t begin = 0; begin < batches.size();) {
        const auto batch = record::parse_batch(batches.view().subspan(begin)).value();
        record::RecordReader reader(batch.header, batch.records_block());
        while (const auto record = reader.next()) all.emplace_back(as_text(*record->value));
        begin += batch.bytes.size();
      }
      from = (**answer)->next_offset;
    }
  }
};

}  // namespace

TEST_CASE("a node that has nobody to ask reads its own replica as far as that is committed", "[actors][follower_reads]") {
  ReadsFixture cluster;
  cluster.write(3);
  CHECK(cluster.held(2) == std::vector<std::string>{"w", "w", "w"});
  const auto earliest = cluster.find(2, cluster.id, {.kind = OffsetSpec::Kind::earliest});
  REQUIRE(earliest);
  CHECK(earliest->offset == Offset{0});
  CHECK(earliest->leader_epoch == no_leader_epoch);
  const auto by_time = cluster.find(2, cluster.id, {.kind = OffsetSpec::Kind::timestamp, .timestamp = TimestampMs{1}});
  REQUIRE(by_time);
  CHECK(by_time->offset == Offset{0});
  // Where the log ends, and what comes there, only the leader knows; it is given time to appear.
  auto [at_end, reply] = ReplicaFixture::expect<FetchResponse>();
  cluster.node(2).broker->fetch({.partition = cluster.id, .from = Offset{3}}, std::move(reply));
  auto [latest, latest_reply] = ReplicaFixture::expect<OffsetAnswer>();
  cluster.node(2).broker->find_offset(cluster.id, {.kind = OffsetSpec::Kind::latest}, std::move(latest_reply));
  cluster.scheduler.advance(500);
  CHECK_FALSE(at_end->has_value());
  CHECK_FALSE(latest->has_value());
  cluster.scheduler.advance(5'500);
  REQUIRE(at_end->has_value());
  CHECK((*at_end)->error().code == Errc::leader_not_available);
  REQUIRE(latest->has_value());
  REQUIRE(**latest);
  CHECK((**latest)->offset == Offset{3});
  CHECK((**latest)->leader_epoch == no_leader_epoch);  // what lies beyond, a replica that follows does not know
}

TEST_CASE("a replica shows nothing that is not committed, whatever its log holds", "[actors][follower_reads]") {
  ReadsFixture cluster;
  cluster.write(2);
  cluster.network.hold(BrokerId{3}, BrokerId{1});
  const auto answer = cluster.produce(1, cluster.topic, "uncommitted");
  cluster.scheduler.advance(200);
  CHECK_FALSE(answer->has_value());
  CHECK(cluster.log(2, cluster.id).view.log_end_offset() == Offset{3});
  CHECK(cluster.held(2).size() == 2);
  const auto listener = std::make_shared<Listener>();
  const auto attachment = cluster.node(2).broker->attach_tail(cluster.id, listener);
  cluster.scheduler.advance(100);
  CHECK(listener->told().first == Offset{2});
  cluster.network.release(BrokerId{3}, BrokerId{1});
  cluster.scheduler.advance(300);
  CHECK(ReplicaFixture::record_of(answer));
  CHECK(cluster.held(2).size() == 3);
  CHECK(listener->told().first == Offset{3});
}

TEST_CASE("who listens on a follower's node hears all, with the records, and does not notice that the leader changes",
          "[actors][follower_reads]") {
  ReadsFixture cluster(3, true);
  cluster.write(2);
  const auto listener = std::make_shared<Listener>();
  const auto attachment = cluster.node(2).broker->attach_tail(cluster.id, listener);
  cluster.scheduler.advance(100);
  CHECK(cluster.node(2).leaders->stand_ins() == 0);  // the leader does not know that anybody listens
  cluster.write(5);
  CHECK(listener->told() == std::pair{Offset{7}, std::size_t{5}});
  cluster.controller->elect(cluster.id, BrokerId{3});
  cluster.scheduler.advance(1'000);
  cluster.write(5);
  CHECK_FALSE(listener->ended());
  CHECK(listener->told() == std::pair{Offset{12}, std::size_t{10}});
  CHECK(listener->events.back().leader_epoch == cluster.controller->partition(cluster.id).leader_epoch);
  // The node that listens is to lead: who listens there begins again, at the same place.
  cluster.controller->elect(cluster.id, BrokerId{2});
  cluster.scheduler.advance(1'000);
  const auto again = std::make_shared<Listener>();
  const auto second = cluster.node(2).broker->attach_tail(cluster.id, again);
  cluster.scheduler.advance(100);
  cluster.write(1);
  CHECK(again->told() == std::pair{Offset{13}, std::size_t{1}});
}

TEST_CASE("a replica that falls out of sync does not hold up who listens on its node", "[actors][follower_reads]") {
  ReadsFixture cluster(4, true);
  cluster.write(1);
  const auto listener = std::make_shared<Listener>();
  const auto attachment = cluster.node(3).broker->attach_tail(cluster.id, listener);
  cluster.scheduler.advance(100);
  cluster.node(3).disk.set_capacity(0);
  std::vector<ReplicaFixture::Answer<ProduceResponse>> answers;
  for (int i = 0; i < 4; ++i) answers.push_back(cluster.produce(1, cluster.topic, std::string(200'000, 'x')));
  cluster.scheduler.advance(3 * ReplicaFixture::lag_max_ms);
  REQUIRE(cluster.controller->partition(cluster.id).isr.size() == 2);
  for (const auto& answer : answers) REQUIRE(ReplicaFixture::record_of(answer));
  CHECK(listener->told().first == Offset{5});
  CHECK(cluster.node(3).leaders->stand_ins() == 1);
  cluster.node(3).disk.set_capacity(std::uint64_t{1} << 30);
  cluster.scheduler.advance(3'000);
  REQUIRE(cluster.controller->partition(cluster.id).isr.size() == 3);
  cluster.write(3);
  CHECK(listener->told().first == Offset{8});
  CHECK_FALSE(listener->ended());
}

TEST_CASE("a read at a node that cannot reach the leader is answered by its replica, and by the leader again later",
          "[actors][follower_reads]") {
  ReadsFixture cluster(5, true);
  cluster.write(3);
  cluster.network.cut(BrokerId{1}, BrokerId{2});
  cluster.scheduler.advance(100);
  CHECK(cluster.held(2, 300).size() == 3);
  cluster.network.heal(BrokerId{1}, BrokerId{2});
  cluster.scheduler.advance(2'000);
  cluster.write(2);
  const auto read = cluster.fetch(2, cluster.id, Offset{4});
  REQUIRE(read);
  CHECK(read->next_offset == Offset{5});
}

TEST_CASE("whatever fails and heals: what any node shows is committed, in order, and stays", "[actors][follower_reads]") {
  const auto seed = seed_or(71'001);
  INFO("TROUPE_SEED=" << seed);
  std::size_t compared = 0;
  for (std::uint64_t round = 0; round < 12; ++round) {
    CAPTURE(round);
    ReadsFixture cluster(seed + round, true);
    Prng random(seed + round);
    std::vector<std::vector<std::string>> seen;
    std::vector<std::pair<std::shared_ptr<Listener>, std::unique_ptr<TailAttachment>>> listeners;
    for (int i = 0; i < 30; ++i) {
      const auto at = static_cast<int>(1 + random.below(3));
      cluster.produce(at, cluster.topic, "v" + std::to_string(i), Acks::quorum, PartitionId{0}, 3'000);
      for (auto steps = random.below(60); steps > 0; --steps) cluster.scheduler.step();
      const BrokerId one{static_cast<std::int32_t>(1 + random.below(3))};
      const BrokerId other{one.value() % 3 + 1};
      switch (random.below(8)) {
        case 0:
          cluster.network.cut(one, other);
          cluster.scheduler.advance(static_cast<std::int64_t>(random.below(300)));
          seen.push_back(cluster.held(one.value()));
          cluster.network.heal(one, other);
          break;
        case 1: {
          const auto isr = cluster.controller->partition(cluster.id).isr;
          cluster.controller->elect(cluster.id, isr.at(random.below(isr.size())));
          break;
        }
        case 2: cluster.node(one.value()).disk.fail({.kind = OperationKind::sync, .path_contains = "/log/"}); break;
        case 3: {
          auto listener = std::make_shared<Listener>();
          auto attachment = cluster.node(one.value()).broker->attach_tail(cluster.id, listener);
          listeners.emplace_back(std::move(listener), std::move(attachment));
          break;
        }
        default: seen.push_back(cluster.held(one.value()));
      }
      if (random.chance(1, 3)) cluster.scheduler.advance(static_cast<std::int64_t>(random.below(50)));
    }
    for (int i = 1; i <= 3; ++i) cluster.node(i).disk.clear_faults();
    cluster.scheduler.advance(10'000);
    cluster.check_same_logs({1, 2, 3}, cluster.id);
    const auto stored = cluster.values(cluster.leader(), cluster.id);
    for (const auto& prefix : seen) {
      REQUIRE(prefix.size() <= stored.size());
      CHECK(std::ranges::equal(prefix, std::span{stored}.first(prefix.size())));
      compared += prefix.size();
    }
    for (const auto& [listener, attachment] : listeners) {
      const auto [next, records] = listener->told();
      CHECK(next <= Offset{static_cast<std::int64_t>(stored.size())});
    }
  }
  CHECK(compared > 500);
}
