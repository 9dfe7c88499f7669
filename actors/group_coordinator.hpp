#pragma once

#include <memory>

#include <caf/actor.hpp>

#include "actors/actor_table.hpp"
#include "actors/group_directory.hpp"
#include "actors/group_messages.hpp"
#include "actors/handle_slot.hpp"
#include "base/clock.hpp"
#include "base/metrics.hpp"

namespace troupe::actors {

/// Of all coordinators of a node. Default-made they count nowhere.
struct GroupCounters {
  metrics::Counter calls;
  metrics::Counter appends;
  metrics::Counter loads;
};

/// Coordinates the groups of one partition of `__consumer_offsets`, for as long as one leader leads it here: what core/group decides, and
/// what the log holds. Spawned and ended by group_manager.
///
///   a mark --> leader, committed --> the log up to the mark --> replay --> begin --> calls
///   CoordinatorCall --> group::GroupCoordinator --> TurnLog --> leader --> committed --> answers
///     (join, sync: parked until a later turn has the answer)
///
/// The mark, committed in the leader's epoch, is what makes the log known: everything that was written before it is committed, too. Until
/// all is read, calls are answered with coordinator_load_in_progress.
///
/// It ends with its leader, and when an append fails: its state is ahead of the log then, and the next one reads that again. Who waits
/// hears leadership_lost.
struct GroupCoordinatorOptions {
  TopicIdPartition partition = {};
  caf::actor leader = {};  ///< of the partition, in one epoch
  group::GroupCoordinator::Options rules = {};
  metadata::ImagePtr image = {};  ///< what comes later comes as MetadataUpdates
  const Clock* clock = nullptr;   ///< outlives the actor
  std::shared_ptr<const HandleSlot<caf::actor>> desk = {};
  std::shared_ptr<CoordinatorCounts> counts = {};
  GroupCounters counters = {};
  std::size_t held_max = 50'000;  ///< calls that wait, for the log or for others; what comes then is refused: overloaded
};

caf::actor spawn_group_coordinator(caf::actor_system& system, GroupCoordinatorOptions options, ActorRowPtr row);

}  // namespace troupe::actors
