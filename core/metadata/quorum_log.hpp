#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "core/metadata/quorum_messages.hpp"
#include "core/record/leader_epoch_cache.hpp"

namespace troupe::quorum {

/// What a replica knows of its log without reading it: where each epoch begins, who votes from where on, and the last entries.
///
///        snapshot                      in memory
///   [0 ............. 40) [40 ... 70) [70 ... 90)      offsets
///                    ^start          ^tail      ^end
///
/// Entries between `start` and `tail` are on the disk and have to be read. Offsets that come in are ends of entries, unless said otherwise.
class QuorumLog {
 public:
  struct EpochEnd {
    LeaderEpoch epoch;
    Offset end_offset;
  };

  /// The log as it was found on the disk; its entries behind `voters`' place are still to be told by `found`.
  /// `start_epoch`: of the record before `start`.
  void open(Offset start, LeaderEpoch start_epoch, Offset end, record::LeaderEpochCache epochs, Offset voters_at,
            VoterSet voters);
  /// Whether entries that were read from the disk are those of this log from `from` on, at least one and none behind `to`.
  /// Errors: corrupt_message.
  Status check(const std::vector<LogEntry>& entries, Offset from, Offset to) const;
  /// The next entry of the log on the disk (checked), while it is read through once at the start. Errors: corrupt_message.
  Status found(const LogEntry& entry);
  /// Nothing is left, and the next record's offset is the snapshot's end.
  void reset(const SnapshotMeta& snapshot);

  Offset start_offset() const { return start_; }
  Offset tail_offset() const { return tail_.empty() ? end_ : tail_.front().base_offset; }
  Offset end_offset() const { return end_; }
  LeaderEpoch last_epoch() const { return *epoch_before(end_); }

  /// The epoch of the record before `offset`; -1 before the first of all. nullopt: nobody knows (below the start, above the end).
  std::optional<LeaderEpoch> epoch_before(Offset offset) const;
  /// The latest epoch that is not above `epoch`, and where it ends. nullopt: all that is still known is newer.
  std::optional<EpochEnd> end_of_epoch(LeaderEpoch epoch) const;

  /// Behind the end. Control entries must decode.
  void append(LogEntry entry);
  /// `offset`: not below the start.
  void truncate_to(Offset offset);
  /// Forgets what is below `offset`, which is not above the end.
  void cut(Offset offset);
  /// Forgets, from memory only, entries that end at or below `below`, down to about `bytes_max`.
  void trim(Offset below, std::size_t bytes_max);

  /// Entries of [from, to) up to `bytes_max`, but at least one; none when the one that begins at `from` is not in memory.
  std::vector<LogEntry> entries(Offset from, Offset to, std::size_t bytes_max) const;
  std::size_t tail_bytes() const { return tail_bytes_; }

  /// Who votes: as the latest entry says, committed or not (thesis 4.1).
  const VoterSet& voters() const { return voters_.back().voters; }
  /// Where that was said; all is settled when the high watermark is above. nullopt: not in the log.
  std::optional<Offset> voters_base_offset() const { return voters_.back().base_offset; }
  /// Who votes when the log ends at `offset`. nullopt: nobody knows any more.
  std::optional<VoterSet> voters_at(Offset offset) const;
  /// Whether `key` votes when the log ends at `offset`, or at any place behind it.
  bool votes_from(Offset offset, const ReplicaKey& key) const;

 private:
  struct VotersFrom {
    std::optional<Offset> base_offset;  ///< of the entry that says so
    Offset known_from;                  ///< valid for a log that ends here or later
    VoterSet voters;
  };

  void note(const LogEntry& entry, const ControlEntry& control);

  Offset start_{0};
  LeaderEpoch start_epoch_ = no_leader_epoch;
  Offset end_{0};
  record::LeaderEpochCache epochs_;
  std::deque<VotersFrom> voters_ = {{std::nullopt, Offset{0}, {}}};
  std::deque<LogEntry> tail_;
  std::size_t tail_bytes_ = 0;
};

/// What an entry takes in memory and in messages, about.
inline std::size_t entry_bytes(const LogEntry& entry) { return entry.payload.size() + 64; }

}  // namespace troupe::quorum
