#pragma once

#include <optional>

#include "actors/log_reader.hpp"
#include "actors/recent_batches.hpp"
#include "core/replication/leader_replica.hpp"

namespace troupe::actors {

/// What the parts of one partition_leader look at: its rules, and its log as it is now.
struct LedLog {
  TopicIdPartition partition = {};
  const LogReaders* readers = nullptr;
  std::optional<replication::LeaderReplica> replica = {};  ///< from when the log is open
  storage::LogView view = {};
  std::optional<RecentBatches> recent = {};
  /// Somebody reads at the end of the log until then: what comes is kept in memory.
  MonotonicMs recent_wanted_until{0};

  LeaderEpoch epoch() const { return replica->epoch(); }
};

/// How long what comes is kept after somebody came for it in vain.
inline constexpr Millis recent_wanted_ms = 30'000;

/// The batches of `bytes` that end above `from` and begin below `up_to`, up to `bytes_max`; one at least, when there is one.
/// `next_offset`: behind the last of them; it stays as it is when there is none.
Bytes clip(const Bytes& bytes, Offset from, Offset up_to, std::size_t bytes_max, Offset& next_offset);

}  // namespace troupe::actors
