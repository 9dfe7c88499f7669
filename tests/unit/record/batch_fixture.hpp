#pragma once

#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "core/record/batch_validator.hpp"

/// What the tests of core/record share: batches that break one rule at a time, and random records.
namespace troupe::record::test {

inline constexpr CompressionCodec all_codecs[] = {CompressionCodec::none, CompressionCodec::gzip, CompressionCodec::snappy,
                                                  CompressionCodec::lz4, CompressionCodec::zstd};

/// Where the header's fields lie, for `patch`.
namespace at {
inline constexpr std::size_t base_offset = 0, batch_length = 8, leader_epoch = 12, magic = 16, crc = 17, attributes = 21,
                             last_offset_delta = 23, base_timestamp = 27, max_timestamp = 35, producer_id = 43,
                             producer_epoch = 51, base_sequence = 53, records_count = 57;
}

inline constexpr TimestampMs t0{1'700'000'000'000};

/// TROUPE_SEED when set, so that a failure can be repeated.
inline std::uint64_t seed_or(std::uint64_t seed) {
  const char* given = std::getenv("TROUPE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : seed;
}

inline ByteBuffer from_hex(std::string_view digits) {
  ByteBuffer bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

inline ByteBuffer copy_of(ByteView view) { return {view.begin(), view.end()}; }

/// Makes length and checksum right again after a change.
inline ByteBuffer sealed(ByteBuffer batch) {
  store_big_endian(batch.data() + at::batch_length, static_cast<std::int32_t>(batch.size() - batch_length_overhead));
  store_big_endian(batch.data() + at::crc, crc32c(ByteView{batch}.subspan(batch_crc_start)));
  return batch;
}

/// `batch` with one field changed and the checksum mended.
template <class Int>
ByteBuffer patched(ByteBuffer batch, std::size_t field, Int value) {
  store_big_endian(batch.data() + field, value);
  return sealed(std::move(batch));
}

/// `batch` with another records block.
inline ByteBuffer with_block(ByteBuffer batch, ByteView block) {
  batch.resize(batch_header_bytes);
  append_bytes(batch, block);
  return sealed(std::move(batch));
}

/// A batch of `count` small records, of time t0, t0 + 1, ...
inline ByteBuffer small_batch(std::int32_t count = 3, BatchBuilderOptions options = {}) {
  RecordBatchBuilder builder(options);
  for (std::int32_t i = 0; i < count; ++i) {
    const auto key = "key" + std::to_string(i);
    const RecordHeader header{as_bytes("trace"), as_bytes("on")};
    builder.add({.timestamp = t0 + i, .key = as_bytes(key), .value = as_bytes("value"), .headers = {&header, 1}});
  }
  return builder.build().value();
}

/// One record's bytes with each field as given, right or wrong.
struct RawRecord {
  std::optional<std::int32_t> length = {};  ///< the true one when not given
  std::int64_t timestamp_delta = 0;
  std::int32_t offset_delta = 0;
  std::int32_t key_length = -1;
  std::string key = {};
  std::int32_t value_length = -1;
  std::string value = {};
  std::int32_t headers_count = 0;
  ByteBuffer headers = {};

  ByteBuffer encode() const {
    ByteBuffer body;
    ByteWriter writer(body);
    writer.integer(std::int8_t{0});
    writer.varlong(timestamp_delta);
    writer.varint(offset_delta);
    writer.varint(key_length);
    writer.bytes(as_bytes(key));
    writer.varint(value_length);
    writer.bytes(as_bytes(value));
    writer.varint(headers_count);
    writer.bytes(headers);
    ByteBuffer record;
    ByteWriter(record).varint(length.value_or(static_cast<std::int32_t>(body.size())));
    append_bytes(record, body);
    return record;
  }
};

/// A sound batch around raw records. Its last offset delta is `count` - 1, its max timestamp t0.
inline ByteBuffer raw_batch(const std::vector<ByteBuffer>& records) {
  ByteBuffer block;
  for (const auto& record : records) append_bytes(block, record);
  const auto count = static_cast<std::int32_t>(records.size());
  auto batch = with_block(small_batch(1), block);
  batch = patched(std::move(batch), at::records_count, count);
  return patched(std::move(batch), at::last_offset_delta, count - 1);
}

/// A record that owns what it holds, to compare with what was read.
struct OwnedRecord {
  std::int64_t offset = 0;
  std::int64_t timestamp = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;

  friend bool operator==(const OwnedRecord&, const OwnedRecord&) = default;
};

inline std::optional<std::string> owned(const std::optional<ByteView>& bytes) {
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

inline std::optional<ByteView> view_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return as_bytes(*text);
}

/// All records of a batch. Stops the test when they cannot be read.
inline std::vector<OwnedRecord> read_all(const RecordBatchView& batch, const InflateLimits& limits = {}) {
  const auto block = open_records(batch, limits).value();
  std::vector<OwnedRecord> records;
  RecordReader reader(batch.header, block.bytes);
  while (const auto record = reader.next()) {
    OwnedRecord copy{record->offset.value(), record->timestamp.value(), owned(record->key), owned(record->value), {}};
    const auto headers = decode_headers(*record).value();
    for (const auto& header : headers) copy.headers.emplace_back(as_text(header.key), owned(header.value));
    records.push_back(std::move(copy));
  }
  const auto status = reader.finish();
  TROUPE_ASSERT(status.has_value());
  return records;
}

inline void add_to(RecordBatchBuilder& builder, const OwnedRecord& record) {
  std::vector<RecordHeader> headers;
  for (const auto& [key, value] : record.headers) headers.push_back({as_bytes(key), view_of(value)});
  builder.add_at(Offset{record.offset}, {.timestamp = TimestampMs{record.timestamp},
                                         .key = view_of(record.key),
                                         .value = view_of(record.value),
                                         .headers = headers});
}

/// Text of up to `size_max` bytes, of few letters (so that codecs have something to do) or of any bytes.
inline std::string random_text(Prng& prng, std::size_t size_max) {
  std::string text(prng.below(size_max + 1), '\0');
  const auto letters = prng.chance(1, 2) ? 4U : 256U;
  for (auto& letter : text) letter = static_cast<char>(prng.below(letters));
  return text;
}

inline std::optional<std::string> random_nullable(Prng& prng, std::size_t size_max) {
  if (prng.chance(1, 4)) return std::nullopt;
  return random_text(prng, size_max);
}

/// Records at ascending offsets from `base_offset`, with holes when asked for.
inline std::vector<OwnedRecord> random_records(Prng& prng, std::int64_t base_offset, bool holes) {
  std::vector<OwnedRecord> records(1 + prng.below(40));
  auto offset = base_offset;
  for (auto& record : records) {
    if (holes) offset += static_cast<std::int64_t>(prng.below(1U << prng.below(20)));
    record.offset = offset++;
    record.timestamp =
        prng.chance(1, 20) ? static_cast<std::int64_t>(prng.next()) : t0.value() + prng.between(-100'000, 100'000);
    record.key = random_nullable(prng, 30);
    record.value = random_nullable(prng, prng.chance(1, 10) ? 20'000 : 200);
    record.headers.resize(prng.chance(1, 2) ? 0 : prng.below(5));
    for (auto& header : record.headers) header = {random_text(prng, 10), random_nullable(prng, 40)};
  }
  return records;
}

/// Pseudo-random bytes that no codec can shrink.
inline ByteBuffer noise(std::size_t size, std::uint64_t seed = 1) {
  Prng prng(seed);
  ByteBuffer bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(prng.next());
  return bytes;
}

inline ByteBuffer zeros(std::size_t size) {
  ByteBuffer bytes(size);
  if (size != 0) std::memset(bytes.data(), 0, size);
  return bytes;
}

}  // namespace troupe::record::test
