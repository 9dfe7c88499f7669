#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/processor_messages.hpp"

namespace troupe::actors {

struct ProcessorPositionsOptions {
  BrokerApi* broker = nullptr;       ///< outlives the actor
  std::size_t trim_after = 100'000;  ///< records of the topic, after which it is begun anew
};

/// Keeps the positions of the node's processors in the internal topic `__processor_positions`, which it makes when it is missing: reads
/// it to the end first, then answers AskPosition and CommitPosition. Commits that come while one is on its way go together in the next.
///
/// Until topics are compacted it keeps the topic short itself: after `trim_after` records it writes all positions and deletes what lies
/// before them.
caf::actor spawn_processor_positions(caf::actor_system& system, ProcessorPositionsOptions options, ActorRowPtr row);

}  // namespace troupe::actors
