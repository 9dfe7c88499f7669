#pragma once

#include <caf/actor_addr.hpp>
#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/log_reader.hpp"
#include "actors/replica_messages.hpp"
#include "core/metadata/topic_config.hpp"

namespace troupe::actors {

/// Keeps one replica of a partition that another node leads: one actor as long as the node follows, whoever leads. Spawned and ended by
/// partition_manager.
///
///   FollowLeader --> FollowerReplica --FollowerPosition--> replica_fetcher of the leader's node
///                    FollowerReplica <--FollowerAnswer---- replica_fetcher
///                    FollowerReplica --AppendBatches | TruncateLog | ResetLog--> disk_worker, one at a time
///
/// A wish to stop (an exit message, but for kill) is fulfilled when the disk has done what it was asked to: who leads or follows next
/// begins with the log as it is then. A storage effect with an unknown outcome, and a disk worker that goes down, end the actor with
/// an error; its successor starts from the log as recovered. A log with a hole is not followed with: the actor ends with log_damaged.
struct PartitionFollowerOptions {
  TopicIdPartition partition = {};
  std::string topic = {};  ///< for people
  metadata::TopicConfig config = {};
  DiskWorker disk_worker = {};
  const LogReaders* readers = nullptr;  ///< outlives the actor
  caf::actor_addr manager = {};         ///< is told when the log is found damaged; may be null
  std::uint64_t incarnation = 0;        ///< of this actor: never used twice for the partition
  Millis retry_ms = 100;
  std::size_t recent_bytes_max = std::size_t{256} << 10;  ///< kept in memory for a tail
};

/// Takes FollowLeader, FollowerAnswer, ConfigChanged, RunRetention, AppendResults; of consumers on this node FetchPartition, FindOffset,
/// AttachTail and DetachTail, as a leader does, as far as it knows what is committed (follower_reads.hpp).
caf::actor spawn_partition_follower(caf::actor_system& system, PartitionFollowerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
