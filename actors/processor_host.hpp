#pragma once

#include <functional>
#include <memory>
#include <string>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/processor_messages.hpp"
#include "actors/spawn_mode.hpp"
#include "base/metrics.hpp"
#include "core/processing/failure_ledger.hpp"

namespace troupe::actors {

using ProcessorSpecPtr = std::shared_ptr<const processing::ProcessorSpec>;

/// What the runs of one processor on one partition leave to the next. One run at a time uses it.
struct ProcessorMemory {
  processing::FailureLedger ledger;
  std::optional<MonotonicMs> logged_at;  ///< a record that was passed over; once a minute
};

/// Of one processor, over all partitions and runs. Default-made they count nowhere.
struct ProcessorCounters {
  metrics::Counter processed;
  metrics::Counter passed_over;
  metrics::Counter sent;
  metrics::Counter already_written;
};

struct ProcessorHostOptions {
  ProcessorSpecPtr spec;
  std::string topic;  ///< by name, as users know it
  TopicIdPartition partition;
  BrokerApi* broker = nullptr;            ///< outlives the actor
  std::function<caf::actor()> positions;  ///< processor_positions; null while there is none
  std::shared_ptr<ProcessorMemory> memory;
  ProcessorCounters counters = {};
};

/// One run of a processor on one partition: the user's code, and the effects of its ProcessingTask by way of BrokerApi. Ends with an
/// error when the user's code throws or cannot go on, for processor_manager to start the next run.
///
/// `detached`: user code that blocks has a thread of its own.
caf::actor spawn_processor_host(caf::actor_system& system, SpawnMode mode, ProcessorHostOptions options, ActorRowPtr row);

}  // namespace troupe::actors
