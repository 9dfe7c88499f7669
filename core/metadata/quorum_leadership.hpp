#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "core/metadata/progress.hpp"
#include "core/metadata/quorum_log.hpp"
#include "core/metadata/quorum_options.hpp"

namespace troupe::quorum {

/// Reads that one round of answers confirms (ReadIndex, thesis 6.4).
struct Reads {
  std::vector<std::uint64_t> tokens;
  Offset index{0};
  std::uint64_t round = 0;
};

/// An observer on its way to a vote (thesis 4.2.1).
struct CatchUp {
  ReplicaKey voter;
  std::uint64_t token;
  Offset target;
  MonotonicMs round_since;
  MonotonicMs since;
  int rounds;
};

/// Leadership on its way to another voter (thesis 3.10).
struct HandOver {
  std::uint64_t token;
  bool answered = false;  ///< nobody waits
  ReplicaKey target;
  MonotonicMs since;
  bool told = false;
};

/// What only a leader has. Ends with its epoch.
struct Leadership {
  Offset epoch_start{0};  ///< of its leader_change entry
  bool ready = false;
  MonotonicMs since{0};
  MonotonicMs heartbeat_at{0};
  std::size_t proposals = 0;  ///< of this epoch, not committed
  std::size_t proposed_bytes = 0;
  std::uint64_t round = 0;
  std::map<ReplicaKey, Progress> followers = {};
  std::vector<std::uint64_t> waiting_reads = {};
  std::optional<Reads> asking = {};  ///< the round that is on its way
  std::deque<Reads> confirmed = {};  ///< wait for the state machine
  std::size_t reads = 0;             ///< in all three
  std::optional<CatchUp> catch_up = {};
  std::optional<HandOver> hand_over = {};
};

}  // namespace troupe::quorum
