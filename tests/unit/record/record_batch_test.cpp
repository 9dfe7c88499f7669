#include <limits>

#include "tests/support/catch.hpp"
#include "tests/unit/record/batch_fixture.hpp"

using namespace troupe;
using namespace troupe::record;
using namespace troupe::record::test;

namespace {

constexpr auto golden_record =
    "00000000000000000000003a0000000002e99b8dd80000000000000000018bcfe568000000018bcfe56800"
    "ffffffffffffffffffffffffffff0000000110000000026b027600";
constexpr auto golden_commit =
    "00000000000000070000004200000002026d218b700030000000000000018bcfe568000000018bcfe56800"
    "0000000000000fa00005ffffffff000000012000000008000000010c00000000000300";

std::string message_of(ByteView bytes) {
  const auto header = parse_batch_header(bytes);
  if (header) return "";
  CHECK(header.error().code == Errc::corrupt_message);
  return header.error().message;
}

}  // namespace

TEST_CASE("the builder writes the record batch of other implementations, byte for byte", "[record]") {
  RecordBatchBuilder builder({.leader_epoch = LeaderEpoch{0}});
  builder.add({.timestamp = t0, .key = as_bytes("k"), .value = as_bytes("v")});
  CHECK(to_hex(builder.build().value()) == golden_record);
}

TEST_CASE("a transaction marker is written as in other implementations, byte for byte", "[record]") {
  const auto marker = build_transaction_marker(ControlRecordType::commit, Offset{7}, LeaderEpoch{2}, ProducerId{4000},
                                               ProducerEpoch{5}, 3, t0);
  CHECK(to_hex(marker) == golden_commit);
  const auto abort = build_transaction_marker(ControlRecordType::abort, Offset{7}, LeaderEpoch{2}, ProducerId{4000},
                                              ProducerEpoch{5}, 3, t0);
  CHECK(read_all(parse_batch(abort).value())[0].key == std::string("\0\0\0\0", 4));
}

TEST_CASE("a record batch of another implementation is read field by field", "[record]") {
  const auto bytes = from_hex(golden_record);
  const auto batch = parse_batch(bytes).value();
  CHECK(crc_matches(batch));
  CHECK(batch.header.base_offset == Offset{0});
  CHECK(batch.header.batch_length == 58);
  CHECK(batch.header.size_bytes() == 70);
  CHECK(batch.header.leader_epoch == LeaderEpoch{0});
  CHECK(batch.header.crc == 0xe99b8dd8U);
  CHECK(batch.header.attributes == 0);
  CHECK(batch.header.base_timestamp == t0);
  CHECK(batch.header.max_timestamp == t0);
  CHECK(batch.header.producer_id == no_producer_id);
  CHECK(batch.header.producer_epoch == no_producer_epoch);
  CHECK(batch.header.base_sequence == no_sequence_number);
  CHECK(batch.header.records_count == 1);
  CHECK(read_all(batch) == std::vector<OwnedRecord>{{0, t0.value(), "k", "v", {}}});
}

TEST_CASE("a transaction marker of another implementation is read field by field", "[record]") {
  const auto bytes = from_hex(golden_commit);
  const auto batch = parse_batch(bytes).value();
  CHECK(crc_matches(batch));
  CHECK(batch.header.is_control());
  CHECK(batch.header.is_transactional());
  CHECK(batch.header.base_offset == Offset{7});
  CHECK(batch.header.next_offset() == Offset{8});
  CHECK(batch.header.leader_epoch == LeaderEpoch{2});
  CHECK(batch.header.producer_id == ProducerId{4000});
  CHECK(batch.header.producer_epoch == ProducerEpoch{5});
  CHECK(batch.header.base_sequence == no_sequence_number);
  const auto records = read_all(batch);
  REQUIRE(records.size() == 1);
  CHECK(records[0].key == std::string("\0\0\0\1", 4));
  CHECK(records[0].value == std::string("\0\0\0\0\0\3", 6));
}

TEST_CASE("each bit of the attributes has its meaning", "[record]") {
  RecordBatchHeader header;
  header.attributes = 0x0004;
  CHECK(header.codec() == CompressionCodec::zstd);
  header.attributes = 0x0008;
  CHECK(header.timestamp_type() == TimestampType::log_append_time);
  CHECK_FALSE(header.is_transactional());
  header.attributes = 0x0010;
  CHECK(header.is_transactional());
  CHECK_FALSE(header.is_control());
  header.attributes = 0x0020;
  CHECK(header.is_control());
  CHECK_FALSE(header.has_delete_horizon());
  header.attributes = 0x0040;
  CHECK(header.has_delete_horizon());
  CHECK(header.timestamp_type() == TimestampType::create_time);
}

TEST_CASE("a header is refused for what a reader could not step over, and only for that", "[record]") {
  const auto batch = small_batch();
  const auto with = [&](std::size_t field, auto value) {
    auto changed = batch;
    store_big_endian(changed.data() + field, value);
    return changed;
  };
  constexpr auto int32_max = std::numeric_limits<std::int32_t>::max();
  constexpr auto int64_max = std::numeric_limits<std::int64_t>::max();

  SECTION("size") {
    CHECK(message_of(ByteView{batch}.first(61)).empty());
    CHECK_THAT(message_of(ByteView{batch}.first(60)), Catch::Contains("got 60 bytes, wanted 61"));
    CHECK_THAT(message_of({}), Catch::Contains("got 0 bytes"));
  }
  SECTION("magic") {
    CHECK_THAT(message_of(with(at::magic, std::int8_t{1})), Catch::Contains("magic: got 1, wanted 2"));
    CHECK_THAT(message_of(with(at::magic, std::int8_t{3})), Catch::Contains("magic"));
    CHECK_THAT(message_of(with(at::magic, std::int8_t{-1})), Catch::Contains("magic"));
  }
  SECTION("batch length") {
    CHECK(message_of(with(at::batch_length, std::int32_t{49})).empty());
    CHECK(message_of(with(at::batch_length, int32_max)).empty());
    CHECK_THAT(message_of(with(at::batch_length, std::int32_t{48})), Catch::Contains("batch length: got 48"));
    CHECK_THAT(message_of(with(at::batch_length, std::int32_t{-1})), Catch::Contains("batch length: got -1"));
  }
  SECTION("last offset delta") {
    CHECK(message_of(with(at::last_offset_delta, std::int32_t{0})).empty());
    CHECK(message_of(with(at::last_offset_delta, int32_max)).empty());
    CHECK_THAT(message_of(with(at::last_offset_delta, std::int32_t{-1})), Catch::Contains("last offset delta: got -1"));
  }
  SECTION("records count") {
    CHECK(message_of(with(at::records_count, std::int32_t{0})).empty());
    CHECK(message_of(with(at::records_count, int32_max)).empty());
    CHECK_THAT(message_of(with(at::records_count, std::int32_t{-1})), Catch::Contains("records count: got -1"));
  }
  SECTION("base offset: the next offset has to exist") {
    CHECK(message_of(with(at::base_offset, int64_max - 3)).empty());  // last offset delta 2
    CHECK_THAT(message_of(with(at::base_offset, int64_max - 2)), Catch::Contains("base offset"));
    CHECK_THAT(message_of(with(at::base_offset, std::int64_t{-1})), Catch::Contains("base offset: got -1"));
  }
  SECTION("everything else is for the validator") {
    for (const auto field : {at::leader_epoch, at::crc, at::base_sequence}) {
      CHECK(message_of(with(field, std::int32_t{-2})).empty());
    }
    for (const auto field : {at::base_timestamp, at::max_timestamp, at::producer_id}) {
      CHECK(message_of(with(field, std::numeric_limits<std::int64_t>::min())).empty());
    }
    CHECK(message_of(with(at::attributes, std::uint16_t{0xffff})).empty());
    CHECK(message_of(with(at::producer_epoch, std::int16_t{-2})).empty());
  }
}

TEST_CASE("a batch is parsed from the front of longer bytes, and refused when it is cut short", "[record]") {
  auto bytes = small_batch(2);
  const auto size = bytes.size();
  append_bytes(bytes, small_batch(1));
  const auto batch = parse_batch(bytes).value();
  CHECK(batch.bytes.size() == size);
  CHECK(batch.header.records_count == 2);

  const auto cut = parse_batch(ByteView{bytes}.first(size - 1));
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code == Errc::corrupt_message);
  CHECK_THAT(cut.error().message,
             Catch::Contains("got " + std::to_string(size - 1) + " bytes, wanted " + std::to_string(size)));
}

TEST_CASE("a batch gets its place without a new checksum", "[record]") {
  auto bytes = small_batch();
  stamp_batch(bytes, Offset{4711}, LeaderEpoch{9});
  const auto batch = validate_batch(bytes, {}, BatchOrigin::replica).value();
  CHECK(batch.header.base_offset == Offset{4711});
  CHECK(batch.header.last_offset() == Offset{4713});
  CHECK(batch.header.leader_epoch == LeaderEpoch{9});
  CHECK(read_all(batch)[1].offset == 4712);
}

TEST_CASE("log append time replaces the time of every record and leaves the batch sound", "[record]") {
  for (const auto codec : all_codecs) {
    auto bytes = small_batch(3, {.codec = codec});
    const auto size = bytes.size();
    append_bytes(bytes, as_bytes("the next batch"));
    stamp_log_append_time(bytes, TimestampMs{42});
    const auto validated = validate_batch(bytes, {}, BatchOrigin::replica);
    if (!validated) FAIL(to_string(validated.error()));
    const auto& batch = *validated;
    CHECK(batch.bytes.size() == size);
    CHECK(batch.header.codec() == codec);
    CHECK(batch.header.timestamp_type() == TimestampType::log_append_time);
    CHECK(batch.header.max_timestamp == TimestampMs{42});
    CHECK(batch.header.base_timestamp == t0);
    for (const auto& record : read_all(batch)) CHECK(record.timestamp == 42);
  }
}

TEST_CASE("a reader stops at the first malformed record and says which and why", "[record]") {
  const auto good = RawRecord{.value_length = 1, .value = "v"}.encode();
  const auto finish = [&](const ByteBuffer& second) {
    const auto bytes = raw_batch({good, second});
    const auto batch = parse_batch(bytes).value();
    RecordReader reader(batch.header, batch.records_block());
    CHECK(reader.next().has_value());
    CHECK_FALSE(reader.next().has_value());
    CHECK_FALSE(reader.next().has_value());
    const auto status = reader.finish();
    REQUIRE_FALSE(status);
    CHECK(status.error().code == Errc::corrupt_message);
    CHECK_THAT(status.error().message, Catch::StartsWith("record 1 of 2: "));
    return status.error().message;
  };
  using Catch::Contains;
  CHECK_THAT(finish({}), Contains("the block ends before it"));
  CHECK_THAT(finish(from_hex("ffffffffffff")), Contains("malformed length"));
  CHECK_THAT(finish(from_hex("80")), Contains("malformed length"));
  CHECK_THAT(finish(RawRecord{.length = 0, .offset_delta = 1}.encode()), Contains("its length"));
  CHECK_THAT(finish(RawRecord{.length = -1, .offset_delta = 1}.encode()), Contains("its length"));
  CHECK_THAT(finish(RawRecord{.length = 100, .offset_delta = 1}.encode()), Contains("its length"));
  CHECK_THAT(finish(from_hex("0200")), Contains("malformed timestamp delta"));
  CHECK_THAT(finish(from_hex("040000")), Contains("malformed offset delta"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 2}.encode()), Contains("outside the batch"));
  CHECK_THAT(finish(RawRecord{.offset_delta = -1}.encode()), Contains("outside the batch"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .key_length = -2}.encode()), Contains("key length"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .key_length = 9, .key = "k"}.encode()), Contains("key length"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .value_length = -2}.encode()), Contains("value length"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .value_length = 9, .value = "v"}.encode()), Contains("value length"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .headers_count = -1}.encode()), Contains("headers count"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .headers_count = 1}.encode()), Contains("headers"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .headers_count = 0, .headers = from_hex("00")}.encode()),
             Contains("headers"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .headers_count = 1, .headers = from_hex("0101")}.encode()),
             Contains("headers"));
  CHECK_THAT(finish(RawRecord{.offset_delta = 1, .headers_count = 1, .headers = from_hex("0003")}.encode()),
             Contains("headers"));
}

TEST_CASE("a reader wants all records read and the block used up", "[record]") {
  auto bytes = small_batch(2);
  const auto batch = parse_batch(bytes).value();
  RecordReader unread(batch.header, batch.records_block());
  CHECK_FALSE(unread.finish());

  append_bytes(bytes, from_hex("0000"));
  bytes = sealed(std::move(bytes));
  const auto longer = parse_batch(bytes).value();
  RecordReader reader(longer.header, longer.records_block());
  while (reader.next()) {}
  const auto status = reader.finish();
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().message, Catch::Contains("2 bytes left over after 2 records"));
}

TEST_CASE("record headers keep order, empty keys, empty values and null values", "[record]") {
  const std::vector<RecordHeader> headers{
      {as_bytes("b"), as_bytes("1")}, {as_bytes(""), std::nullopt}, {as_bytes("b"), as_bytes("")}};
  RecordBatchBuilder builder;
  builder.add({.timestamp = t0, .headers = headers});
  const auto bytes = builder.build().value();
  const auto records = read_all(parse_batch(bytes).value());
  const decltype(OwnedRecord::headers) wanted{{"b", "1"}, {"", std::nullopt}, {"b", ""}};
  CHECK(records[0].headers == wanted);
}

TEST_CASE("record headers that do not add up are refused, however many they claim to be", "[record]") {
  const auto one = from_hex("026b0276");
  const auto decode = [](ByteView headers, std::int32_t count) {
    RecordView record;
    record.headers = headers;
    record.headers_count = count;
    return decode_headers(record);
  };
  CHECK(decode(one, 1).value().size() == 1);
  for (const auto count : {-1, 0, 2, std::numeric_limits<std::int32_t>::max()}) {
    const auto headers = decode(one, count);
    REQUIRE_FALSE(headers);
    CHECK(headers.error().code == Errc::corrupt_message);
  }
  CHECK_FALSE(decode(from_hex("0176"), 1));
  CHECK(skip_headers(from_hex("026b0276ff"), 1) == std::size_t{4});
  CHECK(skip_headers(one, 0) == std::size_t{0});
  CHECK_FALSE(skip_headers(one, -1).has_value());
  CHECK_FALSE(skip_headers(one, 2).has_value());
}

TEST_CASE("a batch that compaction emptied opens to no records, with any codec", "[record]") {
  for (const auto codec : all_codecs) {
    auto bytes = with_block(small_batch(3, {.codec = codec}), {});
    bytes = patched(std::move(bytes), at::records_count, std::int32_t{0});
    const auto batch = parse_batch(bytes).value();
    CHECK(read_all(batch).empty());
    CHECK(batch.header.next_offset() == Offset{3});
  }
}
