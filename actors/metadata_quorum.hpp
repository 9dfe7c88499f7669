#pragma once

#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/image_holder.hpp"
#include "actors/log_reader.hpp"
#include "actors/metadata_messages.hpp"
#include "base/clock.hpp"

namespace troupe::actors {

/// The metadata log's partition: `__cluster_metadata`, partition 0.
inline constexpr TopicId metadata_topic_id{{0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};
inline constexpr TopicIdPartition metadata_partition{metadata_topic_id, PartitionId{0}};

/// Keeps the metadata log and what it adds up to, the MetadataImage: one voter, which is the controller.
///
///   requests --> [queue] -- a turn --> rules --> records --> one batch --> disk_worker --> committed --> image, answers, updates
///
/// One batch is on its way to the disk at a time; what comes meanwhile is the next turn's. A worker that goes down leaves the batch's
/// outcome open: the log is opened again and read, and shows it. Nothing waits in a thread.
///
/// The actor ends with an error when the metadata cannot be trusted: the snapshot is damaged and the log no longer begins at 0, the
/// log is damaged, it belongs to another cluster, or it ends before what was committed. Its message says which file.
struct MetadataQuorumOptions {
  std::function<DiskWorker()> disk_worker =
      {};                                     ///< the run of its own disk_worker that lives now; null: none (a HandleSlot)
  const LogReaders* readers = nullptr;        ///< outlive the actor
  std::shared_ptr<ImageHolder> images = {};   ///< where each committed image is put
  metadata::BrokerImage broker = {};          ///< this node, as clients reach it
  Uuid incarnation = {};                      ///< of this run of the process; nil: a random one for each run of the actor
  const Clock* clock = nullptr;               ///< for the records' timestamps; outlives the actor
  std::function<Uuid()> new_uuid = {};        ///< default: Uuid::random()
  std::size_t requests_max = 32'768;          ///< waiting; beyond it: overloaded
  std::size_t snapshot_records_min = 20'000;  ///< records since the last snapshot that make a new one worth while
  std::uint64_t segment_bytes = std::uint64_t{4} << 20;  ///< of the metadata log
};

MetadataQuorum spawn_metadata_quorum(caf::actor_system& system, MetadataQuorumOptions options, ActorRowPtr row);

}  // namespace troupe::actors
