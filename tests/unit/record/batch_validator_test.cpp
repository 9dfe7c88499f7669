#include <limits>

#include "tests/support/catch.hpp"
#include "tests/unit/record/batch_fixture.hpp"

using namespace troupe;
using namespace troupe::record;
using namespace troupe::record::test;

namespace {

constexpr auto client = BatchOrigin::client;
constexpr auto replica = BatchOrigin::replica;

/// "accepted", or the code and whether the message names `field`.
std::string verdict(ByteView bytes, BatchOrigin origin, std::string_view field = {}, const BatchLimits& limits = {}) {
  const auto batch = validate_batch(bytes, limits, origin);
  if (batch) return "accepted";
  INFO(batch.error().message);
  CHECK(batch.error().message.find(field) != std::string::npos);
  return std::string(to_string(batch.error().code));
}

BatchBuilderOptions with_producer() {
  return {.producer_id = ProducerId{1}, .producer_epoch = ProducerEpoch{0}, .base_sequence = SequenceNumber{0}};
}

ByteBuffer batch_with_holes() {
  RecordBatchBuilder builder;
  for (const auto offset : {2, 5, 6}) builder.add_at(Offset{offset}, {.timestamp = t0, .value = as_bytes("v")});
  return builder.build().value();
}

}  // namespace

TEST_CASE("a sound batch is accepted from clients and replicas, with every codec", "[record]") {
  for (const auto codec : all_codecs) {
    CAPTURE(to_string(codec));
    for (const auto origin : {client, replica}) {
      CHECK(verdict(small_batch(1, {.codec = codec}), origin) == "accepted");
      CHECK(verdict(small_batch(300, {.codec = codec}), origin) == "accepted");
    }
  }
}

TEST_CASE("every truncation of a batch is refused", "[record]") {
  for (const auto codec : all_codecs) {
    const auto bytes = small_batch(3, {.codec = codec});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CAPTURE(to_string(codec), size);
      CHECK(verdict(ByteView{bytes}.first(size), replica) == "corrupt_message");
    }
  }
}

TEST_CASE("every truncation of the records is refused even with a good checksum", "[record]") {
  for (const auto codec : all_codecs) {
    const auto bytes = small_batch(3, {.codec = codec});
    for (std::size_t size = batch_header_bytes; size < bytes.size(); ++size) {
      CAPTURE(to_string(codec), size);
      const auto cut = sealed(copy_of(ByteView{bytes}.first(size)));
      CHECK(verdict(cut, replica) == "corrupt_message");
    }
  }
}

TEST_CASE("a flipped bit is noticed wherever the checksum reaches, and in length and magic", "[record]") {
  for (const auto codec : all_codecs) {
    const auto bytes = small_batch(3, {.codec = codec});
    for (std::size_t bit = at::batch_length * 8; bit < bytes.size() * 8; ++bit) {
      const auto byte = bit / 8;
      if (byte >= at::leader_epoch && byte < at::magic) continue;
      auto flipped = bytes;
      flipped[byte] ^= static_cast<std::byte>(1U << (bit % 8));
      CAPTURE(to_string(codec), byte, bit % 8);
      CHECK(verdict(flipped, replica) == "corrupt_message");
    }
  }
}

TEST_CASE("base offset and leader epoch are the broker's: outside the checksum, any sound value is accepted", "[record]") {
  const auto bytes = small_batch();
  for (std::size_t bit = 0; bit < at::magic * 8; ++bit) {
    const auto byte = bit / 8;
    if (byte >= at::batch_length && byte < at::leader_epoch) continue;
    auto flipped = bytes;
    flipped[byte] ^= static_cast<std::byte>(1U << (bit % 8));
    CAPTURE(byte, bit % 8);
    const bool negative_base_offset = byte == 0 && bit % 8 == 7;
    CHECK(verdict(flipped, replica) == (negative_base_offset ? "corrupt_message" : "accepted"));
  }
}

TEST_CASE("a wrong checksum is named with what it is and should be", "[record]") {
  auto bytes = small_batch();
  const auto right = to_hex(ByteView{bytes}.subspan(at::crc, 4));
  store_big_endian(bytes.data() + at::crc, std::uint32_t{0xdeadbeef});
  CHECK(verdict(bytes, client, "crc: got deadbeef, wanted " + right) == "corrupt_message");
}

TEST_CASE("offsets that do not fit are refused", "[record]") {
  auto bytes = small_batch();
  store_big_endian(bytes.data() + at::base_offset, std::numeric_limits<std::int64_t>::max() - 2);
  CHECK(verdict(bytes, replica, "base offset") == "corrupt_message");
  store_big_endian(bytes.data() + at::base_offset, std::numeric_limits<std::int64_t>::max() - 3);
  CHECK(verdict(bytes, replica) == "accepted");
}

TEST_CASE("unused attribute bits have to be clear", "[record]") {
  for (unsigned bit = 7; bit < 16; ++bit) {
    CAPTURE(bit);
    const auto bytes = patched(small_batch(), at::attributes, static_cast<std::uint16_t>(1U << bit));
    CHECK(verdict(bytes, client, "attributes") == "invalid_record");
    CHECK(verdict(bytes, replica, "attributes") == "invalid_record");
  }
}

TEST_CASE("unknown codecs are refused as such", "[record]") {
  for (const auto codec : {5, 6, 7}) {
    const auto bytes = patched(small_batch(), at::attributes, static_cast<std::uint16_t>(codec));
    CHECK(verdict(bytes, client, "codec: got " + std::to_string(codec)) == "unsupported_compression_type");
    CHECK(verdict(bytes, replica, "codec") == "unsupported_compression_type");
  }
}

TEST_CASE("records compressed with another codec than the header says are refused", "[record]") {
  for (const auto truth : all_codecs) {
    for (const auto claim : all_codecs) {
      if (truth == claim) continue;
      CAPTURE(to_string(truth), to_string(claim));
      const auto bytes = patched(small_batch(3, {.codec = truth}), at::attributes, static_cast<std::uint16_t>(claim));
      CHECK(verdict(bytes, replica) == "corrupt_message");
    }
  }
}

TEST_CASE("control batches, delete horizons and log append time come from replicas only", "[record]") {
  const auto marker =
      build_transaction_marker(ControlRecordType::commit, Offset{0}, LeaderEpoch{0}, ProducerId{1}, ProducerEpoch{0}, 0, t0);
  CHECK(verdict(marker, client, "control bit") == "invalid_record");
  CHECK(verdict(marker, replica) == "accepted");

  const auto horizon = patched(small_batch(), at::attributes, std::uint16_t{0x40});
  CHECK(verdict(horizon, client, "delete horizon") == "invalid_record");
  CHECK(verdict(horizon, replica) == "accepted");

  auto stamped = small_batch();
  stamp_log_append_time(stamped, t0);
  CHECK(verdict(stamped, client, "log append time") == "invalid_record");
  CHECK(verdict(stamped, replica) == "accepted");
}

TEST_CASE("without a producer id the other producer fields are none", "[record]") {
  const auto batch = small_batch();
  CHECK(verdict(patched(batch, at::producer_epoch, std::int16_t{0}), client, "producer epoch") == "invalid_record");
  CHECK(verdict(patched(batch, at::base_sequence, std::int32_t{0}), client, "base sequence") == "invalid_record");
  CHECK(verdict(patched(batch, at::attributes, std::uint16_t{0x10}), client, "producer id") == "invalid_record");
  CHECK(verdict(patched(batch, at::producer_id, std::int64_t{-2}), client, "producer id") == "invalid_record");
}

TEST_CASE("with a producer id the other producer fields are set", "[record]") {
  const auto batch = small_batch(3, with_producer());
  CHECK(verdict(batch, client) == "accepted");
  CHECK(verdict(patched(batch, at::attributes, std::uint16_t{0x10}), client) == "accepted");
  CHECK(verdict(patched(batch, at::producer_id, std::int64_t{0}), client) == "accepted");
  CHECK(verdict(patched(batch, at::producer_epoch, std::int16_t{-1}), client, "producer epoch") == "invalid_record");
  CHECK(verdict(patched(batch, at::producer_epoch, std::int16_t{-2}), client, "producer epoch") == "invalid_record");
  CHECK(verdict(patched(batch, at::base_sequence, std::int32_t{-1}), client, "base sequence") == "invalid_record");
  CHECK(verdict(patched(batch, at::base_sequence, std::numeric_limits<std::int32_t>::max()), client) == "accepted");
}

TEST_CASE("a control batch has no sequence number", "[record]") {
  const auto marker =
      build_transaction_marker(ControlRecordType::abort, Offset{0}, LeaderEpoch{0}, ProducerId{1}, ProducerEpoch{0}, 0, t0);
  CHECK(verdict(patched(marker, at::base_sequence, std::int32_t{0}), replica, "base sequence") == "invalid_record");
}

TEST_CASE("a client's batch has one record for each offset", "[record]") {
  const auto batch = small_batch(3);
  CHECK(verdict(patched(batch, at::last_offset_delta, std::int32_t{3}), client, "records count: got 3") == "invalid_record");
  CHECK(verdict(patched(batch, at::last_offset_delta, std::int32_t{1}), client, "records count") == "invalid_record");
  CHECK(verdict(patched(batch, at::records_count, std::int32_t{2}), client, "records count: got 2, wanted 3") ==
        "invalid_record");
  CHECK(verdict(patched(batch, at::records_count, std::int32_t{0}), client, "records count") == "invalid_record");
}

TEST_CASE("a replica's batch may have lost records but not gained any", "[record]") {
  const auto batch = small_batch(3);
  CHECK(verdict(patched(batch, at::last_offset_delta, std::int32_t{300}), replica) == "accepted");
  CHECK(verdict(patched(batch, at::last_offset_delta, std::int32_t{1}), replica, "records count: got 3") ==
        "invalid_record");
  auto empty = patched(with_block(batch, {}), at::records_count, std::int32_t{0});
  CHECK(verdict(empty, replica) == "accepted");
  CHECK(verdict(empty, client, "records count") == "invalid_record");
}

TEST_CASE("the records count is that of the records", "[record]") {
  auto fewer = patched(small_batch(3), at::records_count, std::int32_t{2});
  CHECK(verdict(fewer, replica, "left over after 2 records") == "corrupt_message");
  auto more = patched(patched(small_batch(3), at::last_offset_delta, std::int32_t{3}), at::records_count, std::int32_t{4});
  CHECK(verdict(more, client, "record 3 of 4: the block ends before it") == "corrupt_message");
  constexpr auto int32_max = std::numeric_limits<std::int32_t>::max();
  auto most = patched(patched(small_batch(3), at::last_offset_delta, int32_max - 1), at::records_count, int32_max);
  CHECK(verdict(most, client, "record 3 of") == "corrupt_message");
}

TEST_CASE("a client's offsets have no holes, a replica's only ascend", "[record]") {
  CHECK(verdict(batch_with_holes(), replica) == "accepted");
  CHECK(verdict(batch_with_holes(), client, "records count") == "invalid_record");
  const auto of = [](std::int32_t first, std::int32_t second, std::int32_t third) {
    return raw_batch({RawRecord{.offset_delta = first}.encode(), RawRecord{.offset_delta = second}.encode(),
                      RawRecord{.offset_delta = third}.encode()});
  };
  CHECK(verdict(of(0, 1, 2), client) == "accepted");
  CHECK(verdict(of(1, 2, 2), client, "record 0: offset delta: got 1, wanted 0") == "invalid_record");
  CHECK(verdict(of(0, 2, 1), client, "record 1: offset delta: got 2, wanted 1") == "invalid_record");
  CHECK(verdict(of(0, 0, 1), replica, "record 1: offset delta: got 0, wanted above 0") == "invalid_record");
  CHECK(verdict(of(0, 2, 1), replica, "record 2: offset delta") == "invalid_record");
  CHECK(verdict(of(0, 1, 3), replica, "record 2 of 3: its offset delta lies outside the batch") == "corrupt_message");
  CHECK(verdict(of(0, -1, 2), replica, "record 1 of 3: its offset delta lies outside the batch") == "corrupt_message");
}

TEST_CASE("a malformed record is refused behind a good checksum, compressed or not", "[record]") {
  const auto block = RawRecord{.key_length = 5, .key = "k"}.encode();
  for (const auto codec : all_codecs) {
    CAPTURE(to_string(codec));
    auto bytes = with_block(small_batch(1), compress(codec, block).value());
    bytes = patched(std::move(bytes), at::attributes, static_cast<std::uint16_t>(codec));
    CHECK(verdict(bytes, client, "record 0 of 1: malformed key length") == "corrupt_message");
  }
}

TEST_CASE("the max timestamp is the greatest of the records", "[record]") {
  const auto batch = small_batch(3);
  CHECK(verdict(patched(batch, at::max_timestamp, t0.value() + 1), client, "max timestamp") == "invalid_record");
  CHECK(verdict(patched(batch, at::max_timestamp, t0.value() + 3), client, "max timestamp") == "invalid_record");
  CHECK(verdict(patched(batch, at::max_timestamp, t0.value() + 3), replica, "max timestamp") == "invalid_record");
  CHECK(verdict(patched(batch, at::base_timestamp, t0.value() + 1), client, "max timestamp") == "invalid_record");

  RecordBatchBuilder builder;
  builder.add({.value = as_bytes("no time at all")});
  CHECK(verdict(builder.build().value(), client) == "accepted");
}

TEST_CASE("a batch may be as large as the limit and no larger", "[record]") {
  const auto bytes = small_batch();
  BatchLimits limits;
  limits.batch_bytes_max = bytes.size();
  CHECK(verdict(bytes, client, {}, limits) == "accepted");
  limits.batch_bytes_max -= 1;
  CHECK(verdict(bytes, client, "bytes: got " + std::to_string(bytes.size()), limits) == "message_too_large");
}

TEST_CASE("a record may be as large as the limit and no larger: key, value and headers", "[record]") {
  RecordBatchBuilder builder;
  const RecordHeader header{as_bytes("h"), as_bytes("v")};
  builder.add({.timestamp = t0, .value = as_bytes("small")});
  builder.add({.timestamp = t0, .key = as_bytes("123"), .value = as_bytes("1234567890"), .headers = {&header, 1}});
  const auto bytes = builder.build().value();
  BatchLimits limits;
  limits.record_bytes_max = 3 + 10 + 4;
  CHECK(verdict(bytes, client, {}, limits) == "accepted");
  limits.record_bytes_max -= 1;
  CHECK(verdict(bytes, client, "record 1: bytes: got 17, wanted at most 16", limits) == "message_too_large");
  CHECK(verdict(bytes, replica, "record 1", limits) == "message_too_large");
}

TEST_CASE("a record may have as many headers as the limit and no more", "[record]") {
  const std::vector<RecordHeader> headers(5);
  RecordBatchBuilder builder;
  builder.add({.timestamp = t0, .headers = headers});
  const auto bytes = builder.build().value();
  BatchLimits limits;
  limits.headers_max = 5;
  CHECK(verdict(bytes, client, {}, limits) == "accepted");
  limits.headers_max = 4;
  CHECK(verdict(bytes, client, "record 0: headers: got 5, wanted at most 4", limits) == "message_too_large");
}

TEST_CASE("the limits hold for inflated records", "[record]") {
  const auto value = zeros(100'000);
  for (const auto codec : all_codecs) {
    if (codec == CompressionCodec::none) continue;
    CAPTURE(to_string(codec));
    RecordBatchBuilder builder({.codec = codec});
    builder.add({.timestamp = t0, .value = value});
    const auto bytes = builder.build().value();
    BatchLimits limits;
    CHECK(verdict(bytes, client, {}, limits) == "accepted");
    limits.inflate.bytes_max = 100'000;  // less than the record with its lengths
    CHECK(verdict(bytes, client, "records: " + std::string(to_string(codec)), limits) == "message_too_large");
  }
}
