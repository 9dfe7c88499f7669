#include "core/record/batch_validator.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/crc32c.hpp"
#include "core/record/record_walk.hpp"

namespace troupe::record {
namespace {

constexpr std::uint16_t known_attributes = 0x7f;

Error refused(Errc code, std::string_view field, const std::string& got, const std::string& wanted) {
  return {code, "batch: " + std::string(field) + ": got " + got + ", wanted " + wanted};
}

Error refused(std::string_view field, std::int64_t got, const std::string& wanted) {
  return refused(Errc::invalid_record, field, std::to_string(got), wanted);
}

std::string hex(std::uint32_t value) {
  std::array<std::byte, 4> bytes{};
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(value >> (24 - 8 * i));
  return to_hex(bytes);
}

Status check_attributes(const RecordBatchHeader& header, BatchOrigin origin) {
  if ((header.attributes & ~known_attributes) != 0) {
    return refused(Errc::invalid_record, "attributes", hex(header.attributes), "bits 7 to 15 clear");
  }
  if (header.codec_bits() > static_cast<unsigned>(CompressionCodec::zstd)) {
    return refused(Errc::unsupported_compression_type, "codec", std::to_string(header.codec_bits()), "0 to 4");
  }
  if (origin == BatchOrigin::replica) return ok();
  const auto brokers_own = [](const char* field) {
    return refused(Errc::invalid_record, field, "set", "clear: only a broker sets it");
  };
  if (header.is_control()) return brokers_own("control bit");
  if (header.has_delete_horizon()) return brokers_own("delete horizon bit");
  if (header.timestamp_type() == TimestampType::log_append_time) return brokers_own("log append time bit");
  return ok();
}

Status check_producer(const RecordBatchHeader& header) {
  const auto id = header.producer_id;
  const auto epoch = header.producer_epoch;
  const auto sequence = header.base_sequence;
  if (!header.has_producer()) {
    if (epoch != no_producer_epoch) return refused("producer epoch", epoch.value(), "-1 without a producer id");
    if (sequence != no_sequence_number) return refused("base sequence", sequence.value(), "-1 without a producer id");
    if (header.is_transactional()) return refused("producer id", id.value(), "0 or more in a transaction");
    return ok();
  }
  if (id < ProducerId{0}) return refused("producer id", id.value(), "-1 or more");
  if (epoch < ProducerEpoch{0}) return refused("producer epoch", epoch.value(), "0 or more with a producer id");
  if (header.is_control() && sequence != no_sequence_number) {
    return refused("base sequence", sequence.value(), "-1 in a control batch");
  }
  if (!header.is_control() && sequence.value() < 0)
    return refused("base sequence", sequence.value(), "0 or more with a producer id");
  return ok();
}

Status check_counts(const RecordBatchHeader& header, BatchOrigin origin) {
  const auto offsets = std::int64_t{header.last_offset_delta} + 1;
  if (origin == BatchOrigin::client && header.records_count != offsets) {
    return refused("records count", header.records_count, std::to_string(offsets) + ", one for each offset");
  }
  if (header.records_count > offsets) {
    return refused("records count", header.records_count, "at most " + std::to_string(offsets) + ", one for each offset");
  }
  return ok();
}

/// One pass over the records, without allocating.
Status check_records(const RecordBatchHeader& header, ByteView block, const BatchLimits& limits, BatchOrigin origin) {
  const auto* at = block.data();
  const auto* const end = at + block.size();
  auto max_timestamp = TimestampMs::min();
  std::int64_t offset_delta_min = 0;
  for (std::int32_t index = 0; index < header.records_count; ++index) {
    const auto wrong = [index](Errc code, const char* field, std::int64_t got, const std::string& wanted) {
      return refused(code, "record " + std::to_string(index) + ": " + field, std::to_string(got), wanted);
    };
    WalkedRecord record;
    if (const auto* reason = walk_record(at, end, header.last_offset_delta, record)) [[unlikely]] {
      return Error{Errc::corrupt_message,
                   "record " + std::to_string(index) + " of " + std::to_string(header.records_count) + ": " + reason};
    }
    if (origin == BatchOrigin::client && record.offset_delta != index) [[unlikely]] {
      return wrong(Errc::invalid_record, "offset delta", record.offset_delta, std::to_string(index));
    }
    if (record.offset_delta < offset_delta_min) [[unlikely]] {
      return wrong(Errc::invalid_record, "offset delta", record.offset_delta,
                   "above " + std::to_string(offset_delta_min - 1));
    }
    if (record.headers_count > limits.headers_max) [[unlikely]] {
      return wrong(Errc::message_too_large, "headers", record.headers_count,
                   "at most " + std::to_string(limits.headers_max));
    }
    if (record.payload_bytes() > limits.record_bytes_max) [[unlikely]] {
      return wrong(Errc::message_too_large, "bytes", static_cast<std::int64_t>(record.payload_bytes()),
                   "at most " + std::to_string(limits.record_bytes_max));
    }
    offset_delta_min = std::int64_t{record.offset_delta} + 1;
    max_timestamp = std::max(max_timestamp, record_timestamp(header, record.timestamp_delta));
  }
  if (at != end) {
    return Error{Errc::corrupt_message,
                 std::to_string(end - at) + " bytes left over after " + std::to_string(header.records_count) + " records"};
  }
  // With log append time every record has the batch's timestamp; a batch that compaction took records from keeps what it had.
  const bool compacted = header.records_count <= header.last_offset_delta && max_timestamp < header.max_timestamp;
  if (header.records_count > 0 && max_timestamp != header.max_timestamp && !compacted) {
    return refused("max timestamp", header.max_timestamp.value(), to_string(max_timestamp) + ", the records' maximum");
  }
  return ok();
}

}  // namespace

Result<RecordBatchView> validate_batch(ByteView bytes, const BatchLimits& limits, BatchOrigin origin) {
  TROUPE_TRY_ASSIGN(const auto batch, parse_batch(bytes));
  const auto& header = batch.header;
  if (batch.bytes.size() > limits.batch_bytes_max) {
    return refused(Errc::message_too_large, "bytes", std::to_string(batch.bytes.size()),
                   "at most " + std::to_string(limits.batch_bytes_max));
  }
  if (!crc_matches(batch)) {
    return refused(Errc::corrupt_message, "crc", hex(header.crc),
                   hex(crc32c(batch.bytes.subspan(batch_crc_start))) + ", its bytes' own");
  }
  TROUPE_TRY(check_attributes(header, origin));
  TROUPE_TRY(check_producer(header));
  TROUPE_TRY(check_counts(header, origin));
  TROUPE_TRY_ASSIGN(const auto records, open_records(batch, limits.inflate));
  TROUPE_TRY(check_records(header, records.bytes, limits, origin));
  return batch;
}

}  // namespace troupe::record
