#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include "core/record/record_batch.hpp"

namespace troupe::record {

struct BatchBuilderOptions {
  CompressionCodec codec = CompressionCodec::none;
  TimestampType timestamp_type = TimestampType::create_time;
  Offset base_offset{0};
  LeaderEpoch leader_epoch = no_leader_epoch;
  ProducerId producer_id = no_producer_id;
  ProducerEpoch producer_epoch = no_producer_epoch;
  SequenceNumber base_sequence = no_sequence_number;
  bool transactional = false;
  bool control = false;
};

/// One record on its way into a batch.
struct NewRecord {
  TimestampMs timestamp = no_timestamp;
  std::optional<ByteView> key = {};
  std::optional<ByteView> value = {};
  std::span<const RecordHeader> headers = {};
};

/// Builds one batch, records encoded as they are added, compressed once at the end.
///
///   RecordBatchBuilder builder({.codec = CompressionCodec::zstd});
///   builder.add({.timestamp = now, .value = as_bytes("hi")});
///   auto batch = builder.build();   // Result<ByteBuffer>: the whole batch, checksummed
///
/// The builder is empty again after `build`.
class RecordBatchBuilder {
 public:
  explicit RecordBatchBuilder(BatchBuilderOptions options = {});

  /// Adds a record at the next offset.
  void add(const NewRecord& record);
  /// Adds a record at an offset of its own, above the last one: batches with holes, as compaction writes them.
  void add_at(Offset offset, const NewRecord& record);

  std::int32_t records_count() const { return records_count_; }
  /// Who sends the batch, for when that is known only at the end.
  void set_producer(ProducerId id, ProducerEpoch epoch, SequenceNumber base_sequence) {
    options_.producer_id = id;
    options_.producer_epoch = epoch;
    options_.base_sequence = base_sequence;
  }

  /// Bytes of the batch as they would be uncompressed.
  std::size_t size_bytes() const { return std::max(batch_.size(), batch_header_bytes); }

  /// The batch. Its last offset delta is the last record's.
  /// Errors: invalid_argument (no record), unknown_error (the codec failed).
  Result<ByteBuffer> build();

 private:
  BatchBuilderOptions options_;
  ByteBuffer batch_;  ///< empty, or room for the header and the records behind it
  std::int32_t records_count_ = 0;
  std::int32_t last_offset_delta_ = -1;
  TimestampMs base_timestamp_ = no_timestamp;
  TimestampMs max_timestamp_ = no_timestamp;
};

/// Types of control records. Part of the format: never renumber. Source: KIP-98.
enum class ControlRecordType : std::int16_t { abort = 0, commit = 1 };

/// A transaction marker: a control batch of one record.
/// Shape: key = int16 version 0, int16 type; value = int16 version 0, int32 coordinator epoch.
ByteBuffer build_transaction_marker(ControlRecordType type, Offset base_offset, LeaderEpoch leader_epoch,
                                    ProducerId producer_id, ProducerEpoch producer_epoch, std::int32_t coordinator_epoch,
                                    TimestampMs timestamp);

}  // namespace troupe::record
