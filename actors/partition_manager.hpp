#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/image_holder.hpp"
#include "actors/leader_locator.hpp"
#include "actors/peer_links.hpp"
#include "actors/log_reader.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/partition_directory.hpp"
#include "actors/restart_policy.hpp"
#include "core/metadata/cluster_requests.hpp"

namespace troupe::actors {

/// Makes this node's actors what the metadata says: a partition_leader for each partition that it leads, a partition_follower for each one
/// that it holds a replica of, a replica_fetcher for each node whose partitions it follows, one replica_server for who follows its own, an
/// isr_desk, a partition_tail for each partition with local subscribers, wherever it is led; it listens at this node's own replica while
/// that is in sync. Starts again what failed, when the disk is
/// there, after a pause that grows.
///
///   MetadataUpdate --> created: roles   changed: configuration, ISR, new epochs and leaders   deleted: end, then remove the files
///   DirectoryOpened -> the disk is (again) there: roles; logs that no topic owns go to the quarantine (log_care)
///   LogFailed, LogRotten -> a replica that others take over from (partition_care.cpp)
///   PeerState -------> the fetcher of that node
///   a tick --> retention, a few partitions at a time
///
/// A data directory that was recovered while the node ran is a new incarnation of the broker: the metadata gives its partitions new
/// leader epochs first (docs/decisions/0010). Replicated partitions wait for that as long as it takes: what was promised to other nodes may
/// be gone.
///
/// The log of a partition that is assigned to other nodes stays where it is for `left_log_ms`, then it is removed.
struct PartitionManagerOptions {
  BrokerId node_id{0};
  metadata::BrokerImage broker = {};
  std::function<DiskWorker()> disk_worker = {};          ///< the one that lives now, or null
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  std::shared_ptr<const ImageHolder> images = {};        ///< may be ahead of the updates that have come here
  const LogReaders* readers = nullptr;
  const Clock* clock = nullptr;
  PartitionDirectory* directory = nullptr;
  LeaderLocator* leaders = nullptr;
  ActorTable* table = nullptr;
  RestartPolicy::Options restart = {.restarts_max = 20};
  Millis retention_check_ms = 30'000;
  std::size_t retention_partitions = 64;  ///< looked at per second, at most
  Millis left_log_ms = 600'000;           ///< how long the log of a partition is kept that only other nodes hold by now
  std::uint64_t seed = 0;                 ///< of the jitter, and of fetch sessions: another one for each run of the node
  PeerLinks* links = nullptr;             ///< outlives the actor; null: this node is alone
  /// As in IsrDeskOptions; needed with `links`.
  std::function<void(metadata::AlterPartitionsRequest, std::uint64_t token, caf::actor reply_to)> ask_controller = {};
  /// Who is behind for longer leaves the ISR. Until then nothing is acknowledged that it does not have: two nodes that do not reach each
  /// other, a follower whose disk is full. A leader looks twice in that time, so it may take twice as long.
  Millis replica_lag_max_ms = 10'000;
  std::shared_ptr<std::atomic<bool>> serving = std::make_shared<std::atomic<bool>>(false);  ///< set while leaders may run
};

/// Takes MetadataUpdate, DirectoryOpened, LogFailed, LogRotten, AttachListener, DetachListener, PeerState. Pointers in options outlive it.
caf::actor spawn_partition_manager(caf::actor_system& system, PartitionManagerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
