#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "core/metadata/topic_image.hpp"

/// What brokers, leaders of partitions and operators ask of the active controller, besides topics (topic_requests.hpp).
namespace troupe::metadata {

/// A member of a proposed ISR: one run of a broker, so that the controller can refuse a run that has ended. Source: KIP-903.
struct IsrMemberProposal {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;  ///< no_broker_epoch: not known to the leader; a member all the same

  friend bool operator==(const IsrMemberProposal&, const IsrMemberProposal&) = default;
};

/// "Of the state with these epochs, make this the ISR."
struct IsrProposal {
  TopicIdPartition partition = {};
  LeaderEpoch leader_epoch{0};
  PartitionEpoch partition_epoch{0};
  std::vector<IsrMemberProposal> isr = {};

  friend bool operator==(const IsrProposal&, const IsrProposal&) = default;
};

/// All that one broker's leaders want at once. Each is accepted or refused by itself, in this order of reasons:
///   the asking broker's run has ended             stale_broker_epoch, for all
///   no such partition                             unknown_topic_or_partition
///   another leader epoch, or it is not the leader  fenced_leader_epoch
///   another partition epoch                       invalid_update_version
///   no ISR of this partition (none, one twice, not a replica, without its leader)   invalid_argument
///   a member that is fenced or of another run, or a new one that is draining or stopping   ineligible_replica
/// The order matters: a repeated request of which the first was accepted must not come as far as the last.
struct AlterPartitionsRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
  std::vector<IsrProposal> proposals = {};
};

/// One answer a proposal, in order: the partition as it is committed.
using AlterPartitionsAnswer = std::vector<Result<PartitionImage>>;

/// A run of a broker wants to be part of the cluster. It is fenced until a heartbeat says that it has applied its registration, unless it
/// is the only one. The same run again changes nothing; a drain goes on.
struct RegisterBrokerRequest {
  BrokerImage broker = {};
  Uuid incarnation = {};
  /// It holds all that it has ever written: the run before ended in order. Matters for topics with `flush = interval`.
  bool clean = false;
  /// The incarnation that this very process had before, when it takes a new one; nil: it had none.
  Uuid previous_incarnation = {};
};

/// "I am there", every few hundred milliseconds. Not a command: nothing of it is written. liveness.hpp
struct HeartbeatRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
  Offset applied{0};            ///< all below is in its image
  bool wants_shutdown = false;  ///< it is about to end, and shall lead nothing then
};
struct HeartbeatAnswer {
  bool fenced = true;     ///< it leads nothing
  bool drained = false;   ///< it is draining, and leads nothing any more
  bool may_stop = false;  ///< it wants to, leads nothing that another could lead, and everybody knows

  friend bool operator==(const HeartbeatAnswer&, const HeartbeatAnswer&) = default;
};

/// It is silent: it leads nothing, and is in no ISR that has others, from now on. Errors: broker_id_not_registered, stale_broker_epoch.
struct FenceBrokerRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
};
/// It is there, and has caught up with the metadata. Errors: as FenceBrokerRequest.
struct UnfenceBrokerRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
};
/// It ends in order: its leaderships move to others, and it leaves their ISRs. Errors: as FenceBrokerRequest.
struct StopBrokerRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
};
/// Its leaderships move to others of the ISRs, and new topics avoid it, until it is undrained; it goes on following. `left` of the answer:
/// what it leads still, because nobody else can, or because `moves_max` was reached. Errors: broker_id_not_registered.
struct DrainBrokerRequest {
  BrokerId broker = no_broker;
  bool drain = true;  ///< false: it is to be used again
  std::size_t moves_max = 1'000;
};
/// It is forgotten. Errors: broker_id_not_registered, conflict (it is alive, or holds copies).
struct UnregisterBrokerRequest {
  BrokerId broker = no_broker;
};

/// Each partition is answered by itself:
///   no such partition                                   unknown_topic_or_partition
///   it has that leader, or for unclean any leader       election_not_needed
///   `to` is not a replica                               invalid_replica_assignment
///   the preferred one is not ready or not in the ISR    preferred_leader_not_available
///   neither is `to`, or nobody at all                   eligible_leaders_not_available
struct ElectLeadersRequest {
  std::vector<TopicIdPartition> partitions = {};
  BrokerId to = no_broker;  ///< no_broker: the preferred one; for unclean: the best there is
  /// When there is no leader and nobody in sync is alive: any live replica will do, and what it lacks is lost.
  bool unclean = false;
};

/// New replicas of a partition, the preferred leader first. In force when those that are added are in the ISR.
struct Reassignment {
  TopicIdPartition partition = {};
  std::optional<std::vector<BrokerId>> replicas = {};  ///< nullopt: call the one off that is under way
};
/// Each is answered by itself: unknown_topic_or_partition, broker_id_not_registered, invalid_replica_assignment (none, one twice, a new
/// one that is draining), reassignment_in_progress (to others), no_reassignment_in_progress (nothing to call off),
/// eligible_leaders_not_available (nobody of those before is in sync: it cannot be called off).
struct ReassignPartitionsRequest {
  std::vector<Reassignment> reassignments = {};
};

/// Leaderships back to the preferred replicas, off draining brokers, and to anybody where there is no leader. Every few seconds.
struct BalanceLeadersRequest {
  std::size_t moves_max = 100;
};

/// One run of a broker cannot use these logs of its own any more: it leads them no longer, is in no ISR and not eligible, until it has
/// copied them anew. The leader epoch grows whoever leads, so that nobody counts what the broker held before. Each partition is answered
/// by itself:
///   the asking broker's run has ended              stale_broker_epoch, for all
///   no such partition                              unknown_topic_or_partition
///   nobody else could lead without losing records  eligible_leaders_not_available; nothing has changed
///   it holds no replica                            as it is
/// Source: KIP-858 (replicas on a log directory that failed).
struct GiveUpReplicasRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
  std::vector<TopicIdPartition> partitions = {};
};

using ClusterRequest = std::variant<RegisterBrokerRequest, FenceBrokerRequest, UnfenceBrokerRequest, StopBrokerRequest,
                                    DrainBrokerRequest, UnregisterBrokerRequest, AlterPartitionsRequest, ElectLeadersRequest,
                                    ReassignPartitionsRequest, BalanceLeadersRequest, GiveUpReplicasRequest>;

/// A leader that may lack committed records: for the log, at warning level.
struct UncleanElection {
  TopicIdPartition partition = {};
  BrokerId leader = no_broker;
  LeaderEpoch leader_epoch{0};
  bool last_known_leader = false;  ///< it led last, and came back from a crash: the best there can be. Source: KIP-966.

  friend bool operator==(const UncleanElection&, const UncleanElection&) = default;
};

/// What each ClusterRequest is answered with.
struct ClusterAnswer {
  std::vector<Result<PartitionImage>> partitions =
      {};  ///< one a proposal, election, reassignment or replica given up, in order, as committed
  std::vector<UncleanElection> unclean = {};  ///< that this led to
  std::size_t moved = 0;                      ///< partitions that have another leader now
  std::size_t left = 0;                       ///< drain, balance: leaders that should move and did not
};

}  // namespace troupe::metadata
