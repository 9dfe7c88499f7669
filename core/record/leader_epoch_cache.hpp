#pragma once

#include <optional>
#include <vector>

#include "core/ids.hpp"

namespace troupe::record {

/// Where each leader epoch of a partition begins: a function of the log, kept beside it as a checkpoint.
///
///   log      [0..9 e1] [10..29 e1] [30..34 e4] [35..99 e5]
///   entries  (e1, 0) (e4, 30) (e5, 35)
///   end_offset_for(e1) = (e1, 30)   (e2) = (e1, 30)   (e4) = (e4, 35)   (e5) = (e5, log end)   (e0) = none
///
/// Source: KIP-101 (truncate by leader epoch), KIP-279, KIP-320.
class LeaderEpochCache {
 public:
  struct Entry {
    LeaderEpoch epoch;
    Offset start_offset;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  LeaderEpochCache() = default;
  /// `entries` must strictly ascend in epoch and in start offset, neither below 0; what does not is a corrupt checkpoint: nullopt.
  static std::optional<LeaderEpochCache> from_entries(std::vector<Entry> entries);

  /// Notes that the batch at `start_offset` carries `epoch`. The same or an older epoch than the latest changes nothing, and so
  /// does none (-1). A newer epoch takes the place of those that start at or above `start_offset`: no record of theirs is left.
  void assign(LeaderEpoch epoch, Offset start_offset);

  std::optional<LeaderEpoch> latest_epoch() const;
  const std::vector<Entry>& entries() const { return entries_; }

  /// The largest epoch not above `epoch`, and the offset at which it ends: where a follower whose last epoch is `epoch` has to
  /// truncate to. nullopt when the log holds no epoch so old. `epoch` above the latest gives nullopt, too (KIP-320).
  /// `log_end_offset` is the log's own, never below the latest epoch's start.
  std::optional<Entry> end_offset_for(LeaderEpoch epoch, Offset log_end_offset) const;
  /// The epoch of the record at `offset`; nullopt below the first entry. The cache does not know the log end: an offset
  /// above it has the latest epoch.
  std::optional<LeaderEpoch> epoch_at(Offset offset) const;

  /// Forgets what starts at or above `offset` (the log was truncated to it).
  void truncate_from(Offset offset);
  /// Forgets epochs that end at or below `offset` (the log now starts there); the epoch that spans it starts at `offset`.
  /// The latest epoch has no end yet and so is kept even when the log is now empty: a replica without records still knows
  /// which leader it last followed.
  void truncate_to_start(Offset offset);
  void clear() { entries_.clear(); }

 private:
  std::vector<Entry> entries_;
};

}  // namespace troupe::record
