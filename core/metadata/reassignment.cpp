#include "core/metadata/reassignment.hpp"

namespace troupe::metadata {
namespace {

Status check_target(const BrokerStates& brokers, const PartitionImage& now, const std::vector<BrokerId>& target) {
  const auto wrong = [](const std::string& what) { return Error{Errc::invalid_replica_assignment, what}; };
  if (target.empty()) return wrong("a partition needs one replica at least");
  for (std::size_t i = 0; i < target.size(); ++i) {
    const auto* broker = brokers.find(target[i]);
    if (broker == nullptr) {
      return Error{Errc::broker_id_not_registered, "there is no broker " + to_string(target[i])};
    }
    if (has_broker(std::span{target}.first(i), target[i]))
      return wrong("broker " + to_string(target[i]) + " is named twice");
    if (!has_broker(now.replicas, target[i]) && broker->draining) {
      return wrong("broker " + to_string(target[i]) + " is draining: it takes no new copies");
    }
  }
  return ok();
}

Result<PartitionImage> call_off(ClusterChanges& changes, PartitionChange& change, const TopicIdPartition& id) {
  if (!change.now().is_reassigned()) {
    return Error{Errc::no_reassignment_in_progress, "the partition is not being reassigned"};
  }
  if (!change.cancel_reassignment()) {
    return Error{Errc::eligible_leaders_not_available,
                 "too few of the replicas from before are in sync: the reassignment cannot be called off now"};
  }
  change.settle();
  return changes.commit(change, id);
}

Result<PartitionImage> reassign(ClusterChanges& changes, const BrokerStates& brokers, const Reassignment& wanted) {
  const auto& id = wanted.partition;
  TROUPE_TRY_ASSIGN(const auto found, changes.find(id));
  const auto& now = *found.partition;
  PartitionChange change{brokers, *found.topic, id.partition, now};
  if (!wanted.replicas) return call_off(changes, change, id);
  TROUPE_TRY(check_target(brokers, now, *wanted.replicas));
  if (now.is_reassigned()) {
    if (without(now.replicas, now.removing_replicas) == *wanted.replicas) return now;
    return Error{Errc::reassignment_in_progress, "the partition is being reassigned already: call that off first"};
  }
  change.reassign(*wanted.replicas);
  return changes.commit(change, id);
}

}  // namespace

ClusterDecision decide_reassign(const MetadataImage& image, const ReassignPartitionsRequest& request) {
  ClusterChanges changes{image};
  const BrokerStates brokers{image};
  std::vector<Result<PartitionImage>> answers;
  answers.reserve(request.reassignments.size());
  for (const auto& one : request.reassignments) answers.push_back(reassign(changes, brokers, one));
  changes.decision().answer.partitions = std::move(answers);
  return std::move(changes.decision());
}

std::vector<ReassignmentProgress> reassignments(const MetadataImage& image) {
  std::vector<ReassignmentProgress> all;
  for_each_partition(image, [&](const TopicImage& topic, PartitionId partition, const PartitionImage& now) {
    if (!now.is_reassigned()) return;
    all.push_back({.partition = {topic.id, partition},
                   .target = without(now.replicas, now.removing_replicas),
                   .adding = now.adding_replicas,
                   .waiting = without(now.adding_replicas, now.isr),
                   .removing = now.removing_replicas});
  });
  return all;
}

}  // namespace troupe::metadata
