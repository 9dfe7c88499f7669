#include "core/metadata/leadership.hpp"

#include <algorithm>
#include <array>

namespace troupe::metadata {
namespace {

Error not_needed(const PartitionImage& now) {
  return {Errc::election_not_needed, "broker " + to_string(now.leader) + " leads the partition already"};
}

/// What a named replica lacks to be elected cleanly; nullptr: nothing.
const char* obstacle(const BrokerStates& brokers, const PartitionImage& now, BrokerId broker) {
  switch (brokers.fitness(broker)) {
    case Fitness::fenced: return "is fenced";
    case Fitness::stopping: return "is stopping";
    case Fitness::draining: return "is draining";
    case Fitness::ready: break;
  }
  return has_broker(now.isr, broker) ? nullptr : "is not in the ISR";
}

Status elect_named(PartitionChange& change, const BrokerStates& brokers, const ElectLeadersRequest& request) {
  const bool preferred = request.to == no_broker;
  const auto to = preferred ? change.now().replicas.front() : request.to;
  if (!has_broker(change.now().replicas, to)) {
    return Error{Errc::invalid_replica_assignment, "broker " + to_string(to) + " has no copy of the partition"};
  }
  if (change.now().leader == to) return not_needed(change.now());
  const auto* why = obstacle(brokers, change.now(), to);
  if (why == nullptr) {
    change.lead(to);
    return ok();
  }
  if (request.unclean && change.now().leader == no_broker) {
    change.settle();
    if (change.now().leader == no_broker) change.elect_unclean(to);
    if (change.now().leader == to) return ok();
  }
  return Error{preferred ? Errc::preferred_leader_not_available : Errc::eligible_leaders_not_available,
               "broker " + to_string(to) + " " + why};
}

Status elect_any(PartitionChange& change) {
  if (change.now().leader != no_broker) return not_needed(change.now());
  change.settle();
  change.elect_unclean();
  if (change.now().leader != no_broker) return ok();
  return Error{Errc::eligible_leaders_not_available, "no broker that has a copy of the partition is alive"};
}

Result<PartitionImage> elect(ClusterChanges& changes, const BrokerStates& brokers, const TopicIdPartition& id,
                             const ElectLeadersRequest& request) {
  TROUPE_TRY_ASSIGN(const auto found, changes.find(id));
  PartitionChange change{brokers, *found.topic, id.partition, *found.partition};
  if (found.partition->replicas.empty()) {
    return Error{Errc::eligible_leaders_not_available, "the partition has no replicas"};
  }
  TROUPE_TRY(request.unclean && request.to == no_broker ? elect_any(change) : elect_named(change, brokers, request));
  return changes.commit(change, id);
}

enum class Wish : std::uint8_t { leader, off_a_leaver, preferred, none };

/// A guess that costs no copies: most partitions want nothing.
Wish wish_of(const BrokerStates& brokers, const PartitionImage& partition) {
  const auto fitness = brokers.fitness(partition.leader);
  if (fitness == Fitness::fenced) return Wish::leader;
  if (fitness != Fitness::ready) return Wish::off_a_leaver;
  const auto preferred = partition.replicas.front();
  if (preferred == partition.leader || obstacle(brokers, partition, preferred) != nullptr) return Wish::none;
  return Wish::preferred;
}

}  // namespace

ClusterDecision decide_elect(const MetadataImage& image, const ElectLeadersRequest& request) {
  ClusterChanges changes{image};
  const BrokerStates brokers{image};
  std::vector<Result<PartitionImage>> answers;
  answers.reserve(request.partitions.size());
  for (const auto& id : request.partitions) answers.push_back(elect(changes, brokers, id, request));
  changes.decision().answer.partitions = std::move(answers);
  return std::move(changes.decision());
}

ClusterDecision decide_balance(const MetadataImage& image, const BalanceLeadersRequest& request) {
  struct Candidate {
    Wish wish;
    const TopicImage* topic;
    PartitionId partition;
  };
  const BrokerStates brokers{image};
  std::vector<Candidate> candidates;
  for_each_partition(image, [&](const TopicImage& topic, PartitionId partition, const PartitionImage& now) {
    if (now.replicas.empty()) return;
    if (const auto wish = wish_of(brokers, now); wish != Wish::none) candidates.push_back({wish, &topic, partition});
  });
  std::ranges::stable_sort(candidates, {}, &Candidate::wish);
  ClusterDecision decision;
  for (const auto& [wish, topic, partition] : candidates) {
    PartitionChange change{brokers, *topic, partition, topic->partitions[static_cast<std::size_t>(partition.value())]};
    if (wish == Wish::preferred) {
      change.lead(change.now().replicas.front());
    } else {
      change.settle();
    }
    if (change.now() == change.before()) continue;
    if (decision.records.size() >= request.moves_max) {
      ++decision.answer.left;
    } else {
      commit_change(change, decision);
    }
  }
  return decision;
}

}  // namespace troupe::metadata
