#pragma once

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
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
/// an error; its successor starts from the log as recovered. A log with a hole is not followed with, and so leaves the ISR: the row
/// says so.
struct PartitionFollowerOptions {
  TopicIdPartition partition = {};
  std::string topic = {};  ///< for people
  metadata::TopicConfig config = {};
  DiskWorker disk_worker = {};
  std::uint64_t incarnation = 0;  ///< of this actor: never used twice for the partition
  Millis retry_ms = 100;
};

/// Takes FollowLeader, FollowerAnswer, ConfigChanged, RunRetention, AppendResults.
caf::actor spawn_partition_follower(caf::actor_system& system, PartitionFollowerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
