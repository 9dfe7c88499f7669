#include <algorithm>

#include "core/record/compression.hpp"
#include "tests/actors/node_fixture.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr Millis retention_round_ms = 35'000;  // every partition comes up once in 30 s

/// What a topic's settings do, seen from outside: by what is answered, what is in the files, and what is synced.
struct SettingsFixture : NodeFixture {
  metadata::TopicPtr topic;
  TopicIdPartition id;

  void start_with(std::map<std::string, std::string> config) {
    start_node();
    topic = create_topic("t", 1, std::move(config));
    id = {topic->id, PartitionId{0}};
  }
  Result<ProducedRecord> write(const std::string& value, TimestampMs timestamp = no_timestamp) {
    ProduceRequest request{.topic = topic, .memory = Bytes::copy_of(as_bytes(value))};
    request.records.push_back({.value = request.memory.view(), .timestamp = timestamp});
    auto [answer, reply] = expect<ProduceResponse>();
    broker->produce(std::move(request), std::move(reply));
    scheduler.advance(50);
    return record_of(answer);
  }
  void write_many(int count, std::size_t size = 400) {
    for (int i = 0; i < count; ++i) REQUIRE(write(std::string(size, 'x')));
  }
  /// The partition's segments, as they are on disk, one behind the other.
  ByteBuffer stored() {
    ByteBuffer all;
    auto files = files_with(to_string(topic->id));
    std::erase_if(files, [](const std::string& file) { return !file.ends_with(".log"); });
    std::ranges::sort(files);
    for (const auto& path : files) {
      const auto bytes = disk.content(path);
      REQUIRE(bytes);
      append_bytes(all, *bytes);
    }
    return all;
  }
  std::size_t segments() {
    const auto files = files_with(to_string(topic->id));
    return static_cast<std::size_t>(
        std::ranges::count_if(files, [](const std::string& file) { return file.ends_with(".log"); }));
  }
  std::vector<record::RecordBatchView> batches_in(ByteView bytes) {
    std::vector<record::RecordBatchView> all;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto batch = record::parse_batch(bytes.subspan(at));
      REQUIRE(batch);
      all.push_back(*batch);
      at += batch->bytes.size();
    }
    return all;
  }
};

}  // namespace

TEST_CASE("a live topic takes over another retention, and what it lets go is gone for readers, too", "[actors][settings]") {
  SettingsFixture node;
  node.start_with({{"segment.bytes", "4096"}});
  node.write_many(60);
  node.scheduler.advance(retention_round_ms);
  CHECK(node.log_start(node.id) == Offset{0});
  const auto leader = node.leader_of(node.id);
  const auto segments = node.segments();
  REQUIRE(segments > 4);

  node.alter_topic({.name = "t", .config = {{"retention.records", "20"}}});
  node.scheduler.advance(retention_round_ms);
  const auto start = node.log_start(node.id);
  CHECK(start > Offset{20});
  CHECK(start <= Offset{40});
  CHECK(node.segments() < segments);
  CHECK(node.leader_of(node.id) == leader);  // without a restart

  const auto below = node.fetch({.partition = node.id, .from = start - 1});
  const auto at_start = node.fetch({.partition = node.id, .from = start});
  const auto by_time = node.find_offset(node.id, {.kind = OffsetSpec::Kind::timestamp, .timestamp = TimestampMs{0}});
  node.scheduler.advance(100);
  REQUIRE(below->has_value());
  REQUIRE_FALSE(**below);
  CHECK((**below).error().code == Errc::offset_out_of_range);
  REQUIRE(at_start->has_value());
  REQUIRE(**at_start);
  CHECK((**at_start)->log_start_offset == start);
  REQUIRE(by_time->has_value());
  REQUIRE(**by_time);
  CHECK((**by_time)->offset == start);

  // And back: nothing more goes.
  node.alter_topic({.name = "t", .config = {{"retention.records", std::nullopt}}});
  node.write_many(30);
  node.scheduler.advance(retention_round_ms);
  CHECK(node.log_start(node.id) == start);
}

TEST_CASE("a leader that comes back has the settings of now, not those of its topic's beginning", "[actors][settings]") {
  SettingsFixture node;
  node.start_with({{"segment.bytes", "4096"}});
  node.write_many(60);
  node.alter_topic({.name = "t", .config = {{"retention.records", "20"}, {"min.insync.replicas", "2"}}});
  node.kill_leader(node.id);
  node.scheduler.advance(1'000);
  const auto refused = node.write("x");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::not_enough_replicas);
  node.scheduler.advance(retention_round_ms);
  CHECK(node.log_start(node.id) > Offset{20});
}

TEST_CASE("a live topic takes over other bounds of its records and its replicas", "[actors][settings]") {
  SettingsFixture node;
  node.start_with({});
  const std::string large(5'000, 'x');
  REQUIRE(node.write(large));
  node.alter_topic({.name = "t", .config = {{"max.message.bytes", "4096"}}});
  const auto refused = node.write(large);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::message_too_large);
  REQUIRE(node.write("small"));
  node.alter_topic({.name = "t", .config = {{"max.message.bytes", "8192"}, {"min.insync.replicas", "2"}}});
  const auto too_few = node.write(large);
  REQUIRE_FALSE(too_few);
  CHECK(too_few.error().code == Errc::not_enough_replicas);
  node.alter_topic({.name = "t", .config = {{"min.insync.replicas", std::nullopt}}});
  CHECK(node.write(large)->offset == Offset{2});
}

TEST_CASE("records that are gathered into one batch stay below the topic's largest batch", "[actors][settings]") {
  SettingsFixture node;
  node.start_with({{"max.message.bytes", "4096"}});
  std::vector<NodeFixture::Answer<ProduceResponse>> answers;
  for (int i = 0; i < 20; ++i) answers.push_back(node.produce(node.topic, std::string(1'000, 'x')));
  node.scheduler.advance(500);
  for (const auto& answer : answers) CHECK(NodeFixture::record_of(answer));
  for (const auto& batch : node.batches_in(node.stored())) CHECK(batch.bytes.size() <= 4096);
}

TEST_CASE("a live topic takes over how durable an answer is", "[actors][settings]") {
  SettingsFixture node;
  node.start_with({});
  const auto syncs_of_a_write = [&] {
    const auto before = node.disk.operation_count(OperationKind::sync);
    ProduceRequest request{.topic = node.topic};
    request.records.push_back({.value = as_bytes("x")});
    auto [answer, reply] = NodeFixture::expect<ProduceResponse>();
    node.broker->produce(std::move(request), std::move(reply));
    node.scheduler.run();  // no time passes
    REQUIRE(NodeFixture::record_of(answer));
    return node.disk.operation_count(OperationKind::sync) - before;
  };
  (void)syncs_of_a_write();
  CHECK(syncs_of_a_write() > 0);
  node.alter_topic({.name = "t", .config = {{"flush", "interval"}, {"flush.ms", "5000"}}});
  node.scheduler.advance(6'000);
  CHECK(syncs_of_a_write() == 0);
  node.alter_topic({.name = "t", .config = {{"flush", "fsync"}}});
  (void)syncs_of_a_write();
  CHECK(syncs_of_a_write() > 0);
}

TEST_CASE("with compression.type batches are compressed where they are stored, and read as they were",
          "[actors][settings]") {
  const auto codec = GENERATE(as<std::string>{}, "gzip", "snappy", "lz4", "zstd");
  CAPTURE(codec);
  SettingsFixture node;
  node.start_with({});
  const std::string value(4'000, 'x');
  REQUIRE(node.write(value));
  node.alter_topic({.name = "t", .config = {{"compression.type", codec}}});
  REQUIRE(node.write(value));
  node.alter_topic({.name = "t", .config = {{"compression.type", "none"}}});
  REQUIRE(node.write(value));

  const auto bytes = node.stored();
  const auto batches = node.batches_in(bytes);
  REQUIRE(batches.size() == 3);
  CHECK(batches[0].bytes.size() > value.size());
  CHECK(batches[1].bytes.size() < 500);
  CHECK(batches[2].bytes.size() > value.size());
  CHECK(batches[0].header.codec() == record::CompressionCodec::none);
  CHECK(batches[1].header.codec() != record::CompressionCodec::none);
  CHECK(std::string(record::to_string(batches[1].header.codec())) == codec);
  const auto block = record::open_records(batches[1], {});
  REQUIRE(block);
  record::RecordReader reader(batches[1].header, block->bytes);
  CHECK(as_text(*reader.next()->value) == value);
}

TEST_CASE("with LogAppendTime a record has the broker's time, whatever its producer says", "[actors][settings]") {
  SettingsFixture node;
  node.start_with({{"message.timestamp.type", "LogAppendTime"}});
  const TimestampMs theirs{1'000'000};
  const auto ours = node.clock.wall_now();
  CHECK(node.write("x", theirs)->timestamp == ours);
  CHECK(node.write("x")->timestamp == ours);
  node.alter_topic({.name = "t", .config = {{"message.timestamp.type", "CreateTime"}}});
  CHECK(node.write("x", theirs)->timestamp == theirs);
  CHECK(node.write("x")->timestamp == ours);

  const auto bytes = node.stored();
  const auto batches = node.batches_in(bytes);
  REQUIRE(batches.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    const auto& header = batches[i].header;
    CHECK(header.timestamp_type() == (i < 2 ? record::TimestampType::log_append_time : record::TimestampType::create_time));
    record::RecordReader reader(header, batches[i].records_block());
    CHECK(reader.next()->timestamp == (i == 2 ? theirs : ours));
  }
}
