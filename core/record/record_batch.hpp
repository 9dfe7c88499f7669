#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/compression.hpp"

/// Kafka's record batch, format 2: the one format on disk, in memory, between nodes and on the Kafka wire.
///
///   offset  0  base offset            8   given by the broker; outside the checksum
///           8  batch length           4   bytes after this field: whole size - 12
///          12  partition leader epoch 4   given by the broker; outside the checksum
///          16  magic                  1   2
///          17  crc                    4   CRC-32C of bytes 21 to the end
///          21  attributes             2   codec 0-2, timestamp type 3, transactional 4, control 5, delete horizon 6
///          23  last offset delta      4   next offset = base offset + this + 1, also where compaction left holes
///          27  base timestamp         8
///          35  max timestamp          8
///          43  producer id            8
///          51  producer epoch         2
///          53  base sequence          4
///          57  records count          4
///          61  records                    compressed as one block when a codec is set
///
/// Source: KIP-98 and Kafka's "Message Format" page; docs/formats/record-batch.md here.
namespace troupe::record {

inline constexpr std::size_t batch_header_bytes = 61;
/// Bytes before the checksummed part, and the part of it that a broker stamps: base offset to partition leader epoch.
inline constexpr std::size_t batch_crc_start = 21;
inline constexpr std::size_t batch_length_overhead = 12;

enum class TimestampType : std::uint8_t {
  create_time = 0,      ///< given by the record's creator
  log_append_time = 1,  ///< given by the broker: every record has the batch's max timestamp
};

struct RecordBatchHeader {
  Offset base_offset{0};
  std::int32_t batch_length = 0;
  LeaderEpoch leader_epoch = no_leader_epoch;
  std::uint32_t crc = 0;
  std::uint16_t attributes = 0;
  std::int32_t last_offset_delta = 0;
  TimestampMs base_timestamp = no_timestamp;
  TimestampMs max_timestamp = no_timestamp;
  ProducerId producer_id = no_producer_id;
  ProducerEpoch producer_epoch = no_producer_epoch;
  SequenceNumber base_sequence = no_sequence_number;
  std::int32_t records_count = 0;

  std::size_t size_bytes() const { return batch_length_overhead + static_cast<std::size_t>(batch_length); }
  Offset last_offset() const { return base_offset + last_offset_delta; }
  Offset next_offset() const { return base_offset + last_offset_delta + 1; }
  std::uint8_t codec_bits() const { return attributes & 7U; }
  CompressionCodec codec() const { return static_cast<CompressionCodec>(codec_bits()); }
  TimestampType timestamp_type() const { return static_cast<TimestampType>((attributes >> 3) & 1U); }
  bool is_transactional() const { return (attributes & 0x10U) != 0; }
  bool is_control() const { return (attributes & 0x20U) != 0; }
  bool has_delete_horizon() const { return (attributes & 0x40U) != 0; }
  bool has_producer() const { return producer_id != no_producer_id; }
  /// Of the last record; meaningless without a producer.
  SequenceNumber last_sequence() const { return base_sequence.plus(last_offset_delta); }
};

/// One header of one record. The value may be null.
struct RecordHeader {
  ByteView key = {};
  std::optional<ByteView> value = {};
};

/// One record as it lies in a batch: views into the batch's (inflated) records.
struct RecordView {
  Offset offset{0};
  TimestampMs timestamp = no_timestamp;
  std::optional<ByteView> key;
  std::optional<ByteView> value;  ///< null is a tombstone in a compacted topic
  std::int32_t headers_count = 0;
  ByteView headers;  ///< encoded; `decode_headers` reads them
};

/// A record's timestamp. Wraps around like every other implementation's, so that no delta, however silly, makes a batch unreadable.
inline TimestampMs record_timestamp(const RecordBatchHeader& header, std::int64_t delta) {
  if (header.timestamp_type() == TimestampType::log_append_time) return header.max_timestamp;
  return TimestampMs{static_cast<std::int64_t>(static_cast<std::uint64_t>(header.base_timestamp.value()) +
                                               static_cast<std::uint64_t>(delta))};
}

/// A batch in somebody else's bytes. Cheap to copy; valid as long as the bytes are.
struct RecordBatchView {
  RecordBatchHeader header;
  ByteView bytes;  ///< the whole batch, header included

  ByteView records_block() const { return bytes.subspan(batch_header_bytes); }
};

/// The header at the front of `bytes`, which may be longer or end inside the batch. Checks what a reader needs to step over
/// the batch: length at least a header's, magic 2, last offset delta and count not negative, base offset not negative and
/// far enough from 2^63 for `next_offset`.
/// Errors: corrupt_message (also for fewer than 61 bytes).
Result<RecordBatchHeader> parse_batch_header(ByteView bytes);

/// The batch at the front of `bytes`; more may follow. The header as above, and all of the batch's bytes there.
/// Does not look at checksum or records.
Result<RecordBatchView> parse_batch(ByteView bytes);

/// Whether the checksum of bytes 21 to the end is the header's.
bool crc_matches(const RecordBatchView& batch) noexcept;

/// Gives a batch its place: writes base offset and leader epoch, which lie outside the checksum.
/// `batch` must be a parsed batch's bytes, `base_offset` one from which its offsets fit an Offset.
void stamp_batch(MutableByteView batch, Offset base_offset, LeaderEpoch leader_epoch) noexcept;

/// Gives a batch another producer, epoch and first sequence, and mends the checksum. `batch` must be a parsed batch's bytes.
void stamp_producer(MutableByteView batch, ProducerId id, ProducerEpoch epoch, SequenceNumber base_sequence) noexcept;

/// Turns a batch to `log_append_time` with this timestamp, and mends the checksum.
void stamp_log_append_time(MutableByteView batch, TimestampMs now) noexcept;

/// Reads the records of a block one after another, without copying.
///
///   RecordReader reader(batch.header, block);
///   while (auto record = reader.next()) use(*record);
///   TROUPE_TRY(reader.finish());
///
/// Checks each record's lengths and headers, and that its offset lies in the batch. Whether offsets ascend is for
/// `validate_batch`.
class RecordReader {
 public:
  /// `header`: as parsed; `block`: the batch's records, inflated.
  RecordReader(const RecordBatchHeader& header, ByteView block) noexcept : header_(header), rest_(block) {}

  /// The next record; nullopt at the end and on the first malformed record.
  std::optional<RecordView> next();

  /// Success when exactly `records_count` records filled the block; else corrupt_message saying which record was wrong.
  Status finish() const;

 private:
  RecordBatchHeader header_;
  ByteView rest_;
  std::int32_t read_ = 0;
  const char* wrong_ = nullptr;
};

/// The records of a batch, inflated if need be: `bytes` points into the batch or into `inflated`.
struct RecordsBlock {
  ByteBuffer inflated;
  ByteView bytes;

  RecordsBlock(ByteBuffer inflated_bytes, ByteView view) : inflated(std::move(inflated_bytes)), bytes(view) {}
  RecordsBlock(RecordsBlock&&) = default;
  RecordsBlock& operator=(RecordsBlock&&) = default;
};

/// Inflates the records of a parsed batch, within the limits. A batch that compaction emptied has an empty block, whatever
/// its codec.
/// Errors: as `decompress`.
Result<RecordsBlock> open_records(const RecordBatchView& batch, const InflateLimits& limits);

/// The headers of one record, in order.
/// Errors: corrupt_message.
Result<std::vector<RecordHeader>> decode_headers(const RecordView& record);

/// Checks all `headers_count` headers without keeping them; returns the bytes they take at the front of `bytes`.
std::optional<std::size_t> skip_headers(ByteView bytes, std::int32_t headers_count) noexcept;

}  // namespace troupe::record
