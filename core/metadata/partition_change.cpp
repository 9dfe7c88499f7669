#include "core/metadata/partition_change.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.hpp"
#include "core/metadata/image_builder.hpp"

namespace troupe::metadata {
namespace {

/// Those of `all` that are in `others`, in their order.
std::vector<BrokerId> common(std::span<const BrokerId> all, std::span<const BrokerId> others) {
  std::vector<BrokerId> rest;
  std::ranges::copy_if(all, std::back_inserter(rest), [&](BrokerId broker) { return has_broker(others, broker); });
  return rest;
}

/// Stays at the highest number, as in ImageBuilder.
template <class Epoch>
Epoch next(Epoch epoch) {
  return epoch == Epoch::max() ? epoch : epoch + 1;
}

}  // namespace

bool has_broker(std::span<const BrokerId> brokers, BrokerId broker) {
  return std::ranges::find(brokers, broker) != brokers.end();
}

std::vector<BrokerId> without(std::span<const BrokerId> all, std::span<const BrokerId> others) {
  std::vector<BrokerId> rest;
  std::ranges::copy_if(all, std::back_inserter(rest), [&](BrokerId broker) { return !has_broker(others, broker); });
  return rest;
}

// --- brokers

const BrokerRegistration* BrokerStates::find(BrokerId id) const {
  if (changed_ && changed_->broker.id == id) return &*changed_;
  return image_.find_broker(id);
}

Fitness BrokerStates::fitness(BrokerId id) const {
  const auto* broker = find(id);
  if (broker == nullptr || broker->fenced) return Fitness::fenced;
  if (broker->stopping) return Fitness::stopping;
  return broker->draining ? Fitness::draining : Fitness::ready;
}

// --- one partition

std::size_t PartitionChange::min_insync_replicas() const {
  return std::min(now_.replicas.size(), static_cast<std::size_t>(topic_.config.min_insync_replicas));
}

BrokerId PartitionChange::fittest(std::span<const BrokerId> of, Fitness worst) const {
  auto best = no_broker;
  auto best_fitness = Fitness::fenced;
  for (const auto broker : now_.replicas) {
    if (!has_broker(of, broker)) continue;
    const auto fitness = brokers_.fitness(broker);
    if (fitness > worst || fitness >= best_fitness) continue;
    best = broker;
    best_fitness = fitness;
  }
  return best;
}

void PartitionChange::reassign(const std::vector<BrokerId>& target) {
  TROUPE_ASSERT(!now_.is_reassigned());
  now_.adding_replicas = without(target, now_.replicas);
  now_.removing_replicas = without(now_.replicas, target);
  const auto before = std::exchange(now_.replicas, target);
  if (now_.is_reassigned()) now_.replicas_before = before;
  now_.replicas.insert(now_.replicas.end(), now_.removing_replicas.begin(), now_.removing_replicas.end());
}

bool PartitionChange::enough_stay(std::span<const BrokerId> staying) const {
  auto holders = now_.isr;
  for (const auto broker : now_.eligible_leader_replicas) {
    if (!has_broker(holders, broker)) holders.push_back(broker);
  }
  const auto needed =
      std::min({staying.size(), static_cast<std::size_t>(topic_.config.min_insync_replicas), holders.size()});
  return common(holders, staying).size() >= needed;
}

bool PartitionChange::cancel_reassignment() {
  const auto adding = now_.adding_replicas;
  if (now_.isr.empty() ? has_broker(adding, now_.last_known_leader) : without(now_.isr, adding).empty()) return false;
  if (!enough_stay(without(now_.replicas, adding))) return false;
  const auto before = std::exchange(now_.replicas_before, {});
  now_.replicas = before.empty() ? without(now_.replicas, adding) : before;
  now_.isr = without(now_.isr, adding);
  now_.adding_replicas.clear();
  now_.removing_replicas.clear();
  return true;
}

void PartitionChange::distrust(BrokerId broker) {
  distrusted_.push_back(broker);
  if (!has_broker(now_.isr, broker)) return;
  std::erase(now_.isr, broker);
  if (now_.isr.empty()) now_.last_known_leader = broker;
}

void PartitionChange::forget_log(BrokerId broker) {
  distrust(broker);
  if (now_.last_known_leader == broker && now_.replicas.size() > 1) now_.last_known_leader = no_broker;
}

void PartitionChange::settle() {
  drop_unfit_members();
  update_eligible_leader_replicas();
  ensure_leader();
}

void PartitionChange::drop_unfit_members() {
  if (now_.isr.size() < 2) return;
  const auto keep = [&](Fitness worst) {
    std::vector<BrokerId> fit;
    std::ranges::copy_if(now_.isr, std::back_inserter(fit),
                         [&](BrokerId broker) { return brokers_.fitness(broker) <= worst; });
    if (fit.empty()) return false;
    now_.isr = std::move(fit);
    return true;
  };
  if (keep(Fitness::draining) || keep(Fitness::stopping)) return;
  now_.isr = {has_broker(now_.isr, now_.leader) ? now_.leader : now_.isr.front()};
}

void PartitionChange::ensure_leader() {
  if (has_broker(now_.isr, now_.leader)) {
    const auto fitness = brokers_.fitness(now_.leader);
    if (fitness == Fitness::ready) return;
    const auto better = fittest(now_.isr);
    if (better != no_broker && brokers_.fitness(better) < fitness) now_.leader = better;
    if (fitness != Fitness::fenced || better != no_broker) return;
  } else if (const auto member = fittest(now_.isr); member != no_broker) {
    now_.leader = member;
    return;
  }
  if (lead_alone(fittest(now_.eligible_leader_replicas))) return;
  if (now_.isr.empty() && now_.eligible_leader_replicas.empty() &&
      brokers_.fitness(now_.last_known_leader) != Fitness::fenced && lead_alone(now_.last_known_leader)) {
    unclean_ = true;
    last_known_leader_elected_ = true;
    return;
  }
  now_.leader = no_broker;
  if (topic_.config.unclean_leader_election) elect_unclean();
}

bool PartitionChange::lead_alone(BrokerId leader) {
  if (leader == no_broker) return false;
  now_.leader = leader;
  now_.isr = {leader};
  return true;
}

void PartitionChange::elect_unclean(BrokerId to) {
  if (now_.leader != no_broker) return;
  if (to != no_broker) {
    unclean_ = brokers_.fitness(to) != Fitness::fenced && lead_alone(to);
    return;
  }
  // Who led last has most; new copies have least.
  const std::array last{now_.last_known_leader};
  unclean_ = lead_alone(fittest(last)) || lead_alone(fittest(without(now_.replicas, now_.adding_replicas))) ||
             lead_alone(fittest(now_.replicas));
}

void PartitionChange::complete_reassignment() {
  if (!now_.is_reassigned()) return;
  const auto target = without(now_.replicas, now_.removing_replicas);
  const auto isr = common(now_.isr, target);
  if (!without(now_.adding_replicas, isr).empty() || isr.empty() || !enough_stay(target)) return;
  if (has_broker(now_.removing_replicas, now_.leader) && fittest(isr) == no_broker) return;
  now_.replicas = target;
  now_.isr = isr;
  now_.adding_replicas.clear();
  now_.removing_replicas.clear();
  now_.replicas_before.clear();
  if (now_.leader != no_broker && !has_broker(isr, now_.leader)) now_.leader = fittest(isr);
}

/// Who leaves an ISR that is then too small to commit anything holds all that is committed, until the ISR has grown again. After an
/// unclean election nobody but the leader holds what counts now.
void PartitionChange::update_eligible_leader_replicas() {
  now_.eligible_leader_replicas.clear();
  if (unclean_ || (!now_.isr.empty() && now_.isr.size() >= min_insync_replicas())) return;
  for (const auto broker : now_.replicas) {
    const bool held_all = has_broker(before_.isr, broker) || has_broker(before_.eligible_leader_replicas, broker);
    if (!held_all || has_broker(now_.isr, broker) || has_broker(distrusted_, broker)) continue;
    now_.eligible_leader_replicas.push_back(broker);
  }
}

std::optional<PartitionRecord> PartitionChange::finish(bool even_unchanged) {
  update_eligible_leader_replicas();
  complete_reassignment();
  update_eligible_leader_replicas();
  if (!now_.isr.empty()) now_.last_known_leader = no_broker;
  if (now_.leader != before_.leader || new_epoch_) now_.leader_epoch = next(before_.leader_epoch);
  if (now_ == before_ && !even_unchanged) return std::nullopt;
  now_.partition_epoch = next(before_.partition_epoch);
  return to_record(topic_.id, partition_, now_);
}

std::optional<UncleanElection> PartitionChange::unclean_election() const {
  if (!unclean_) return std::nullopt;
  return UncleanElection{{topic_.id, partition_}, now_.leader, now_.leader_epoch, last_known_leader_elected_};
}

// --- many of them

bool commit_change(PartitionChange& change, ClusterDecision& decision) {
  auto record = change.finish();
  if (!record) return false;
  decision.records.emplace_back(std::move(*record));
  if (change.now().leader != change.before().leader) ++decision.answer.moved;
  if (const auto unclean = change.unclean_election()) decision.answer.unclean.push_back(*unclean);
  return true;
}

Result<ClusterChanges::Found> ClusterChanges::find(const TopicIdPartition& id) const {
  auto topic = image_.find_topic(id.topic_id);
  if (!topic || id.partition < PartitionId{0} || id.partition.value() >= topic->partition_count()) {
    return Error{Errc::unknown_topic_or_partition, "there is no partition " + to_string(id)};
  }
  const auto changed = changed_.find(id);
  const auto* partition =
      changed != changed_.end() ? &changed->second : &topic->partitions[static_cast<std::size_t>(id.partition.value())];
  return Found{std::move(topic), partition};
}

PartitionImage ClusterChanges::commit(PartitionChange& change, const TopicIdPartition& id, bool even_unchanged) {
  auto record = change.finish(even_unchanged);
  auto now = change.now();
  if (!record) return now;
  if (now.leader != change.before().leader) ++decision_.answer.moved;
  if (const auto unclean = change.unclean_election()) decision_.answer.unclean.push_back(*unclean);
  decision_.records.emplace_back(std::move(*record));
  changed_.insert_or_assign(id, now);
  return now;
}

}  // namespace troupe::metadata
