#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/image_holder.hpp"
#include "actors/leader_locator.hpp"
#include "actors/log_reader.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/partition_directory.hpp"
#include "actors/restart_policy.hpp"

namespace troupe::actors {

/// Makes this node's actors what the metadata says: a partition_leader for each partition that it leads, a partition_tail for each one with
/// local subscribers, wherever it is led. Starts a leader again that failed, when the disk is there, after a pause that grows.
///
///   MetadataUpdate --> created: leaders   changed: configuration, new epochs, more partitions   deleted: end, then remove the files
///   DirectoryOpened -> the disk is (again) there: leaders; logs that no topic owns go to the quarantine
///   a tick --> retention, a few partitions at a time
///
/// A data directory that was recovered while the node ran is a new incarnation of the broker: the metadata gives its partitions new
/// leader epochs first (docs/decisions/0010).
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
  std::uint64_t seed = 0;                 ///< of the jitter
  std::shared_ptr<std::atomic<bool>> serving = std::make_shared<std::atomic<bool>>(false);  ///< set while leaders may run
};

/// Takes MetadataUpdate, DirectoryOpened, AttachListener, DetachListener. The pointers in `options` outlive the actor.
caf::actor spawn_partition_manager(caf::actor_system& system, PartitionManagerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
