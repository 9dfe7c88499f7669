#pragma once

#include <caf/actor_addr.hpp>
#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handle_slot.hpp"
#include "actors/handles.hpp"
#include "actors/log_reader.hpp"
#include "actors/partition_messages.hpp"
#include "actors/replica_messages.hpp"

namespace troupe::actors {

/// Serves one partition while this node leads it: one actor per epoch, spawned and ended by partition_manager.
///
///   ProduceSlot --> LeaderReplica --> AppendBatches --> disk_worker --> AppendResults --> commit --> SlotAnswered
///                                                                                          `--> fetches that wait, the tail
///   FetchPartition --> what was committed last, from memory | LogReaders --> FetchAnswered
///
///   FollowerFetch --> LeaderReplica --> a follower holds it --> commit        its turn: FollowerTurn --> records from memory or disk
///
/// The log is opened by the first message that needs it: a partition that nobody uses costs no descriptor. One that is replicated is
/// opened at once. When the disk worker goes down, or an append has an unknown outcome, the leader ends with an error, and its
/// successor starts from the log.
///
/// A leader that begins again in an epoch that it led before (`confirm`) does not know what its predecessor had asked of the controller
/// and whether that is in force. It asks for the ISR as it knows it once more: when that is accepted, all older requests are void, for they
/// name an older partition epoch. Until then it does nothing.
///
/// Told to end (an exit message, but for kill), it resigns: who waits hears leadership_lost.
struct PartitionLeaderOptions {
  TopicIdPartition partition = {};
  std::string topic = {};  ///< for people
  BrokerId node_id{0};
  BrokerEpoch broker_epoch = no_broker_epoch;  ///< of this node's run
  replication::PartitionState state = {};      ///< as committed; its leader epoch is this leader's
  bool confirm = false;
  metadata::TopicConfig config = {};
  DiskWorker disk_worker = {};
  const LogReaders* readers = nullptr;  ///< outlives the actor
  const Clock* clock = nullptr;         ///< outlives the actor
  caf::actor_addr manager = {};         ///< is told when the log is found damaged; may be null
  bool has_files = false;               ///< it was written before: retention has something to look at
  /// Committed batches kept in memory while somebody reads at the end of the log, in bytes.
  std::size_t recent_bytes_max = std::size_t{256} << 10;
  /// Null, or without an actor, as long as no partition is replicated.
  std::shared_ptr<const HandleSlot<caf::actor>> replica_server = {};
  std::shared_ptr<const HandleSlot<caf::actor>> isr_desk = {};
  Millis replica_lag_max_ms = 30'000;
};

caf::actor spawn_partition_leader(caf::actor_system& system, PartitionLeaderOptions options, ActorRowPtr row);

}  // namespace troupe::actors
