#pragma once

#include <cstddef>

#include "core/record/record_batch.hpp"

namespace troupe::record {

/// What one batch and its records may measure. Defaults: docs/limits.md.
struct BatchLimits {
  std::size_t batch_bytes_max = std::size_t{8} << 20;
  std::size_t record_bytes_max = std::size_t{1} << 20;  ///< key + value + headers, in bytes
  std::int32_t headers_max = 64;                        ///< headers of one record
  InflateLimits inflate;
};

/// Who sent the batch, and so what it may hold.
enum class BatchOrigin {
  client,   ///< no control batches, offsets 0 to n-1 without holes, no delete horizon, no log append time
  replica,  ///< a log's batch: control batches and the holes of compaction are in order
};

/// Checks everything about the first batch in `bytes` that a log, a reader or a browser will later rely on: length, magic,
/// checksum, codec, unused attribute bits, counts, every record's lengths and offset delta, header count, timestamps
/// against the batch's maximum, producer fields against one another, and the limits, on inflated bytes too.
///
/// This is the one place where a batch is validated: at the edge for clients, again where a follower appends.
///
/// Errors: corrupt_message (bytes), invalid_record (well-formed but against a rule), message_too_large (a limit),
/// unsupported_compression_type. The message names the field, got and wanted.
/// Source: Kafka's LogValidator and DefaultRecordBatch, KIP-98.
Result<RecordBatchView> validate_batch(ByteView bytes, const BatchLimits& limits, BatchOrigin origin);

}  // namespace troupe::record
