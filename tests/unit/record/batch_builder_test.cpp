#include <limits>

#include "tests/support/catch.hpp"
#include "tests/unit/record/batch_fixture.hpp"

using namespace troupe;
using namespace troupe::record;
using namespace troupe::record::test;

TEST_CASE("what was put in comes out of any batch: all codecs, keys, values, headers, times, holes", "[record]") {
  const auto seed = seed_or(20'231);
  CAPTURE(seed);
  Prng prng(seed);
  for (int round = 0; round < 200; ++round) {
    const bool holes = prng.chance(1, 2);
    const auto codec = all_codecs[prng.below(5)];
    const auto base_offset = prng.between(0, std::int64_t{1} << 40);
    CAPTURE(round, holes, to_string(codec), base_offset);
    const auto records = random_records(prng, base_offset, holes);
    RecordBatchBuilder builder({.codec = codec, .base_offset = Offset{base_offset}, .leader_epoch = LeaderEpoch{3}});
    for (const auto& record : records) add_to(builder, record);
    CHECK(builder.records_count() == static_cast<std::int32_t>(records.size()));
    const auto size_bytes = builder.size_bytes();

    auto bytes = builder.build().value();
    if (codec == CompressionCodec::none) CHECK(bytes.size() == size_bytes);
    append_bytes(bytes, as_bytes("what follows in the file"));
    const auto batch = validate_batch(bytes, {}, holes ? BatchOrigin::replica : BatchOrigin::client);
    if (!batch) FAIL(to_string(batch.error()));
    CHECK(batch->header.leader_epoch == LeaderEpoch{3});
    CHECK(batch->header.last_offset() == Offset{records.back().offset});
    CHECK(read_all(*batch) == records);
  }
}

TEST_CASE("the builder writes producer fields, transaction and log append time", "[record]") {
  const auto bytes = small_batch(2, {.codec = CompressionCodec::lz4,
                                     .timestamp_type = TimestampType::log_append_time,
                                     .base_offset = Offset{100},
                                     .producer_id = ProducerId{5},
                                     .producer_epoch = ProducerEpoch{6},
                                     .base_sequence = SequenceNumber{std::numeric_limits<std::int32_t>::max()},
                                     .transactional = true});
  const auto header = validate_batch(bytes, {}, BatchOrigin::replica).value().header;
  CHECK(header.attributes == 0x001b);
  CHECK(header.base_offset == Offset{100});
  CHECK(header.producer_id == ProducerId{5});
  CHECK(header.producer_epoch == ProducerEpoch{6});
  CHECK(header.last_sequence() == SequenceNumber{0});
  CHECK(header.max_timestamp == t0 + 1);
}

TEST_CASE("base timestamp is the first record's, max timestamp the greatest", "[record]") {
  RecordBatchBuilder builder;
  for (const auto timestamp : {t0, t0 + 50, t0 - 70}) builder.add({.timestamp = timestamp});
  const auto bytes = builder.build().value();
  const auto header = parse_batch_header(bytes).value();
  CHECK(header.base_timestamp == t0);
  CHECK(header.max_timestamp == t0 + 50);
}

TEST_CASE("a batch may begin above its base offset", "[record]") {
  RecordBatchBuilder builder({.base_offset = Offset{10}});
  builder.add_at(Offset{13}, {.timestamp = t0, .value = as_bytes("a")});
  builder.add({.timestamp = t0, .value = as_bytes("b")});
  const auto bytes = builder.build().value();
  const auto batch = validate_batch(bytes, {}, BatchOrigin::replica).value();
  CHECK(batch.header.base_offset == Offset{10});
  CHECK(batch.header.last_offset_delta == 4);
  CHECK(batch.header.records_count == 2);
  const auto records = read_all(batch);
  CHECK(records[0].offset == 13);
  CHECK(records[1].offset == 14);
}

TEST_CASE("a builder without records has no batch to give", "[record]") {
  RecordBatchBuilder builder;
  const auto batch = builder.build();
  REQUIRE_FALSE(batch);
  CHECK(batch.error().code == Errc::invalid_argument);
}

TEST_CASE("after a batch the builder starts the same batch anew", "[record]") {
  RecordBatchBuilder builder({.codec = CompressionCodec::snappy});
  const auto build = [&] {
    builder.add({.timestamp = t0, .key = as_bytes("k"), .value = as_bytes("v")});
    builder.add({.timestamp = t0 + 1, .value = as_bytes("w")});
    return to_hex(builder.build().value());
  };
  const auto first = build();
  CHECK(builder.records_count() == 0);
  CHECK(builder.size_bytes() == batch_header_bytes);
  CHECK(build() == first);
}
