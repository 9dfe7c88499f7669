#pragma once

#include <deque>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "base/prng.hpp"
#include "core/metadata/quorum_effects.hpp"

/// A replica's disk as it is after a crash: what was made durable, and whatever part of the rest the crash let through.
namespace troupe::sim {

/// Stands for a whole prefix of a log: equal chains, equal prefixes.
using Chain = std::uint64_t;
Chain chain_after(Chain before, const quorum::LogEntry& entry);

/// A state machine that is known by what it has applied.
struct Applied {
  Offset end{0};
  Chain chain = 0;
};
/// `Applied` as the bytes of a snapshot; of some hundred bytes, so that it takes several chunks. `state`: of a real state machine.
ByteBuffer encode_applied(const Applied& applied, ByteView state = {});
/// The state that `encode_applied` was given; `bytes` can be decoded.
Bytes state_of(const Bytes& bytes);
std::optional<Applied> decode_applied(ByteView bytes);

/// A log: entries, and the chain up to each of them.
class MetadataLog {
 public:
  Offset start() const { return start_; }
  Offset end() const { return entries_.empty() ? start_ : entries_.back().end_offset(); }
  const std::deque<quorum::LogEntry>& entries() const { return entries_; }

  void append(const quorum::LogEntry& entry);
  void truncate_to(Offset offset);
  void cut(Offset offset);
  void reset(const Applied& applied);

  /// nullopt: no entry ends there.
  std::optional<Chain> chain_at(Offset offset) const;
  Chain chain_before(std::size_t entry) const { return entry == 0 ? start_chain_ : chains_[entry - 1]; }
  /// Of [from, to), at least one entry, up to `bytes_max`.
  Result<std::vector<quorum::LogEntry>> read(Offset from, Offset to, std::size_t bytes_max) const;
  record::LeaderEpochCache epochs() const;

 private:
  std::size_t index_of(Offset base_offset) const;

  Offset start_{0};
  Chain start_chain_ = 0;
  std::deque<quorum::LogEntry> entries_;
  std::deque<Chain> chains_;
};

struct SimSnapshot {
  quorum::SnapshotMeta meta = {};
  Bytes bytes = {};
};

/// What is on the platters.
struct DurableState {
  std::optional<quorum::HardState> hard_state = {};
  std::optional<SimSnapshot> snapshot = {};
  MetadataLog log = {};

  quorum::StoredState stored() const;
  Applied applied() const;
};

/// The replica's own snapshot, written beside its log.
struct OwnSnapshot {
  SimSnapshot snapshot = {};
};
using DiskWork = std::variant<quorum::Persist, quorum::InstallSnapshot, quorum::CutLog, OwnSnapshot>;

/// Does `work` in full, or (`steps`) only so many of its parts: a hard state, a reset, a truncation, and each entry are one part.
void perform(DurableState& disk, const DiskWork& work, std::size_t steps = SIZE_MAX);
std::size_t steps_of(const DiskWork& work);

}  // namespace troupe::sim
