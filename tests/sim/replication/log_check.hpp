#pragma once

#include <memory>
#include <vector>

#include "tests/sim/replication/sim_client.hpp"

namespace troupe::sim {

/// At the end, the log of a partition's leader: each record once, in the order of its producer, and those that were acknowledged where
/// they were said to be. EachRecordOnce, ProducersOrderIsKept, AckedRecordsSurvive. `clients`: all, in the order of their addresses.
void check_log(SimWorld& world, const std::vector<std::unique_ptr<SimClient>>& clients, std::size_t partition,
               const SimLog& log);

}  // namespace troupe::sim
