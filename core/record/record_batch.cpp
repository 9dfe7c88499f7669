#include "core/record/record_batch.hpp"

#include <limits>
#include <string>

#include "base/assert.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"

namespace troupe::record {
namespace {

/// Where the fields lie. Part of the format: never change.
constexpr std::size_t base_offset_at = 0;
constexpr std::size_t batch_length_at = 8;
constexpr std::size_t leader_epoch_at = 12;
constexpr std::size_t magic_at = 16;
constexpr std::size_t crc_at = 17;
constexpr std::size_t attributes_at = 21;
constexpr std::size_t last_offset_delta_at = 23;
constexpr std::size_t base_timestamp_at = 27;
constexpr std::size_t max_timestamp_at = 35;
constexpr std::size_t producer_id_at = 43;
constexpr std::size_t producer_epoch_at = 51;
constexpr std::size_t base_sequence_at = 53;
constexpr std::size_t records_count_at = 57;

constexpr int magic = 2;
constexpr std::int32_t batch_length_min = batch_header_bytes - batch_length_overhead;
constexpr std::uint16_t log_append_time_bit = 0x08;

template <class Int>
Int load(ByteView bytes, std::size_t at) noexcept {
  return load_big_endian<Int>(bytes.data() + at);
}

/// Whether an Offset can hold the offset after the batch. Unsigned, so that negative fields are no overflow here.
bool has_next_offset(std::int64_t base_offset, std::int32_t last_offset_delta) noexcept {
  const auto last_offset = static_cast<std::uint64_t>(base_offset) + static_cast<std::uint32_t>(last_offset_delta);
  return last_offset < static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

/// Which of the checks failed. Kept out of the way of the scan that calls parse_batch_header for batch after batch.
[[gnu::cold, gnu::noinline]] Error malformed_header(int found_magic, const RecordBatchHeader& header) {
  const auto wrong = [](const char* field, std::int64_t got, const std::string& wanted) {
    return Error{Errc::corrupt_message,
                 std::string("batch header: ") + field + ": got " + std::to_string(got) + ", wanted " + wanted};
  };
  if (found_magic != magic) return wrong("magic", found_magic, "2");
  if (header.batch_length < batch_length_min) {
    return wrong("batch length", header.batch_length, std::to_string(batch_length_min) + " or more");
  }
  if (header.last_offset_delta < 0) return wrong("last offset delta", header.last_offset_delta, "0 or more");
  if (header.records_count < 0) return wrong("records count", header.records_count, "0 or more");
  return wrong("base offset", header.base_offset.value(),
               "0 or more, and room for " + std::to_string(header.last_offset_delta) + " offsets above it");
}

[[gnu::cold, gnu::noinline]] Error truncated(const char* what, std::size_t got, std::size_t wanted) {
  return {Errc::corrupt_message,
          std::string(what) + ": got " + std::to_string(got) + " bytes, wanted " + std::to_string(wanted)};
}

}  // namespace

Result<RecordBatchHeader> parse_batch_header(ByteView bytes) {
  if (bytes.size() < batch_header_bytes) [[unlikely]]
    return truncated("batch header", bytes.size(), batch_header_bytes);
  const RecordBatchHeader header{
      .base_offset = Offset{load<std::int64_t>(bytes, base_offset_at)},
      .batch_length = load<std::int32_t>(bytes, batch_length_at),
      .leader_epoch = LeaderEpoch{load<std::int32_t>(bytes, leader_epoch_at)},
      .crc = load<std::uint32_t>(bytes, crc_at),
      .attributes = load<std::uint16_t>(bytes, attributes_at),
      .last_offset_delta = load<std::int32_t>(bytes, last_offset_delta_at),
      .base_timestamp = TimestampMs{load<std::int64_t>(bytes, base_timestamp_at)},
      .max_timestamp = TimestampMs{load<std::int64_t>(bytes, max_timestamp_at)},
      .producer_id = ProducerId{load<std::int64_t>(bytes, producer_id_at)},
      .producer_epoch = ProducerEpoch{load<std::int16_t>(bytes, producer_epoch_at)},
      .base_sequence = SequenceNumber{load<std::int32_t>(bytes, base_sequence_at)},
      .records_count = load<std::int32_t>(bytes, records_count_at),
  };
  const auto found_magic = std::to_integer<int>(bytes[magic_at]);
  // One branch for all: a sign bit anywhere in these is wrong, and so is the rest.
  const auto signs = header.base_offset.value() | header.last_offset_delta | header.records_count;
  const bool well_formed = static_cast<int>(found_magic == magic) &
                           static_cast<int>(header.batch_length >= batch_length_min) & static_cast<int>(signs >= 0) &
                           static_cast<int>(has_next_offset(header.base_offset.value(), header.last_offset_delta));
  if (!well_formed) [[unlikely]]
    return malformed_header(found_magic, header);
  return header;
}

Result<RecordBatchView> parse_batch(ByteView bytes) {
  auto header = parse_batch_header(bytes);
  if (!header) return std::move(header).error();
  const auto size = header->size_bytes();
  if (bytes.size() < size) return truncated("batch", bytes.size(), size);
  return RecordBatchView{*header, bytes.first(size)};
}

bool crc_matches(const RecordBatchView& batch) noexcept {
  return crc32c(batch.bytes.subspan(batch_crc_start)) == batch.header.crc;
}

void stamp_batch(MutableByteView batch, Offset base_offset, LeaderEpoch leader_epoch) noexcept {
  TROUPE_ASSERT(batch.size() >= batch_header_bytes);
  TROUPE_ASSERT(base_offset >= Offset{0} &&
                has_next_offset(base_offset.value(), load<std::int32_t>(batch, last_offset_delta_at)));
  store_big_endian(batch.data() + base_offset_at, base_offset.value());
  store_big_endian(batch.data() + leader_epoch_at, leader_epoch.value());
}

void stamp_producer(MutableByteView batch, ProducerId id, ProducerEpoch epoch, SequenceNumber base_sequence) noexcept {
  TROUPE_ASSERT(batch.size() >= batch_header_bytes);
  const auto size = batch_length_overhead + static_cast<std::size_t>(load<std::int32_t>(batch, batch_length_at));
  TROUPE_ASSERT(size >= batch_header_bytes && size <= batch.size());
  store_big_endian(batch.data() + producer_id_at, id.value());
  store_big_endian(batch.data() + producer_id_at + 8, epoch.value());
  store_big_endian(batch.data() + producer_id_at + 10, base_sequence.value());
  store_big_endian(batch.data() + crc_at, crc32c(batch.subspan(batch_crc_start, size - batch_crc_start)));
}

void stamp_log_append_time(MutableByteView batch, TimestampMs now) noexcept {
  TROUPE_ASSERT(batch.size() >= batch_header_bytes);
  const auto size = batch_length_overhead + static_cast<std::size_t>(load<std::int32_t>(batch, batch_length_at));
  TROUPE_ASSERT(size >= batch_header_bytes && size <= batch.size());
  const auto attributes = static_cast<std::uint16_t>(load<std::uint16_t>(batch, attributes_at) | log_append_time_bit);
  store_big_endian(batch.data() + attributes_at, attributes);
  store_big_endian(batch.data() + max_timestamp_at, now.value());
  store_big_endian(batch.data() + crc_at, crc32c(batch.subspan(batch_crc_start, size - batch_crc_start)));
}

Result<RecordsBlock> open_records(const RecordBatchView& batch, const InflateLimits& limits) {
  const auto block = batch.records_block();
  // A batch that compaction emptied has nothing to inflate, whatever codec it had before.
  const bool emptied = batch.header.records_count == 0 && block.empty();
  if (batch.header.codec() == CompressionCodec::none || emptied) return RecordsBlock{{}, block};
  auto inflated = decompress(batch.header.codec(), block, limits);
  if (!inflated) return std::move(inflated).error().with_context("records");
  RecordsBlock records{std::move(*inflated), {}};
  records.bytes = records.inflated;
  return records;
}

}  // namespace troupe::record
