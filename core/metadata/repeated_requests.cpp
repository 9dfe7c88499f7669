#include "core/metadata/repeated_requests.hpp"

#include <utility>

#include "core/metadata/broker_lifecycle.hpp"
#include "core/metadata/cluster_rules.hpp"
#include "core/metadata/leadership.hpp"
#include "core/metadata/reassignment.hpp"

namespace troupe::metadata {
namespace {

const PartitionImage* find(const MetadataImage& image, const TopicIdPartition& id) {
  const auto topic = image.find_topic(id.topic_id);
  if (!topic || id.partition < PartitionId{0} || id.partition.value() >= topic->partition_count()) return nullptr;
  return &topic->partitions[static_cast<std::size_t>(id.partition.value())];
}

std::optional<PartitionSeen> seen(const MetadataImage& image, const TopicIdPartition& id) {
  const auto* partition = find(image, id);
  if (partition == nullptr) return std::nullopt;
  return PartitionSeen{partition->leader_epoch, partition->partition_epoch};
}

Error changed_since(const std::string& what) {
  return {Errc::request_timed_out,
          "whether an earlier attempt succeeded is unknown: " + what + " since. Look, and ask again"};
}

/// The leader epoch counts elections; members that leave the ISR meanwhile do not matter.
struct Election {
  const ElectLeadersRequest& request;

  const TopicIdPartition& id(std::size_t i) const { return request.partitions[i]; }
  bool done(std::size_t, const PartitionImage& now) const {
    const auto to = request.to != no_broker ? request.to : now.replicas.empty() ? no_broker : now.replicas.front();
    return to != no_broker && now.leader == to;
  }
  static bool untouched(const PartitionSeen& then, const PartitionImage& now) {
    return then.leader_epoch == now.leader_epoch;
  }
  static Error changed() { return changed_since("another leader was elected"); }
  ElectLeadersRequest part(const std::vector<std::size_t>& open) const {
    ElectLeadersRequest rest{.to = request.to, .unclean = request.unclean};
    for (const auto i : open) rest.partitions.push_back(request.partitions[i]);
    return rest;
  }
};

/// A reassignment that was begun and called off leaves the replicas as they were: only the partition epoch tells.
struct Move {
  const ReassignPartitionsRequest& request;

  const TopicIdPartition& id(std::size_t i) const { return request.reassignments[i].partition; }
  bool done(std::size_t i, const PartitionImage& now) const {
    const auto& wanted = request.reassignments[i].replicas;
    return wanted ? without(now.replicas, now.removing_replicas) == *wanted : !now.is_reassigned();
  }
  static bool untouched(const PartitionSeen& then, const PartitionImage& now) {
    return then.partition_epoch == now.partition_epoch;
  }
  static Error changed() { return changed_since("the partition has changed"); }
  ReassignPartitionsRequest part(const std::vector<std::size_t>& open) const {
    ReassignPartitionsRequest rest;
    for (const auto i : open) rest.reassignments.push_back(request.reassignments[i]);
    return rest;
  }
};

/// Decides what is as it was seen; the rest has its answer.
template <class Of, class Decide>
ClusterDecision decide_open(const MetadataImage& image, const Of& of, std::size_t count, const ClusterSeen& before,
                            Decide decide) {
  std::vector<Result<PartitionImage>> answers;
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* now = find(image, of.id(i));
    const auto* then = i < before.partitions.size() && before.partitions[i] ? &*before.partitions[i] : nullptr;
    if (now != nullptr && of.done(i, *now)) {
      answers.emplace_back(*now);
    } else if (now == nullptr || (then != nullptr && of.untouched(*then, *now))) {
      open.push_back(i);
      answers.emplace_back(PartitionImage{});
    } else {
      answers.emplace_back(of.changed());
    }
  }
  auto decision = decide(image, of.part(open));
  auto& decided = decision.answer.partitions;
  for (std::size_t i = 0; i < open.size(); ++i) answers[open[i]] = std::move(decided[i]);
  decided = std::move(answers);
  return decision;
}

}  // namespace

std::optional<ClusterSeen> seen(const MetadataImage& image, const ClusterRequest& request) {
  ClusterSeen before{.applied = image.applied()};
  if (std::holds_alternative<DrainBrokerRequest>(request)) return before;
  if (const auto* elect = std::get_if<ElectLeadersRequest>(&request)) {
    for (const auto& id : elect->partitions) before.partitions.push_back(seen(image, id));
    return before;
  }
  if (const auto* reassign = std::get_if<ReassignPartitionsRequest>(&request)) {
    for (const auto& one : reassign->reassignments) before.partitions.push_back(seen(image, one.partition));
    return before;
  }
  return std::nullopt;
}

Result<ClusterDecision> decide_repeated(const MetadataImage& image, const ClusterRequest& request, const ClusterSeen& before,
                                        const DrainChanges& drains) {
  if (const auto* drain = std::get_if<DrainBrokerRequest>(&request)) {
    const auto* known = image.find_broker(drain->broker);
    if (known != nullptr && known->draining != drain->drain && drains.changed_since(drain->broker, before.applied)) {
      return changed_since("broker " + to_string(drain->broker) + " was " + (drain->drain ? "undrained" : "drained"));
    }
  } else if (const auto* elect = std::get_if<ElectLeadersRequest>(&request)) {
    return decide_open(image, Election{*elect}, elect->partitions.size(), before, decide_elect);
  } else if (const auto* reassign = std::get_if<ReassignPartitionsRequest>(&request)) {
    return decide_open(image, Move{*reassign}, reassign->reassignments.size(), before, decide_reassign);
  }
  return decide_cluster(image, request);
}

}  // namespace troupe::metadata
