#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handles.hpp"
#include "actors/image_holder.hpp"
#include "actors/log_reader.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/quorum_standing.hpp"
#include "base/clock.hpp"
#include "core/metadata/controller_duties.hpp"
#include "core/metadata/quorum_options.hpp"

namespace troupe::actors {

class PeerLinks;

/// The metadata log's partition: `__cluster_metadata`, partition 0.
inline constexpr TopicId metadata_topic_id{{0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};
inline constexpr TopicIdPartition metadata_partition{metadata_topic_id, PartitionId{0}};

/// This node's replica of the metadata quorum, a voter or an observer, and what its log adds up to: the MetadataImage.
///
///   requests --> MetadataMachine --> a batch --> QuorumNode --> disk_worker, and the other nodes --> committed --> image, answers, updates
///                     `-- to the controller, when that is another node --> answer --> ... --> in this image, too --> answers
///
/// Where the quorum's leader is, ControllerDuties hears the brokers' heartbeats, and what it wants done is a request as any other.
///
/// Nothing waits in a thread. A disk worker that goes down takes the replica with it: it starts again from the disk, and the log shows
/// what became of what was on its way. A full disk is tried again until there is space; what would have to be written is refused
/// meanwhile (storage_full), where the controller is.
///
/// The node is ready when its registration is committed and in its own image. `controller_id` in images is the quorum's leader.
///
/// The actor ends with an error when the metadata cannot be trusted: the hard state, the snapshot or the log is damaged, they are of
/// another cluster, or the log ends before what was committed. Its message says which file, and the way out.
struct MetadataQuorumOptions {
  std::function<DiskWorker()> disk_worker =
      {};                                    ///< the run of its own disk_worker that lives now; null: none (a HandleSlot)
  const LogReaders* readers = nullptr;       ///< outlive the actor
  std::shared_ptr<ImageHolder> images = {};  ///< where each committed image is put
  /// Where it says how the quorum is.
  std::shared_ptr<QuorumStanding> standing = std::make_shared<QuorumStanding>();
  metadata::BrokerImage broker = {};          ///< this node, as clients and other nodes reach it
  Uuid incarnation = {};                      ///< of this run of the process; nil: a random one for each run of the actor
  const Clock* clock = nullptr;               ///< for the records' timestamps; outlives the actor
  std::function<Uuid()> new_uuid = {};        ///< default: Uuid::random()
  std::size_t requests_max = 32'768;          ///< waiting; beyond it: overloaded
  std::size_t snapshot_records_min = 20'000;  ///< records since the last snapshot that make a new one worth while
  std::uint64_t segment_bytes = std::uint64_t{4} << 20;  ///< of the metadata log

  /// To the other nodes; outlives the actor. Null: a cluster of one, without them.
  PeerLinks* links = nullptr;
  /// The voters of a cluster that is to be founded, this node among them, or none: it joins a cluster that `contacts` know, or with `joins`
  /// whoever it gets a link to. Without any of these it is a cluster of one. Ignored when the disk belongs to a cluster already.
  ///
  /// A directory with a cluster id (DataDirectory::Options, not nil) takes part in that cluster only, and gives a founded one its id.
  std::vector<BrokerId> voters = {};
  std::vector<BrokerId> contacts = {};  ///< whom else to ask for the cluster and its leader
  bool joins = false;
  quorum::QuorumOptions quorum = {};  ///< times and limits; who is who is filled in
  metadata::ControllerDuties::Options duties = {};
};

MetadataQuorum spawn_metadata_quorum(caf::actor_system& system, MetadataQuorumOptions options, ActorRowPtr row);

}  // namespace troupe::actors
