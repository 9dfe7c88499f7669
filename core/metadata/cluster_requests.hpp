#pragma once

#include <vector>

#include "base/result.hpp"
#include "core/metadata/topic_image.hpp"

/// What leaders of partitions ask of the active controller.
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
///   another leader epoch                          fenced_leader_epoch
///   another partition epoch                       invalid_update_version
///   a member that is fenced, draining or of another run   ineligible_replica
/// The order matters: a repeated request of which the first was accepted must not come as far as the last.
struct AlterPartitionsRequest {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
  std::vector<IsrProposal> proposals = {};
};

/// One answer a proposal, in order: the partition as it is committed.
using AlterPartitionsAnswer = std::vector<Result<PartitionImage>>;

}  // namespace troupe::metadata
