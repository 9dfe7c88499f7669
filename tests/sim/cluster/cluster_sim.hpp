#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tests/sim/quorum_cluster.hpp"

/// Whole clusters, 3 to 7 nodes of all the real machines: QuorumNode, MetadataMachine, ControllerDuties, LeaderReplica, FollowerReplica,
/// fetch sessions, ProducePipeline, and their codecs, on a simulated network, disks and clocks. One thread, one seed, one history.
///
///   founding, a topic is made
///   faults (some virtual seconds): crash, power cut, failing sync, lost disk, pause, partitions, clogging, loss, repetition, reordering,
///     clocks; elections, reassignments, drains, stops in order, changes of voters, topics made and deleted
///   then they end, and within a bound all brokers are in service, every partition has a ready leader, a full ISR and equal logs, all
///     images are the same, and all producers are answered
namespace troupe::sim {

struct ClusterReport {
  std::optional<std::string> violation = {};  ///< "Invariant: what"
  Marks marks = {};
  std::uint64_t steps = 0;
  std::uint64_t trace = 0;         ///< equal for equal seeds
  std::uint64_t acknowledged = 0;  ///< records, at `quorum`
  Millis healing_ms = 0;           ///< from the last fault until all is as it should be
  std::string settings = {};
};

/// The same clusters with consumer groups on them: the real GroupCoordinator beside the leaders of a replicated `__consumer_offsets`,
/// TurnLog, GroupReader on the nodes, and the codecs between them. Nothing is lost for good in them (flush = fsync).
///
///   OneOwnerPerPartitionPerEpoch, CommittedOffsetsNeverRetreat, NoRecordSkipped, AssignmentIsBalanced, StickyMovesAreMinimal,
///   FencedMembersCannotCommit, AcknowledgedCommitsAreKept: group_judge.hpp. EveryPartitionIsEventuallyOwned: after the faults every
///   partition is read by one member of each group, and everything in it is committed
ClusterReport run_group_seed(std::uint64_t seed, std::function<void(const std::string&)> log = {});
ClusterReport run_cluster_seed(std::uint64_t seed, std::function<void(const std::string&)> log = {});

}  // namespace troupe::sim
