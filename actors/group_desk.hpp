#pragma once

#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/group_directory.hpp"
#include "actors/group_front.hpp"
#include "actors/group_messages.hpp"
#include "actors/image_holder.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/peer_links.hpp"

namespace troupe::actors {

struct GroupDeskOptions {
  BrokerId node_id{0};
  std::shared_ptr<const ImageHolder> images = {};
  std::function<MetadataQuorum()> metadata_quorum = {};  ///< the one that lives now, or null
  const GroupDirectory* directory = nullptr;             ///< outlives the actor
  std::shared_ptr<GroupListeners> listeners = {};
  PeerLinks* links = nullptr;                         ///< outlives the actor; null: there are no other nodes
  std::size_t calls_max = 50'000;                     ///< that wait for an answer, of this node and of others each
  std::size_t bytes_max = std::size_t{64} << 20;      ///< of the calls of this node that wait
  std::size_t call_bytes_max = std::size_t{4} << 20;  ///< of one call
};

/// Brings the calls of this node's GroupApi to the groups' coordinators, wherever they are, and those of other nodes to the coordinators on
/// this one. Makes `__consumer_offsets` when the first call comes that would change something.
///
///   GroupApiCall --> who leads the group's partition --> CoordinatorCall | a call of the link --> answer
///                    ^                                     | not there, loading, nobody leads: after 25 ms
///                    `-------------------------------------' unknown outcome, and it may be asked again
///
/// Beyond the bounds a call is refused: overloaded. Serves Channel::group.
caf::actor spawn_group_desk(caf::actor_system& system, GroupDeskOptions options, ActorRowPtr row);

}  // namespace troupe::actors
