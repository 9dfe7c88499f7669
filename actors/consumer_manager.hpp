#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"

namespace troupe::actors {

struct ConsumerManagerOptions {
  ActorTable* table = nullptr;  ///< outlives the actor
  Millis leave_ms_max = 2'000;  ///< at its end: consumers that have not left their groups by then are ended
};

/// Supervises the node's consumers: takes AdoptConsumer from Consumers, keeps their rows. A consumer that fails is not started again: its
/// listener has heard of it, and opens another if it likes. An exit message lets all of them leave their groups, so that others go on
/// with their partitions at once.
caf::actor spawn_consumer_manager(caf::actor_system& system, ConsumerManagerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
