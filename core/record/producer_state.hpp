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
    std::array<BatchEntry, batches_kept> batches{};  ///< oldest first
    TimestampMs last_timestamp = no_timestamp;       ///< of the last batch or marker, for expiry
    friend bool operator==(const Producer&, const Producer&) = default;
  };

  /// The batch may be appended, or its records are in the log already.
  struct Accepted {};
  struct Duplicate {
    Offset base_offset;
    Offset last_offset;
    TimestampMs timestamp;
  };

  /// What to do with a client's batch: append (nullopt) or answer with the original's place.
  /// A batch without producer id is always new. A producer that is not known here may start at any sequence (its state
  /// has expired, or records were deleted: KIP-360); a new epoch has to start at sequence 0.
  /// Errors: out_of_order_sequence_number (a gap), duplicate_sequence_number (in the log, older than the batches kept),
  /// invalid_producer_epoch (older than the one known).
  Result<std::optional<Duplicate>> check(const RecordBatchHeader& batch) const;

  /// Notes a batch that is in the log, control batches too. Batches come in log order.
  void apply(const RecordBatchHeader& batch);

  /// Forgets producers whose last batch is older than `timestamp`. Deterministic: `timestamp` comes from the log, not from a clock.
  void expire_before(TimestampMs timestamp);

  std::size_t size() const { return producers_.size(); }
  bool empty() const { return producers_.empty(); }
  const Producer* find(ProducerId id) const;
  void clear() { producers_.clear(); }

  /// The state as bytes, producers in ascending order of id, so that equal states are equal bytes. docs/formats/producer-snapshot.md
  ByteBuffer encode() const;
  /// Errors: corrupt_message.
  static Result<ProducerStates> decode(ByteView bytes);

  friend bool operator==(const ProducerStates&, const ProducerStates&) = default;

 private:
  std::unordered_map<ProducerId, Producer> producers_;
};

}  // namespace troupe::record
