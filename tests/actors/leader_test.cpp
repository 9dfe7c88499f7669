#include <algorithm>

#include "storage/paths.hpp"
#include "tests/actors/node_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// One topic of one partition.
struct LeaderFixture : NodeFixture {
  using NodeFixture::NodeFixture;
  metadata::TopicPtr topic;
  TopicIdPartition id;

  void start_with(std::map<std::string, std::string> config = {}) {
    start_node();
    topic = create_topic("t", 1, std::move(config));
    id = {topic->id, PartitionId{0}};
  }
  /// A batch of its own for each.
  void write_many(int count, std::size_t size = 10) {
    for (int i = 0; i < count; ++i) {
      const auto answer = produce(topic, std::string(size, 'x'));
      scheduler.advance(10);
      REQUIRE(record_of(answer));
    }
  }
};

/// The base offsets of all batches.
std::vector<std::int64_t> offsets_in(const Bytes& bytes) {
  std::vector<std::int64_t> all;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto header = record::parse_batch_header(bytes.view().subspan(at)).value();
    all.push_back(header.base_offset.value());
    at += header.size_bytes();
  }
  return all;
}

}  // namespace

TEST_CASE("records that were deleted are gone: for reads, by time, and for who listens", "[actors]") {
  LeaderFixture node;
  node.start_with({{"segment.bytes", "4096"}});
  node.write_many(40, 300);
  class Listener final : public TailListener {
   public:
    void on_tail(TailEvent event) override { last = std::move(event); }
    TailEvent last;
  };
  const auto listener = std::make_shared<Listener>();
  const auto attachment = node.broker->attach_tail(node.id, listener);
  const auto deleted = node.delete_records(node.id, Offset{25});
  node.scheduler.advance(100);
  REQUIRE(deleted->has_value());
  CHECK(deleted->value().value() == Offset{25});

  const auto below = node.fetch({.partition = node.id, .from = Offset{24}});
  const auto rest = node.fetch({.partition = node.id, .from = Offset{25}});
  // Offset 25 lies within a segment that stays: what is found by time is not below the start.
  const auto by_time = node.find_offset(node.id, {.kind = OffsetSpec::Kind::timestamp, .timestamp = TimestampMs{0}});
  const auto earliest = node.find_offset(node.id, {.kind = OffsetSpec::Kind::earliest});
  node.scheduler.advance(100);
  CHECK((*below)->error().code == Errc::offset_out_of_range);
  CHECK(offsets_in((*rest)->value().batches).front() == 25);
  CHECK((*rest)->value().log_start_offset == Offset{25});
  CHECK((*by_time)->value().offset == Offset{25});
  CHECK((*earliest)->value().offset == Offset{25});
  node.produce(node.topic, "v");
  node.scheduler.advance(100);
  CHECK(listener->last.log_start_offset == Offset{25});

  // Beyond the end: everything, and the next record has the offset that it would have had.
  const auto all = node.delete_records(node.id, Offset{1'000'000});
  node.scheduler.advance(100);
  CHECK(all->value().value() == Offset{41});
  const auto next = node.produce(node.topic, "next");
  node.scheduler.advance(100);
  CHECK(NodeFixture::record_of(next)->offset == Offset{41});
  // Again, and further back: the start does not move.
  const auto again = node.delete_records(node.id, Offset{3});
  node.scheduler.advance(100);
  CHECK(again->value().value() == Offset{41});
}

TEST_CASE("a search by time does not find what was deleted", "[actors]") {
  LeaderFixture node;
  node.start_with({{"segment.bytes", "4096"}});
  const std::string value(600, 'x');
  for (int i = 0; i < 30; ++i) {
    ProduceRequest request{.topic = node.topic};
    request.records.push_back({.value = as_bytes(value), .timestamp = TimestampMs{i >= 10 && i < 20 ? 500 : 1000}});
    auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
    node.broker->produce(std::move(request), std::move(reply));
    node.scheduler.advance(10);
    REQUIRE(NodeFixture::record_of(answer));
  }
  const auto deleted = node.delete_records(node.id, Offset{10});
  node.scheduler.advance(100);
  REQUIRE(**deleted);
  const auto found = node.find_offset(node.id, {.kind = OffsetSpec::Kind::timestamp, .timestamp = TimestampMs{900}});
  node.scheduler.advance(100);
  REQUIRE(**found);
  CHECK((**found)->offset == Offset{20});
}

TEST_CASE("a read that meets a deletion gets the records or is told that they are gone", "[actors]") {
  const auto seed = seed_or(1401);
  INFO("TROUPE_SEED=" << seed);
  int records = 0;
  int gone = 0;
  for (std::uint64_t round = 0; round < 40; ++round) {
    CAPTURE(round);
    LeaderFixture node(seed + round);
    node.start_with({{"segment.bytes", "4096"}});
    node.write_many(30, 600);
    node.scheduler.advance(31'000);  // the batches leave the cache of the last ones
    node.write_many(1);
    Prng random(seed + round);
    NodeFixture::Answer<FetchResponse> read;
    NodeFixture::Answer<OffsetAnswer> search;
    NodeFixture::Answer<Offset> deleted;
    const OffsetSpec any_time{.kind = OffsetSpec::Kind::timestamp, .timestamp = TimestampMs{0}};
    const auto steps = [&] {
      for (auto left = random.below(12); left > 0; --left) node.scheduler.step();
    };
    if (round % 2 == 0) {
      read = node.fetch({.partition = node.id, .from = Offset{2}});
      search = node.find_offset(node.id, any_time);
      steps();
      deleted = node.delete_records(node.id, Offset{25});
    } else {
      deleted = node.delete_records(node.id, Offset{25});
      steps();
      read = node.fetch({.partition = node.id, .from = Offset{2}});
      search = node.find_offset(node.id, any_time);
    }
    node.scheduler.advance(500);
    REQUIRE(deleted->has_value());
    CHECK(deleted->value().value() == Offset{25});
    REQUIRE(read->has_value());
    if (**read) {
      ++records;
      CHECK(offsets_in((**read)->batches).front() == 2);
    } else {
      ++gone;
      CHECK((**read).error().code == Errc::offset_out_of_range);
    }
    REQUIRE(search->has_value());
    REQUIRE(**search);
    CHECK((**search)->offset == (**search)->log_start_offset);
    const auto after = node.fetch({.partition = node.id, .from = Offset{25}});
    const auto by_time = node.find_offset(node.id, any_time);
    node.scheduler.advance(100);
    REQUIRE(**after);
    CHECK(offsets_in((**after)->batches).front() == 25);
    REQUIRE(**by_time);
    CHECK((**by_time)->offset == Offset{25});
  }
  CHECK(records > 0);
  CHECK(gone > 0);
}

TEST_CASE("a read ends where it was told to, from the cache and from the disk", "[actors]") {
  LeaderFixture node;
  node.start_with();
  node.write_many(1);
  const auto warm = GENERATE(false, true);
  CAPTURE(warm);
  if (warm) {  // who reads at the end makes the leader keep what comes
    const auto at_end = node.fetch({.partition = node.id, .from = Offset{1}});
    node.scheduler.advance(10);
    REQUIRE(at_end->has_value());
  }
  node.write_many(9);
  const auto some = node.fetch({.partition = node.id, .from = Offset{2}, .up_to = Offset{5}});
  const auto none = node.fetch({.partition = node.id, .from = Offset{10}, .up_to = Offset{5}});
  const auto one = node.fetch({.partition = node.id, .from = Offset{3}, .bytes_max = 1});
  node.scheduler.advance(100);
  CHECK(offsets_in((*some)->value().batches) == std::vector<std::int64_t>{2, 3, 4});
  CHECK((*some)->value().next_offset == Offset{5});
  CHECK((*none)->value().batches.empty());
  CHECK(offsets_in((*one)->value().batches) == std::vector<std::int64_t>{3});
  CHECK((*one)->value().next_offset == Offset{4});
}

TEST_CASE("what a full disk refused is never given to anybody", "[actors]") {
  LeaderFixture node;
  node.start_with();
  class Listener final : public TailListener {
   public:
    void on_tail(TailEvent event) override { events.push_back(std::move(event)); }
    std::vector<TailEvent> events;
  };
  const auto listener = std::make_shared<Listener>();
  const auto attachment = node.broker->attach_tail(node.id, listener);
  node.write_many(1);
  node.disk.set_capacity(0);
  std::vector<NodeFixture::Answer<ProduceResponse>> refused;
  for (int i = 0; i < 6; ++i) {
    refused.push_back(node.produce(node.topic, std::string(100'000, 'r')));
    node.scheduler.step();
  }
  node.scheduler.advance(2'000);
  for (const auto& answer : refused) CHECK(NodeFixture::record_of(answer).error().code == Errc::storage_full);
  node.disk.set_capacity(std::uint64_t{1} << 30);
  for (int i = 0; i < 4; ++i) {
    node.produce(node.topic, "after");
    node.scheduler.advance(50);
  }
  node.scheduler.advance(1'000);
  std::size_t heard = 0;
  Offset next{0};
  for (const auto& event : listener->events) {
    if (event.kind != TailEvent::Kind::records) continue;
    CHECK(event.from == next);
    next = event.next_offset;
    heard += event.batches.size();
    CHECK_FALSE(event.batches.empty());
  }
  CHECK(next == Offset{5});
  CHECK(heard < 1'000);
  CHECK(node.values(node.topic) == std::vector<std::string>{std::string(10, 'x'), "after", "after", "after", "after"});
}

TEST_CASE("a log with a hole refuses records at once and says why; the records before it are read", "[actors]") {
  FaultyFileSystem disk;
  TopicId damaged;
  {
    LeaderFixture node;
    node.start_with({{"segment.bytes", "4096"}});
    node.write_many(60, 300);
    const auto other = node.create_topic("whole");
    node.produce(other, "v");
    node.scheduler.advance(100);
    damaged = node.id.topic_id;
    REQUIRE(node.scheduler.ask<actors::Done>(node.data_worker.get(), actors::Checkpoint{}));
    disk = node.disk.clone();
  }
  std::vector<std::string> segments;
  for (const auto& file : disk.files()) {
    if (file.find(to_string(damaged)) != std::string::npos && file.ends_with(".log")) segments.push_back(file);
  }
  std::ranges::sort(segments);
  REQUIRE(segments.size() > 3);
  REQUIRE(disk.remove(segments[2]));
  const Offset hole{std::stoll(std::string(storage::file_name(segments[2])))};

  LeaderFixture node(2, std::move(disk));
  node.start_node();
  const auto topic = node.broker->topic("t");
  REQUIRE(topic);
  for (int i = 0; i < 2; ++i) {
    const auto answer = node.produce(topic, "v", IdempotenceKey{.client_id = "ana", .sequence = 1});
    node.scheduler.advance(200);
    const auto record = NodeFixture::record_of(answer);
    REQUIRE_FALSE(record);
    CHECK(record.error().code == Errc::log_damaged);
    CHECK(record.error().message.find("offset " + to_string(hole)) != std::string::npos);
  }
  const TopicIdPartition id{damaged, PartitionId{0}};
  const auto before = node.fetch({.partition = id, .from = Offset{0}});
  const auto behind = node.fetch({.partition = id, .from = hole + 1});
  node.scheduler.advance(200);
  REQUIRE(**before);
  CHECK(offsets_in((**before)->batches).front() == 0);
  CHECK((**before)->high_watermark == hole);
  CHECK((**behind).error().code == Errc::offset_out_of_range);
  CHECK(node.status("t/0").last_error.value_or("").find("damaged") != std::string::npos);
  CHECK(node.status("data-disk").restarts == 0);
  const auto whole = node.broker->topic("whole");
  const auto written = node.produce(whole, "w");
  node.scheduler.advance(200);
  CHECK(NodeFixture::record_of(written));
  // The way out that there is on one node.
  auto [deleted, reply] = NodeFixture::expect<Nothing>();
  node.broker->delete_topic("t", std::move(reply));
  node.scheduler.advance(500);
  REQUIRE(**deleted);
  const auto again = node.create_topic("t");
  const auto fresh = node.produce(again, "v");
  node.scheduler.advance(200);
  CHECK(NodeFixture::record_of(fresh)->offset == Offset{0});
}

TEST_CASE("a claim is found again behind megabytes of other records, and after a read that failed", "[actors]") {
  LeaderFixture node;
  node.start_with();
  const IdempotenceKey key{.client_id = "ana", .sequence = 3};
  node.write_many(4, 700'000);
  const auto first = node.produce(node.topic, "once", key);
  node.scheduler.advance(1'000);
  const auto offset = NodeFixture::record_of(first)->offset;
  node.write_many(1, 700'000);

  node.kill_leader(node.id);
  node.scheduler.advance(1'000);
  const auto failing_read = GENERATE(range<std::size_t>(0, 7));  // of the search, and of what it found; 0: none
  CAPTURE(failing_read);
  if (failing_read > 0) {
    node.disk.fail({.kind = OperationKind::read, .path_contains = "/partitions/", .nth = failing_read});
  }
  const auto again = node.produce(node.topic, "once", key);
  node.scheduler.advance(5'000);
  const auto record = NodeFixture::record_of(again);
  REQUIRE(record);
  CHECK(record->duplicate);
  CHECK(record->offset == offset);
  const auto values = node.values(node.topic);
  CHECK(std::ranges::count(values, "once") == 1);
}

TEST_CASE("a retried claim is answered with the time that its records have", "[actors]") {
  LeaderFixture node;
  node.start_with();
  const IdempotenceKey key{.client_id = "ana", .sequence = 3};
  const auto send = [&] {
    ProduceRequest request{.topic = node.topic, .idempotence = key};
    request.records.push_back({.value = as_bytes("v")});
    auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
    node.broker->produce(std::move(request), std::move(reply));
    node.scheduler.advance(100);
    return NodeFixture::record_of(answer);
  };
  const auto first = send();
  REQUIRE(first);
  node.clock.wall += 5'000;
  const auto second = send();
  REQUIRE(second);
  CHECK(second->duplicate);
  CHECK(second->timestamp == first->timestamp);
}
