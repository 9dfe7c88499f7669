#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::record {

/// What a log remembers of each producer, so that a retry is recognised: a pure function of the log (P4), and so the same on
/// every replica, after every restart and after every truncation.
///
///   check()   before an append: new, duplicate (with the original offset), or refused; changes nothing
///   apply()   after an append, and for each batch at recovery; the only thing that changes state
///
/// Remembered per producer id: epoch, and sequences and offsets of its last 5 batches, which is how many a producer may have in
/// flight. Source: KIP-98, KIP-360; rules P1 to P5 of docs/invariants.md.
///
/// What a batch of one producer meets, with batches [20..24] ... [40..44] of epoch 3 kept:
///
///   epoch 2                 invalid_producer_epoch; a marker too
///   epoch 4, sequence 0     new; anything but 0 is out_of_order_sequence_number
///   epoch 3, [45..]         new: after 2^31 - 1 comes 0, between batches and inside one
///   epoch 3, [30..34]       duplicate: base and last sequence are those of a batch kept
///   epoch 3, [10..14]       duplicate_sequence_number: all of it lies before the batches kept
///   epoch 3, [30..39] [50..] [22..24]   out_of_order_sequence_number
///
/// "Before" compares serial numbers: b is before o when going from b up to o, through the wrap if need be, takes at least 1 and
/// less than 2^30 steps, half of the circle. Nothing else orders numbers that come round again.
///
/// duplicate_sequence_number needs all 5 places taken. With fewer, every batch known of this epoch is kept, and what is not among
/// them may never have arrived: a producer that starts here at 20 after its state expired may have lost [10..19] on the way, and
/// would take "duplicate" for success. With 5 later batches in the log it has had its answer, for it keeps no more in flight.
class ProducerStates {
 public:
  static constexpr std::size_t batches_kept = 5;

  /// One batch in the log.
  struct BatchEntry {
    SequenceNumber base_sequence;
    SequenceNumber last_sequence;
    Offset base_offset;
    Offset last_offset;
    TimestampMs timestamp;
    friend bool operator==(const BatchEntry&, const BatchEntry&) = default;
  };

  struct Producer {
    ProducerEpoch epoch = no_producer_epoch;
    std::size_t batches_count = 0;
    std::array<BatchEntry, batches_kept> batches{};  ///< oldest first; from `batches_count` on: default values
    TimestampMs last_timestamp = no_timestamp;       ///< max timestamp of the last batch or marker in the log, for expiry
    friend bool operator==(const Producer&, const Producer&) = default;
  };

  /// Where the records of a retried batch are in the log already.
  struct Duplicate {
    Offset base_offset;
    Offset last_offset;
    TimestampMs timestamp;
    friend bool operator==(const Duplicate&, const Duplicate&) = default;
  };

  /// What to do with a validated batch: append (nullopt) or answer with the original's place.
  /// A batch without producer id is always new. A producer that is not known here may start at any sequence (its state
  /// has expired, or records were deleted: KIP-360); a new epoch has to start at sequence 0, also when a marker brought it.
  /// A marker has no sequence: only its epoch is looked at.
  /// Errors: out_of_order_sequence_number (a gap, an overlap, or no sequence number), duplicate_sequence_number (in the log,
  /// older than the batches kept), invalid_producer_epoch (older than the one known, or none).
  Result<std::optional<Duplicate>> check(const RecordBatchHeader& batch) const;

  /// Notes a batch that is in the log, control batches too. Batches come in log order, each once.
  ///
  /// The log is the truth: what check() would have refused is noted as well. A batch that does not continue the sequence becomes
  /// the last one; a newer epoch, a marker's too, drops the batches of the older (P5); an older epoch only keeps the
  /// producer from expiring. A control batch, and a batch without sequence number, leave the sequences as they are. A batch
  /// without producer id or epoch (below 0) changes nothing.
  void apply(const RecordBatchHeader& batch);

  /// Forgets producers whose last batch or marker is older than `timestamp`; one of just that time stays.
  /// Deterministic: `timestamp` comes from the log, not from a clock.
  void expire_before(TimestampMs timestamp);

  std::size_t size() const { return producers_.size(); }
  bool empty() const { return producers_.empty(); }
  const Producer* find(ProducerId id) const;
  /// Ascending.
  std::vector<ProducerId> ids() const;
  void clear() { producers_.clear(); }

  /// The state as bytes, producers in ascending order of id, so that equal states are equal bytes. docs/formats/producer-snapshot.md
  ByteBuffer encode() const;
  /// Takes what encode() writes and nothing else, so that decoding and encoding again gives the same bytes.
  /// Errors: corrupt_message.
  static Result<ProducerStates> decode(ByteView bytes);

  friend bool operator==(const ProducerStates&, const ProducerStates&) = default;

 private:
  std::unordered_map<ProducerId, Producer> producers_;
};

}  // namespace troupe::record
