#include "core/record/batch_compaction.hpp"

#include <set>

#include "core/record/batch_builder.hpp"
#include "core/record/batch_validator.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::record;

namespace {

constexpr TimestampMs t0{1'700'000'000'000};

struct KeyValue {
  std::string key;
  std::optional<std::string> value;
};

ByteBuffer batch_of(const std::vector<KeyValue>& records, BatchBuilderOptions options = {}) {
  RecordBatchBuilder builder(options);
  const RecordHeader header{as_bytes("trace"), as_bytes("7")};
  TimestampMs time = t0;
  for (const auto& [key, value] : records) {
    NewRecord record{.timestamp = time, .key = as_bytes(key)};
    if (value) record.value = as_bytes(*value);
    record.headers = {&header, 1};
    builder.add(record);
    time = time + Millis{10};
  }
  return builder.build().value();
}

/// "offset@time key=value" of each record; fails the test on what no replica would take.
std::vector<std::string> text_of(ByteView bytes) {
  const auto batch = validate_batch(bytes, {}, BatchOrigin::replica);
  if (!batch) FAIL(to_string(batch.error()));
  const auto block = open_records(*batch, {});
  REQUIRE(block);
  std::vector<std::string> texts;
  RecordReader reader(batch->header, block->bytes);
  while (const auto record = reader.next()) {
    texts.push_back(to_string(record->offset) + "@" + std::to_string(record->timestamp - t0) + " " +
                    std::string(as_text(*record->key)) + (record->value ? "=" + std::string(as_text(*record->value)) : ""));
    CHECK(record->headers_count == 1);
  }
  REQUIRE(reader.finish());
  return texts;
}

CompactionRules keeping(std::set<std::int64_t> offsets) {
  return {.needed = [offsets = std::move(offsets)](const RecordView& record) {
    return offsets.contains(record.offset.value());
  }};
}

CompactedBatch compacted(ByteView bytes, const CompactionRules& rules) {
  auto result = compact_batch(*parse_batch(bytes), rules);
  if (!result) FAIL(to_string(result.error()));
  return std::move(*result);
}

constexpr auto same = CompactedBatch::Kind::same;
constexpr auto rewritten = CompactedBatch::Kind::rewritten;
constexpr auto emptied = CompactedBatch::Kind::emptied;

}  // namespace

TEST_CASE("compaction takes records out of a batch, and the batch keeps its place, its producer and its time",
          "[compaction]") {
  for (const auto codec : {CompressionCodec::none, CompressionCodec::gzip, CompressionCodec::snappy, CompressionCodec::lz4,
                           CompressionCodec::zstd}) {
    INFO(to_string(codec));
    const auto bytes = batch_of({{"a", "1"}, {"b", "2"}, {"a", "3"}, {"c", "4"}}, {.codec = codec,
                                                                                   .base_offset = Offset{100},
                                                                                   .leader_epoch = LeaderEpoch{3},
                                                                                   .producer_id = ProducerId{7},
                                                                                   .producer_epoch = ProducerEpoch{1},
                                                                                   .base_sequence = SequenceNumber{40}});
    const auto result = compacted(bytes, keeping({101, 102}));
    REQUIRE(result.kind == rewritten);
    CHECK(text_of(result.bytes) == std::vector<std::string>{"101@10 b=2", "102@20 a=3"});
    auto before = *parse_batch_header(bytes);
    const auto after = *parse_batch_header(result.bytes);
    CHECK(after.records_count == 2);
    CHECK(after.base_offset == before.base_offset);
    CHECK(after.last_offset() == before.last_offset());
    CHECK(after.leader_epoch == before.leader_epoch);
    CHECK(after.producer_id == before.producer_id);
    CHECK(after.producer_epoch == before.producer_epoch);
    CHECK(after.last_sequence() == before.last_sequence());
    CHECK(after.max_timestamp == before.max_timestamp);
    CHECK(after.attributes == before.attributes);
    CHECK(may_be_compacted_form(after, before));
    CHECK_FALSE(may_be_compacted_form(before, after));
  }
}

TEST_CASE("a batch of which all is needed stays as it is, one of which nothing is needed is emptied", "[compaction]") {
  const auto bytes = batch_of({{"a", "1"}, {"b", "2"}});
  CHECK(compacted(bytes, keeping({0, 1})).kind == same);
  CHECK(compacted(bytes, keeping({})).kind == emptied);
  const auto empty = empty_batch(*parse_batch(bytes));
  CHECK(text_of(empty).empty());
  CHECK(parse_batch_header(empty)->next_offset() == Offset{2});
  CHECK(compacted(empty, keeping({0, 1})).kind == emptied);
}

TEST_CASE("control batches and batches of transactions stay as they are", "[compaction]") {
  const auto in_transaction = batch_of({{"a", "1"}}, {.producer_id = ProducerId{7},
                                                      .producer_epoch = ProducerEpoch{0},
                                                      .base_sequence = SequenceNumber{0},
                                                      .transactional = true});
  CHECK(compacted(in_transaction, keeping({})).kind == same);
  const auto marker =
      build_transaction_marker(ControlRecordType::commit, Offset{0}, LeaderEpoch{0}, ProducerId{7}, ProducerEpoch{0}, 1, t0);
  CHECK(compacted(marker, keeping({})).kind == same);
}

TEST_CASE("a tombstone gets a delete horizon when it is first met, and goes behind it", "[compaction]") {
  for (const auto codec : {CompressionCodec::none, CompressionCodec::zstd}) {
    const auto bytes = batch_of({{"a", "1"}, {"b", std::nullopt}, {"c", "3"}}, {.codec = codec});
    auto rules = keeping({1, 2});
    rules.delete_retention_ms = 5'000;
    rules.now = t0 + Millis{1'000};
    const auto first = compacted(bytes, rules);
    REQUIRE(first.kind == rewritten);
    const auto header = *parse_batch_header(first.bytes);
    CHECK(header.has_delete_horizon());
    CHECK(header.base_timestamp == t0 + Millis{6'000});
    CHECK(text_of(first.bytes) == std::vector<std::string>{"1@10 b", "2@20 c=3"});  // times are as before

    rules.now = t0 + Millis{6'000};
    CHECK(compacted(first.bytes, rules).kind == same);
    rules.now = t0 + Millis{6'001};
    const auto last = compacted(first.bytes, rules);
    REQUIRE(last.kind == rewritten);
    CHECK(text_of(last.bytes) == std::vector<std::string>{"2@20 c=3"});
    CHECK(compacted(last.bytes, rules).kind == same);
  }
}

TEST_CASE("without a clock to trust tombstones stay, and get no horizon", "[compaction]") {
  const auto bytes = batch_of({{"b", std::nullopt}});
  CHECK(compacted(bytes, keeping({0})).kind == same);
  auto rules = keeping({0});
  rules.now = t0;
  const auto with_horizon = compacted(bytes, rules);
  REQUIRE(with_horizon.kind == rewritten);
  CHECK(compacted(with_horizon.bytes, keeping({0})).kind == same);
  CHECK(compacted(with_horizon.bytes, keeping({})).kind == emptied);  // superseded
}

TEST_CASE("a horizon beyond the end of time is the end of time", "[compaction]") {
  auto rules = keeping({0});
  rules.now = t0;
  rules.delete_retention_ms = std::numeric_limits<Millis>::max();
  const auto result = compacted(batch_of({{"b", std::nullopt}}), rules);
  REQUIRE(result.kind == rewritten);
  CHECK(parse_batch_header(result.bytes)->base_timestamp == TimestampMs::max());
  CHECK(text_of(result.bytes) == std::vector<std::string>{"0@0 b"});
}

TEST_CASE("with log append time a rewritten batch keeps the broker's time", "[compaction]") {
  auto bytes = batch_of({{"a", "1"}, {"b", std::nullopt}});
  stamp_log_append_time(bytes, t0 + Millis{77});
  auto rules = keeping({1});
  rules.now = t0;
  const auto result = compacted(bytes, rules);
  REQUIRE(result.kind == rewritten);
  CHECK(text_of(result.bytes) == std::vector<std::string>{"1@77 b"});
}

TEST_CASE("a gap is a batch that replicas take, without records", "[compaction]") {
  const auto bytes = build_gap(Offset{10}, Offset{29}, LeaderEpoch{2}, t0);
  CHECK(text_of(bytes).empty());
  const auto gap = *parse_batch_header(bytes);
  CHECK(gap.base_offset == Offset{10});
  CHECK(gap.next_offset() == Offset{30});
  CHECK(gap.max_timestamp == t0);
  CHECK(is_gap(gap));

  const auto batch = [](std::int64_t base, std::int32_t epoch) {
    return *parse_batch_header(
        batch_of({{"a", "1"}, {"b", "2"}}, {.base_offset = Offset{base}, .leader_epoch = LeaderEpoch{epoch}}));
  };
  CHECK_FALSE(is_gap(batch(10, 2)));
  CHECK(may_be_compacted_form(gap, batch(10, 2)));
  CHECK(may_be_compacted_form(gap, batch(28, 2)));
  CHECK_FALSE(may_be_compacted_form(gap, batch(9, 2)));
  CHECK_FALSE(may_be_compacted_form(gap, batch(29, 2)));
  CHECK_FALSE(may_be_compacted_form(gap, batch(12, 1)));
}

TEST_CASE("records that cannot be read are an error, not a loss", "[compaction]") {
  auto bytes = batch_of({{"a", "1"}, {"b", "2"}});
  bytes[batch_header_bytes + 1 + 3] = std::byte{0x7f};  // a key length of the first record that no record has
  const auto result = compact_batch(*parse_batch(bytes), keeping({1}));
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::corrupt_message);
}
