#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/log_reader.hpp"
#include "actors/partition_messages.hpp"

namespace troupe::actors {

/// Serves one partition while this node leads it: one actor per epoch, spawned and ended by partition_manager.
///
///   ProduceSlot --> LeaderReplica --> AppendBatches --> disk_worker --> AppendResults --> commit --> SlotAnswered
///                                                                                          `--> fetches that wait, the tail
///   FetchPartition --> what was committed last, from memory | LogReaders --> FetchAnswered
///
/// The log is opened by the first message that needs it: a partition that nobody uses costs no descriptor. When the disk worker goes
/// down, or an append has an unknown outcome, the leader ends with an error, and its successor starts from the log.
struct PartitionLeaderOptions {
  TopicIdPartition partition = {};
  std::string topic = {};  ///< for people
  LeaderEpoch epoch{0};
  metadata::TopicConfig config = {};
  DiskWorker disk_worker = {};
  const LogReaders* readers = nullptr;  ///< outlives the actor
  const Clock* clock = nullptr;         ///< outlives the actor
  bool has_files = false;               ///< it was written before: retention has something to look at
  /// Committed batches kept in memory while somebody reads at the end of the log, in bytes.
  std::size_t recent_bytes_max = std::size_t{256} << 10;
};

caf::actor spawn_partition_leader(caf::actor_system& system, PartitionLeaderOptions options, ActorRowPtr row);

}  // namespace troupe::actors
