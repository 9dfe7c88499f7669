#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/spawn_mode.hpp"
#include "base/clock.hpp"

namespace troupe::actors {

/// What the cleaner has done since the node started; read from any thread.
struct LogCleanerCounts {
  std::atomic<std::uint64_t> rounds{0};    ///< compactions of a log that came to their end
  std::atomic<std::uint64_t> failures{0};  ///< and that did not
  std::atomic<std::uint64_t> bytes_read{0};
  std::atomic<std::uint64_t> bytes_written{0};
  std::atomic<std::uint64_t> records_removed{0};
};

/// Compacts the logs of one disk_worker, one at a time, the one that needs it most first.
///
///   look --NextCleaning--> disk_worker --plan--> step, pause, step, pause ...      reads and writes here, in this actor's thread
///     ^                                            |
///     |                                     ReplaceSegments --> disk_worker         all that the worker has to do: some renames
///     `------ nothing to do: after look_ms ------- done
///
/// After each step it rests for as long as its bytes take at `bytes_per_second`. A log that cannot be compacted is left alone for
/// `retry_ms`, and its damage reported to the partition_manager. Records that carry a claim (an idempotence key) stay for as long as claims
/// are kept.
struct LogCleanerOptions {
  std::function<DiskWorker()> disk_worker = {};        ///< the one that lives now, or null
  std::function<caf::actor()> partition_manager = {};  ///< the same; may be null
  const Clock* clock = nullptr;                        ///< outlives the actor
  std::shared_ptr<LogCleanerCounts> counts = {};
  Millis look_ms = 15'000;
  Millis retry_ms = 300'000;
  std::size_t bytes_per_second = std::size_t{32} << 20;  ///< read and written
  std::size_t step_bytes = std::size_t{1} << 20;
  std::size_t map_bytes_max = std::size_t{64} << 20;
};

caf::actor spawn_log_cleaner(caf::actor_system& system, SpawnMode mode, LogCleanerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
