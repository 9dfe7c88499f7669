#include "tests/sim/replication/sim_controller.hpp"

#include <algorithm>

namespace troupe::sim {

using replication::contains;
using replication::PartitionState;

SimController::SimController(std::vector<PartitionState> partitions, std::size_t min_insync_replicas)
    : partitions_(std::move(partitions)), min_insync_replicas_(min_insync_replicas) {
  for (std::size_t i = 0; i < partitions_.size(); ++i) changes_.push_back({i, partitions_[i]});
}

std::size_t SimController::minimum(const PartitionState& state) const {
  return std::min(min_insync_replicas_, state.replicas.size());
}

bool SimController::alive(BrokerId broker) const {
  const auto found = brokers_.find(broker);
  return found != brokers_.end() && !found->second.fenced;
}

void SimController::commit(std::size_t partition, PartitionState state) {
  auto& known = partitions_[partition];
  if (state == known) return;
  state.partition_epoch = known.partition_epoch + 1;
  if (state.isr.size() >= minimum(state)) state.eligible_leader_replicas.clear();
  known = state;
  changes_.push_back({partition, std::move(state)});
  if (on_change) on_change(partition);
}

/// Who leaves an ISR that is then below the minimum still holds everything committed: nothing more can be until it has grown.
void SimController::leave_isr(PartitionState& state, BrokerId broker, bool keeps_its_log) const {
  const bool was_member = std::erase(state.isr, broker) > 0;
  if (!keeps_its_log) {
    std::erase(state.eligible_leader_replicas, broker);
  } else if (was_member && state.isr.size() < minimum(state)) {
    state.eligible_leader_replicas.push_back(broker);
  }
}

void SimController::elect(PartitionState& state) {
  const auto candidate = std::ranges::find_if(state.isr, [&](BrokerId broker) { return alive(broker); });
  if (candidate != state.isr.end()) {
    state.leader = *candidate;
  } else {
    auto& eligible = state.eligible_leader_replicas;
    const auto other = std::ranges::find_if(eligible, [&](BrokerId broker) { return alive(broker); });
    if (other == eligible.end()) {
      if (state.leader == no_broker) return;
      state.leader = no_broker;
    } else {
      state.leader = *other;
      state.isr.push_back(*other);
      eligible.erase(other);
      ++eligible_elections;
    }
  }
  state.leader_epoch = state.leader_epoch + 1;
}

void SimController::fence(BrokerId broker, bool keeps_its_log) {
  brokers_[broker].fenced = true;
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    auto state = partitions_[i];
    leave_isr(state, broker, keeps_its_log);
    if (state.leader == broker) elect(state);
    commit(i, std::move(state));
  }
}

SimController::Registered SimController::register_broker(BrokerId broker, std::uint64_t run, bool intact) {
  auto& known = brokers_[broker];
  if (known.epoch != no_broker_epoch && run <= known.run) return {known.epoch, known.position};
  fence(broker, intact);
  known.run = run;
  known.epoch = BrokerEpoch{next_broker_epoch_++};
  known.position = changes_.size();
  return {known.epoch, known.position};
}

void SimController::heartbeat(BrokerId broker, BrokerEpoch epoch, std::size_t position, MonotonicMs now) {
  auto& known = brokers_[broker];
  if (known.epoch != epoch || position < known.position) return;
  known.heard = now;
  known.fenced = false;
}

std::vector<SimController::Unclean> SimController::check(MonotonicMs now, Millis session_ms) {
  for (const auto& [broker, one] : brokers_) {
    if (!one.fenced && now - one.heard > session_ms) fence(broker, true);
  }
  std::vector<Unclean> unclean;
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    auto state = partitions_[i];
    if (state.leader != no_broker) continue;
    elect(state);
    const bool nobody_left = state.leader == no_broker && state.isr.empty() && state.eligible_leader_replicas.empty();
    if (nobody_left && std::ranges::all_of(state.replicas, [&](BrokerId broker) { return alive(broker); })) {
      state.leader = state.replicas.front();
      state.isr = {state.leader};
      state.leader_epoch = state.leader_epoch + 1;
      unclean.push_back({i, state.leader});
    }
    commit(i, std::move(state));
  }
  return unclean;
}

void SimController::move_leader(std::size_t partition, BrokerId to) {
  auto state = partitions_[partition];
  if (state.leader == to || !contains(state.isr, to) || !alive(to)) return;
  state.leader = to;
  state.leader_epoch = state.leader_epoch + 1;
  commit(partition, std::move(state));
}

Result<PartitionState> SimController::alter(std::size_t partition, BrokerId from,
                                            const replication::AlterPartition& request) {
  const auto& known = partitions_[partition];
  if (request.leader_epoch != known.leader_epoch || known.leader != from)
    return Error{Errc::fenced_leader_epoch, "another leader epoch"};
  if (request.partition_epoch != known.partition_epoch)
    return Error{Errc::invalid_update_version, "another partition epoch"};
  auto state = known;
  state.isr.clear();
  for (const auto& member : request.isr) {
    const auto broker = brokers_.find(member.broker);
    const bool eligible =
        alive(member.broker) && (member.broker_epoch == no_broker_epoch || member.broker_epoch == broker->second.epoch);
    if (!eligible) return Error{Errc::ineligible_replica, "a member is fenced, or of another run"};
    state.isr.push_back(member.broker);
  }
  for (const auto broker : known.isr) {
    if (!contains(state.isr, broker) && state.isr.size() < minimum(state)) state.eligible_leader_replicas.push_back(broker);
  }
  for (const auto broker : state.isr) std::erase(state.eligible_leader_replicas, broker);
  state.partition_epoch = known.partition_epoch + 1;
  if (state.isr.size() >= minimum(state)) state.eligible_leader_replicas.clear();
  partitions_[partition] = state;
  changes_.push_back({partition, state});
  if (on_change) on_change(partition);
  return state;
}

}  // namespace troupe::sim
