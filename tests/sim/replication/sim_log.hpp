#pragma once

#include <deque>
#include <optional>

#include "base/prng.hpp"
#include "core/record/leader_epoch_cache.hpp"
#include "core/record/producer_state.hpp"
#include "core/replication/partition_state.hpp"

namespace troupe::sim {

/// One replica's log on a disk that forgets: what was not synced may be gone after a power cut.
///
/// Every batch end carries a chain: a hash over all batches up to it. Two logs with the same chain at an offset hold the same records
/// below it, which makes "is a prefix of" one comparison.
class SimLog {
 public:
  struct Batch {
    Offset base;
    Offset next;
    LeaderEpoch epoch;
    std::uint64_t chain = 0;
    Bytes bytes;
  };

  Offset log_start() const { return log_start_; }
  Offset log_end() const { return batches_.empty() ? first_ : batches_.back().next; }
  Offset durable_end() const { return durable_end_; }
  Offset end_that_counts(replication::Flush flush) const {
    return flush == replication::Flush::fsync ? durable_end_ : log_end();
  }
  const std::deque<Batch>& batches() const { return batches_; }
  const record::LeaderEpochCache& epochs() const { return epochs_; }
  record::ProducerStates producers() const;

  /// Whole batches for the end. Errors: invalid_argument (they do not begin there).
  Status append(const Bytes& batches);
  void sync(Offset up_to) { durable_end_ = std::max(durable_end_, std::min(up_to, log_end())); }
  void truncate(Offset offset);
  /// Empties it; `chain` is that of the records that a log beginning at `offset` has lost.
  void restart(Offset offset, std::uint64_t chain);
  /// `chain`: as above, for a log that is empty then. What it held may have been another leader's, and nobody asks any more.
  void move_start(Offset offset, std::optional<std::uint64_t> chain = {});
  /// Bytes of whole batches from the one that holds `from` to `to`; at least one batch, if there is one.
  Bytes read(Offset from, Offset to, std::size_t bytes_max) const;

  /// The power goes: of what was not synced some batches at the front may have reached the disk.
  /// Returns whether something was lost.
  bool lose_unsynced(Prng& prng);

  /// The chain at a batch's end (or at the log's first batch); nullopt when no batch ends there.
  std::optional<std::uint64_t> chain_at(Offset boundary) const;
  /// The last batch end that is not above `offset`.
  Offset boundary_below(Offset offset) const;

  Offset stored_high_watermark{0};

 private:
  void rebuild_epochs();

  Offset first_{0};  ///< where the first batch begins
  Offset log_start_{0};
  Offset durable_end_{0};
  std::uint64_t first_chain_ = 0;
  std::deque<Batch> batches_;
  record::LeaderEpochCache epochs_;
  record::ProducerStates before_first_;  ///< what the removed batches added up to
};

}  // namespace troupe::sim
