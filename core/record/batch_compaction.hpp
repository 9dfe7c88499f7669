#pragma once

#include <functional>
#include <optional>

#include "base/clock.hpp"
#include "core/record/record_batch.hpp"

/// What compaction makes of a batch. A compacted log has every offset it had: what is gone is stood for by batches without records.
///
///   before  [0: a] [1: b] [2..4: a c d] [5: c]            the latest of each key: b at 1, a at 2, d at 4, c at 5
///   after   [0: -] [1: b] [2..4: a . d] [5: c]            [0: -] is a gap: no records, no producer
///
/// A batch keeps its base offset, last offset delta, epoch, producer, sequence and max timestamp, whatever becomes of its records.
/// docs/formats/segment.md; why not Kafka's holes: docs/decisions/0024
namespace troupe::record {

struct CompactionRules {
  /// Whether this record is still needed: it is its key's latest, or not for compaction to judge.
  std::function<bool(const RecordView&)> needed;
  /// The wall clock; nullopt when it cannot be trusted: tombstones stay then, and get no delete horizon.
  std::optional<TimestampMs> now = {};
  Millis delete_retention_ms = 0;  ///< from the first compaction that leaves a tombstone alone, to the one that takes it
};

struct CompactedBatch {
  enum class Kind : std::uint8_t {
    same,       ///< stays as it is
    rewritten,  ///< `bytes` take its place
    emptied,    ///< no record is left: a gap takes its place, or `empty_batch` of it
  };
  Kind kind = Kind::same;
  ByteBuffer bytes = {};
};

/// A needed record without value, a tombstone, stays until `delete_retention_ms` after the compaction that first met it. That time is the
/// batch's delete horizon: attribute bit 6, in the place of the base timestamp (KIP-534). Control batches and batches of transactions
/// stay as they are: who aborted shows in no single batch.
/// Errors: corrupt_message, message_too_large (its records cannot be read), unknown_error (the codec failed).
Result<CompactedBatch> compact_batch(const RecordBatchView& batch, const CompactionRules& rules);

/// As open_records, for a batch that lies in a log: it was held against its limits when it came.
Result<RecordsBlock> open_stored_records(const RecordBatchView& batch);

/// The batch without its records: keeps what producers are known by. Its bytes.
ByteBuffer empty_batch(const RecordBatchView& batch);

/// The most offsets that a gap can stand for.
inline constexpr std::int64_t gap_offsets_max = std::int64_t{1} << 30;

/// A batch without records and producer for [base, last], at most `gap_offsets_max` of them. `max_timestamp`: of what it stands for,
/// so that age still counts.
ByteBuffer build_gap(Offset base, Offset last, LeaderEpoch leader_epoch, TimestampMs max_timestamp);

/// Whether the batch stands for offsets whose records, and producers, are gone.
bool is_gap(const RecordBatchHeader& header);

/// Whether `found` is what compaction may have left in the place of `original`: the same batch with fewer records, or a gap around it.
bool may_be_compacted_form(const RecordBatchHeader& found, const RecordBatchHeader& original);

}  // namespace troupe::record
