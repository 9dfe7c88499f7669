#pragma once

#include <cstdint>
#include <cstdlib>

#include "core/record/record_batch.hpp"

namespace troupe::record {

/// The seed of a random test: TROUPE_SEED, or a fixed one.
inline std::uint64_t test_seed() {
  const char* text = std::getenv("TROUPE_SEED");
  return text == nullptr ? 20240611 : std::strtoull(text, nullptr, 10);
}

/// What the header of a batch says of its producer.
struct BatchOf {
  std::int64_t id = 7;
  std::int16_t epoch = 0;
  std::int32_t sequence = 0;
  std::int32_t records = 1;
  std::int64_t offset = 0;
  std::int64_t timestamp = 1000;
};

inline RecordBatchHeader data_batch(const BatchOf& of) {
  RecordBatchHeader header;
  header.base_offset = Offset{of.offset};
  header.last_offset_delta = of.records - 1;
  header.records_count = of.records;
  header.base_timestamp = TimestampMs{of.timestamp};
  header.max_timestamp = TimestampMs{of.timestamp};
  header.producer_id = ProducerId{of.id};
  header.producer_epoch = ProducerEpoch{of.epoch};
  header.base_sequence = SequenceNumber{of.sequence};
  return header;
}

/// The end of a transaction: transactional, control, one record, no sequence number.
inline RecordBatchHeader marker(BatchOf of) {
  of.records = 1;
  of.sequence = -1;
  auto header = data_batch(of);
  header.attributes = 0x30;
  return header;
}

}  // namespace troupe::record
