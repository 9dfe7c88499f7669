#include "core/record/batch_builder.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/varint.hpp"

namespace troupe::record {
namespace {

constexpr std::size_t batch_bytes_max = std::numeric_limits<std::int32_t>::max();

constexpr std::size_t batch_bytes_first = 1024;  // room for some records from the first one on

std::size_t nullable_size(const std::optional<ByteView>& bytes) noexcept {
  if (!bytes) return varlong_size(-1);
  return varlong_size(static_cast<std::int64_t>(bytes->size())) + bytes->size();
}

std::byte* write_nullable(std::byte* to, const std::optional<ByteView>& bytes) noexcept {
  if (!bytes) return write_varint(to, -1);
  to = write_varint(to, static_cast<std::int64_t>(bytes->size()));
  if (!bytes->empty()) std::memcpy(to, bytes->data(), bytes->size());
  return to + bytes->size();
}

/// The size of a record behind its length field.
std::size_t record_size(std::int64_t timestamp_delta, std::int64_t offset_delta, const NewRecord& record) noexcept {
  constexpr std::size_t attributes_bytes = 1;
  auto size = attributes_bytes + varlong_size(timestamp_delta) + varlong_size(offset_delta) + nullable_size(record.key) +
              nullable_size(record.value) + varlong_size(static_cast<std::int64_t>(record.headers.size()));
  for (const auto& header : record.headers) size += nullable_size(header.key) + nullable_size(header.value);
  return size;
}

std::uint16_t attributes_of(const BatchBuilderOptions& options) noexcept {
  const auto bit = [](bool set, unsigned at) { return set ? 1U << at : 0U; };
  return static_cast<std::uint16_t>(static_cast<unsigned>(options.codec) |
                                    static_cast<unsigned>(options.timestamp_type) << 3 | bit(options.transactional, 4) |
                                    bit(options.control, 5));
}

}  // namespace

RecordBatchBuilder::RecordBatchBuilder(BatchBuilderOptions options) : options_(options) {}

void RecordBatchBuilder::add(const NewRecord& record) { add_at(options_.base_offset + last_offset_delta_ + 1, record); }

void RecordBatchBuilder::add_at(Offset offset, const NewRecord& record) {
  const auto offset_delta = offset - options_.base_offset;
  TROUPE_ASSERT(offset_delta > last_offset_delta_ && offset_delta < std::numeric_limits<std::int32_t>::max());
  if (records_count_ == 0) base_timestamp_ = max_timestamp_ = record.timestamp;
  // Wraps around, and back again in the reader.
  const auto timestamp_delta = static_cast<std::int64_t>(static_cast<std::uint64_t>(record.timestamp.value()) -
                                                         static_cast<std::uint64_t>(base_timestamp_.value()));
  const auto size = record_size(timestamp_delta, offset_delta, record);
  TROUPE_ASSERT(size <= batch_bytes_max);

  const auto start = std::max(batch_.size(), batch_header_bytes);
  const auto end = start + varlong_size(static_cast<std::int64_t>(size)) + size;
  if (end > batch_.capacity()) grow_capacity(batch_, std::max({end, 2 * batch_.capacity(), batch_bytes_first}));
  batch_.resize(end);
  auto* to = batch_.data() + start;
  to = write_varint(to, static_cast<std::int64_t>(size));
  *to++ = std::byte{0};  // attributes
  to = write_varint(to, timestamp_delta);
  to = write_varint(to, offset_delta);
  to = write_nullable(to, record.key);
  to = write_nullable(to, record.value);
  to = write_varint(to, static_cast<std::int64_t>(record.headers.size()));
  for (const auto& header : record.headers) {
    to = write_nullable(to, header.key);
    to = write_nullable(to, header.value);
  }
  TROUPE_ASSERT(to == batch_.data() + batch_.size());

  ++records_count_;
  last_offset_delta_ = static_cast<std::int32_t>(offset_delta);
  max_timestamp_ = std::max(max_timestamp_, record.timestamp);
}

Result<ByteBuffer> RecordBatchBuilder::build() {
  // Whatever comes of it, the builder starts afresh.
  auto built = std::exchange(*this, RecordBatchBuilder{options_});
  if (built.records_count_ == 0) return Error{Errc::invalid_argument, "batch: records: got none, wanted at least one"};
  auto batch = std::move(built.batch_);
  if (options_.codec != CompressionCodec::none) {
    TROUPE_TRY_ASSIGN(const auto records, compress(options_.codec, ByteView{batch}.subspan(batch_header_bytes)));
    batch.resize(batch_header_bytes);
    append_bytes(batch, records);
  }
  if (batch.size() > batch_bytes_max) {
    return Error{Errc::invalid_argument, "batch: bytes: got " + std::to_string(batch.size()) + ", wanted at most " +
                                             std::to_string(batch_bytes_max)};
  }

  auto* to = batch.data();
  const auto put = [&to](auto value) {
    store_big_endian(to, value);
    to += sizeof value;
  };
  put(options_.base_offset.value());
  put(static_cast<std::int32_t>(batch.size() - batch_length_overhead));
  put(options_.leader_epoch.value());
  put(std::int8_t{2});    // magic
  put(std::uint32_t{0});  // the checksum, below
  put(attributes_of(options_));
  put(built.last_offset_delta_);
  put(built.base_timestamp_.value());
  put(built.max_timestamp_.value());
  put(options_.producer_id.value());
  put(options_.producer_epoch.value());
  put(options_.base_sequence.value());
  put(built.records_count_);
  TROUPE_ASSERT(to == batch.data() + batch_header_bytes);
  store_big_endian(batch.data() + batch_crc_start - sizeof(std::uint32_t), crc32c(ByteView{batch}.subspan(batch_crc_start)));
  return batch;
}

ByteBuffer build_transaction_marker(ControlRecordType type, Offset base_offset, LeaderEpoch leader_epoch,
                                    ProducerId producer_id, ProducerEpoch producer_epoch, std::int32_t coordinator_epoch,
                                    TimestampMs timestamp) {
  constexpr std::int16_t version = 0;
  std::array<std::byte, 4> key{};
  store_big_endian(key.data(), version);
  store_big_endian(key.data() + 2, static_cast<std::int16_t>(type));
  std::array<std::byte, 6> value{};
  store_big_endian(value.data(), version);
  store_big_endian(value.data() + 2, coordinator_epoch);

  RecordBatchBuilder builder({.base_offset = base_offset,
                              .leader_epoch = leader_epoch,
                              .producer_id = producer_id,
                              .producer_epoch = producer_epoch,
                              .transactional = true,
                              .control = true});
  builder.add({.timestamp = timestamp, .key = key, .value = value});
  return builder.build().value();
}

}  // namespace troupe::record
