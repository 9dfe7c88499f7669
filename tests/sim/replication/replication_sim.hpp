#pragma once

#include <optional>
#include <string>

#include "tests/sim/replication/invariants.hpp"
#include "tests/sim/replication/sim_node.hpp"

/// Whole clusters of real LeaderReplicas, FollowerReplicas, FetchSessions, codecs and ProducePipelines, on a simulated network, disk
/// and controller. Everything that is chance comes from the seed.
///
///   faults (some virtual seconds): crash, power cut, pause, partitions, loss, repetition, reordering, elections, retention, full disks
///   then they end, and within a bound every partition has a ready leader, a full ISR, equal logs, and all producers are answered
namespace troupe::sim {

struct SimReport {
  std::optional<Invariants::Violation> violation = {};
  Marks marks = {};
  std::uint64_t steps = 0;
  std::uint64_t trace = 0;         ///< equal for equal seeds
  std::uint64_t acknowledged = 0;  ///< records, at `quorum`
  Millis healing_ms = 0;           ///< from the last fault until all is as it should be
  std::string settings = {};
};

SimReport run_replication_sim(std::uint64_t seed);

}  // namespace troupe::sim
