#pragma once

#include <functional>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/processor_host.hpp"

namespace troupe::actors {

struct ProcessorManagerOptions {
  BrokerApi* broker = nullptr;                                ///< outlives the actor
  std::function<std::vector<ProcessorSpecPtr>()> processors;  ///< those of the node, checked; names are unique. Any thread
  metrics::Registry* metrics = nullptr;                       ///< null: nothing is counted; else outlives the actor
  ActorTable* table = nullptr;                                ///< outlives the actor
  std::string name = "processors";                            ///< its own, as its children's parent
  std::size_t trim_after = 100'000;                           ///< as ProcessorPositionsOptions
  std::uint64_t seed = 0;                                     ///< of the jitter of restarts
};

/// Runs the node's custom processors: a processor_host for every processor and every partition of its inputs that this node leads, and
/// the processor_positions that they share.
///
///   no such topic, or another leader ---> waiting ---- it is there --> running -- user code throws --> waiting_restart --.
///                                           ^--------- it is gone ---'   ^--------------- after a pause ----------------'
///
/// Looks once a second for topics and partitions that came or went, makes output topics that are missing, and starts a host that
/// failed again: after 100 ms, each time twice as long, at most 30 s (1 s with OnError::skip). A host never fails for good and never
/// takes others along. Does nothing while there is no processor. An exit message ends the hosts first, then the positions.
caf::actor spawn_processor_manager(caf::actor_system& system, ProcessorManagerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
