#include "core/metadata/broker_lifecycle.hpp"

#include <algorithm>

#include "core/metadata/image_builder.hpp"

namespace troupe::metadata {
namespace {

/// Gates what only newer nodes understand: docs/formats/metadata.md says what each level is.
constexpr const char* feature_name = "metadata.version";
constexpr std::int16_t feature_level = 2;

Error not_registered(BrokerId id) {
  return {Errc::broker_id_not_registered, "broker " + to_string(id) + " is not registered"};
}

Result<const BrokerRegistration*> registered_run(const MetadataImage& image, BrokerId id, BrokerEpoch epoch) {
  const auto* broker = image.find_broker(id);
  if (broker == nullptr) return not_registered(id);
  if (broker->broker_epoch.value() != epoch.value()) {
    return Error{Errc::stale_broker_epoch, "broker " + to_string(id) + " is registered with broker epoch " +
                                               to_string(broker->broker_epoch) + ", not " + to_string(epoch)};
  }
  return broker;
}

BrokerStateRecord state_record(const BrokerRegistration& broker) {
  return {broker.broker.id, broker.broker_epoch, broker.fenced, broker.draining, broker.stopping};
}

/// Settles the partitions that `concerns` it, with `broker` as it will be.
template <class Concerns>
void settle(const MetadataImage& image, const BrokerRegistration& broker, ClusterDecision& decision, Concerns concerns) {
  const BrokerStates brokers{image, broker};
  for_each_partition(image, [&](const TopicImage& topic, PartitionId partition, const PartitionImage& now) {
    if (!concerns(now)) return;
    PartitionChange change{brokers, topic, partition, now};
    change.settle();
    commit_change(change, decision);
  });
}

bool has_another_disk(const BrokerImage& now, const BrokerImage& before) {
  return !now.directory_id.is_nil() && !before.directory_id.is_nil() && now.directory_id != before.directory_id;
}

bool is_in_isr(const PartitionImage& partition, BrokerId broker) {
  return partition.leader == broker || has_broker(partition.isr, broker);
}

}  // namespace

ClusterDecision decide_register(const MetadataImage& image, const RegisterBrokerRequest& request) {
  const auto id = request.broker.id;
  const auto* known = image.find_broker(id);
  ClusterDecision decision;
  if (known != nullptr && known->incarnation == request.incarnation && known->broker == request.broker) return decision;
  const bool alone = image.registrations().empty() || (known != nullptr && image.registrations().size() == 1);
  auto record = to_record(request.broker, request.incarnation);
  record.fenced = !alone;
  record.draining = known != nullptr && known->draining;
  decision.records.emplace_back(record);

  const BrokerRegistration next{
      .broker = request.broker, .incarnation = request.incarnation, .fenced = record.fenced, .draining = record.draining};
  const BrokerStates brokers{image, next};
  const bool lost_disk = known != nullptr && has_another_disk(request.broker, known->broker);
  for_each_partition(image, [&](const TopicImage& topic, PartitionId partition, const PartitionImage& now) {
    if (!has_broker(now.replicas, id)) return;
    PartitionChange change{brokers, topic, partition, now};
    if (lost_disk) {
      change.forget_log(id);
    } else if (!request.clean && topic.config.flush == FlushMode::interval) {
      change.distrust(id);
    }
    change.settle();
    if (commit_change(change, decision)) return;
    // It leads on, alone, with what it has left. The registration itself raises the leader epoch.
    if (auto unclean = change.unclean_election()) {
      if (unclean->leader_epoch < LeaderEpoch::max()) ++unclean->leader_epoch;
      decision.answer.unclean.push_back(*unclean);
    }
  });
  return decision;
}

Result<ClusterDecision> decide_fence(const MetadataImage& image, const FenceBrokerRequest& request) {
  TROUPE_TRY_ASSIGN(const auto* known, registered_run(image, request.broker, request.broker_epoch));
  ClusterDecision decision;
  if (known->fenced) return decision;
  auto next = *known;
  next.fenced = true;
  decision.records.emplace_back(state_record(next));
  settle(image, next, decision, [&](const PartitionImage& now) { return is_in_isr(now, request.broker); });
  return decision;
}

Result<ClusterDecision> decide_unfence(const MetadataImage& image, const UnfenceBrokerRequest& request) {
  TROUPE_TRY_ASSIGN(const auto* known, registered_run(image, request.broker, request.broker_epoch));
  ClusterDecision decision;
  if (!known->fenced) return decision;
  auto next = *known;
  next.fenced = false;
  decision.records.emplace_back(state_record(next));
  settle(image, next, decision,
         [&](const PartitionImage& now) { return now.leader == no_broker && has_broker(now.replicas, request.broker); });
  return decision;
}

Result<ClusterDecision> decide_stop(const MetadataImage& image, const StopBrokerRequest& request) {
  TROUPE_TRY_ASSIGN(const auto* known, registered_run(image, request.broker, request.broker_epoch));
  ClusterDecision decision;
  if (known->stopping) return decision;
  auto next = *known;
  next.stopping = true;
  decision.records.emplace_back(state_record(next));
  settle(image, next, decision, [&](const PartitionImage& now) { return is_in_isr(now, request.broker); });
  return decision;
}

Result<ClusterDecision> decide_drain(const MetadataImage& image, const DrainBrokerRequest& request) {
  const auto* known = image.find_broker(request.broker);
  if (known == nullptr) return not_registered(request.broker);
  ClusterDecision decision;
  auto next = *known;
  next.draining = request.drain;
  if (known->draining != next.draining) decision.records.emplace_back(state_record(next));
  if (!next.draining) return decision;
  const BrokerStates brokers{image, next};
  for_each_partition(image, [&](const TopicImage& topic, PartitionId partition, const PartitionImage& now) {
    if (now.leader != request.broker) return;
    PartitionChange change{brokers, topic, partition, now};
    if (decision.answer.moved < request.moves_max) change.settle();
    if (!commit_change(change, decision) || change.now().leader == request.broker) ++decision.answer.left;
  });
  return decision;
}

Result<ClusterDecision> decide_unregister(const MetadataImage& image, const UnregisterBrokerRequest& request) {
  const auto* known = image.find_broker(request.broker);
  if (known == nullptr) return not_registered(request.broker);
  if (!known->fenced) {
    return Error{Errc::conflict, "broker " + to_string(request.broker) + " is alive: stop it first"};
  }
  if (const auto load = load_of(image, request.broker); load.replicas > 0) {
    return Error{Errc::conflict, "broker " + to_string(request.broker) + " has copies of " + std::to_string(load.replicas) +
                                     " partitions: reassign them first"};
  }
  ClusterDecision decision;
  decision.records.emplace_back(BrokerUnregisteredRecord{request.broker, known->broker_epoch});
  return decision;
}

std::optional<FeatureLevelRecord> decide_upgrade(const MetadataImage& image, BrokerId own) {
  const auto level = image.features().find(feature_name);
  if (level != image.features().end() && level->second >= feature_level) return std::nullopt;
  const bool others = std::ranges::any_of(image.registrations(), [&](const auto& one) { return one.broker.id != own; });
  if (others && level != image.features().end()) return std::nullopt;
  return FeatureLevelRecord{feature_name, feature_level};
}

BrokerLoad load_of(const MetadataImage& image, BrokerId broker) {
  BrokerLoad load;
  const BrokerStates brokers{image};
  for_each_partition(image, [&](const TopicImage&, PartitionId, const PartitionImage& now) {
    load.replicas += has_broker(now.replicas, broker) ? 1 : 0;
    if (now.leader != broker) return;
    ++load.leads;
    const auto could = [&](BrokerId other) { return other != broker && brokers.fitness(other) < Fitness::stopping; };
    load.movable += std::ranges::any_of(now.isr, could) ? 1 : 0;
  });
  return load;
}

}  // namespace troupe::metadata
