#include "core/metadata/isr_rules.hpp"

#include <algorithm>

namespace troupe::metadata {
namespace {

std::string named(const ClusterChanges::Found& found, const IsrProposal& proposal) {
  return "partition " + to_string(proposal.partition.partition) + " of \"" + found.topic->name + "\"";
}

Status check_epochs(const ClusterChanges::Found& found, const IsrProposal& proposal, BrokerId from) {
  const auto& now = *found.partition;
  if (proposal.leader_epoch != now.leader_epoch || now.leader != from) {
    return Error{Errc::fenced_leader_epoch, named(found, proposal) + " is led by broker " + to_string(now.leader) +
                                                " in leader epoch " + to_string(now.leader_epoch) + ", not by " +
                                                to_string(from) + " in " + to_string(proposal.leader_epoch)};
  }
  if (proposal.partition_epoch != now.partition_epoch) {
    return Error{Errc::invalid_update_version, named(found, proposal) + " has partition epoch " +
                                                   to_string(now.partition_epoch) + ", not " +
                                                   to_string(proposal.partition_epoch)};
  }
  return ok();
}

Status check_shape(const ClusterChanges::Found& found, const IsrProposal& proposal, const std::vector<BrokerId>& isr) {
  const auto wrong = [&](const std::string& what) {
    return Error{Errc::invalid_argument, "an ISR for " + named(found, proposal) + " " + what};
  };
  for (std::size_t i = 0; i < isr.size(); ++i) {
    if (!has_broker(found.partition->replicas, isr[i]))
      return wrong("with broker " + to_string(isr[i]) + ", which has no copy");
    if (has_broker(std::span{isr}.first(i), isr[i])) return wrong("with broker " + to_string(isr[i]) + " twice");
  }
  if (!has_broker(isr, found.partition->leader))
    return wrong("without its leader, broker " + to_string(found.partition->leader));
  return ok();
}

/// A member of now may drain or stop: to ask that it leave is not the leader's business.
Status check_member(const BrokerStates& brokers, const PartitionImage& now, const IsrMemberProposal& member) {
  const auto refuse = [&](const std::string& why) {
    return Error{Errc::ineligible_replica, "broker " + to_string(member.broker) + " may not be in an ISR: it " + why};
  };
  const auto* broker = brokers.find(member.broker);
  if (broker == nullptr) return refuse("is not registered");
  if (broker->fenced) return refuse("is fenced");
  if (member.broker_epoch != no_broker_epoch && member.broker_epoch.value() != broker->broker_epoch.value()) {
    return refuse("has broker epoch " + to_string(broker->broker_epoch) + ", not " + to_string(member.broker_epoch));
  }
  if (has_broker(now.isr, member.broker)) return ok();
  if (broker->stopping) return refuse("is stopping");
  if (broker->draining) return refuse("is draining");
  return ok();
}

Result<PartitionImage> alter(ClusterChanges& changes, const BrokerStates& brokers, const IsrProposal& proposal,
                             BrokerId from) {
  TROUPE_TRY_ASSIGN(const auto found, changes.find(proposal.partition));
  TROUPE_TRY(check_epochs(found, proposal, from));
  std::vector<BrokerId> isr;
  for (const auto& member : proposal.isr) isr.push_back(member.broker);
  TROUPE_TRY(check_shape(found, proposal, isr));
  for (const auto& member : proposal.isr) TROUPE_TRY(check_member(brokers, *found.partition, member));
  PartitionChange change{brokers, *found.topic, proposal.partition.partition, *found.partition};
  change.set_isr(std::move(isr));
  return changes.commit(change, proposal.partition, true);
}

bool runs(const MetadataImage& image, BrokerId broker, BrokerEpoch broker_epoch) {
  const auto* asking = image.find_broker(broker);
  return asking != nullptr && asking->broker_epoch.value() == broker_epoch.value();
}

Error stale_run(BrokerId broker, BrokerEpoch broker_epoch) {
  return {Errc::stale_broker_epoch,
          "broker " + to_string(broker) + " is not registered with broker epoch " + to_string(broker_epoch)};
}

Result<PartitionImage> give_up(ClusterChanges& changes, const BrokerStates& brokers, const TopicIdPartition& id,
                               BrokerId broker) {
  TROUPE_TRY_ASSIGN(const auto found, changes.find(id));
  if (!has_broker(found.partition->replicas, broker)) return *found.partition;
  PartitionChange change{brokers, *found.topic, id.partition, *found.partition};
  change.distrust(broker);
  change.settle();
  const auto leader = change.now().leader;
  if (leader == no_broker || leader == broker || change.unclean_election()) {
    return Error{Errc::eligible_leaders_not_available, "partition " + to_string(id.partition) + " of \"" +
                                                           found.topic->name + "\" has no replica but that of broker " +
                                                           to_string(broker) + " that could lead without losing records"};
  }
  change.begin_epoch();
  return changes.commit(change, id, true);
}

}  // namespace

ClusterDecision decide_alter_partitions(const MetadataImage& image, const AlterPartitionsRequest& request) {
  ClusterChanges changes{image};
  const BrokerStates brokers{image};
  const bool current = runs(image, request.broker, request.broker_epoch);
  std::vector<Result<PartitionImage>> answers;
  answers.reserve(request.proposals.size());
  for (const auto& proposal : request.proposals) {
    answers.push_back(current ? alter(changes, brokers, proposal, request.broker)
                              : stale_run(request.broker, request.broker_epoch));
  }
  changes.decision().answer.partitions = std::move(answers);
  return std::move(changes.decision());
}

ClusterDecision decide_give_up(const MetadataImage& image, const GiveUpReplicasRequest& request) {
  ClusterChanges changes{image};
  const BrokerStates brokers{image};
  const bool current = runs(image, request.broker, request.broker_epoch);
  std::vector<Result<PartitionImage>> answers;
  answers.reserve(request.partitions.size());
  for (const auto& id : request.partitions) {
    answers.push_back(current ? give_up(changes, brokers, id, request.broker)
                              : stale_run(request.broker, request.broker_epoch));
  }
  changes.decision().answer.partitions = std::move(answers);
  return std::move(changes.decision());
}

}  // namespace troupe::metadata
