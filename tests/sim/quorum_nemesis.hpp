#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tests/sim/quorum_cluster.hpp"

/// One random history of a quorum: bootstrap, faults under load, then healing.
namespace troupe::sim {

struct SeedResult {
  std::optional<std::string> violation = {};  ///< "Invariant: what"
  Marks marks = {};
  std::uint64_t trace = 0;
  Millis leaderless_ms = 0;  ///< from healing to a leader that is ready
};

/// Every seed draws its own cluster (1, 3, 5 or 7 voters, up to 2 more nodes), its own bounds in the machines, and its own faults.
SeedResult run_quorum_seed(std::uint64_t seed, std::function<void(const std::string&)> log = {});

}  // namespace troupe::sim
