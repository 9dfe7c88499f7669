#include "core/record/batch_validator.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/crc32c.hpp"

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
  RecordReader reader(header, block);
  auto max_timestamp = TimestampMs::min();
  std::int64_t offset_delta_before = -1;
  std::int32_t index = 0;
  const auto wrong = [&index](Errc code, const char* field, std::int64_t got, const std::string& wanted) {
    return refused(code, "record " + std::to_string(index) + ": " + field, std::to_string(got), wanted);
  };
  while (const auto record = reader.next()) {
    const auto offset_delta = record->offset - header.base_offset;
    if (origin == BatchOrigin::client && offset_delta != index) {
      return wrong(Errc::invalid_record, "offset delta", offset_delta, std::to_string(index));
    }
    if (offset_delta <= offset_delta_before) {
      return wrong(Errc::invalid_record, "offset delta", offset_delta, "above " + std::to_string(offset_delta_before));
    }
    if (record->headers_count > limits.headers_max) {
      return wrong(Errc::message_too_large, "headers", record->headers_count,
                   "at most " + std::to_string(limits.headers_max));
    }
    const auto size =
        (record->key ? record->key->size() : 0) + (record->value ? record->value->size() : 0) + record->headers.size();
    if (size > limits.record_bytes_max) {
      return wrong(Errc::message_too_large, "bytes", static_cast<std::int64_t>(size),
                   "at most " + std::to_string(limits.record_bytes_max));
    }
    offset_delta_before = offset_delta;
    max_timestamp = std::max(max_timestamp, record->timestamp);
    ++index;
  }
  TROUPE_TRY(reader.finish());
  // With log append time every record has the batch's timestamp, and a batch without records keeps what it had.
  if (index > 0 && max_timestamp != header.max_timestamp) {
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
