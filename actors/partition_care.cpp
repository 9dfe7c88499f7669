#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/partition_roles.hpp"
#include "base/log.hpp"

/// What becomes of replicas whose logs cannot be used. The rest of PartitionRoles is in partition_roles.cpp.
namespace troupe::actors {
namespace {

using Cause = replication::ReplicaCare::Cause;
using Step = replication::ReplicaCare::Step;

constexpr auto disk_timeout = std::chrono::seconds(60);
constexpr Millis give_up_ms_max = 5'000;
constexpr Millis rot_again_ms = 60'000;

}  // namespace

void PartitionRoles::log_failed(const LogFailed& failed) {
  const auto found = held_.find(failed.partition);
  if (found != held_.end() && found->second.state.replicas.size() > 1) {
    log::error("a log failed and is handed over; the others go on",
               {log::kv("topic", found->second.topic->name), log::kv("partition", failed.partition.partition),
                log::kv("error", failed.error)});
    return ail(found, Cause::offline);
  }
  if (const auto worker = options_.disk_worker()) self_.send(worker, RecoverDirectory{failed.partition});
}

void PartitionRoles::log_rotten(const LogRotten& rotten) {
  const auto found = held_.find(rotten.partition);
  if (found == held_.end() || found->second.care || found->second.state.replicas.size() < 2) return;
  if (now_of(self_) < found->second.rot_not_before) return;
  log::error("a log is damaged on the disk and is handed over",
             {log::kv("topic", found->second.topic->name), log::kv("partition", rotten.partition.partition),
              log::kv("error", rotten.error)});
  ail(found, Cause::rot);
}

void PartitionRoles::ail(HeldMap::iterator at, Cause cause) {
  auto& held = at->second;
  if (held.care && held.care->cause() == Cause::rot) held.care.reset();  // now it is worse
  if (!held.care) held.care.emplace(cause, held.state.leader_epoch, now_of(self_));
  // From now on it states no position: none of a later epoch may be counted.
  if (held.role == Role::follower) end(*at);
  tend(at);
}

void PartitionRoles::tend(HeldMap::iterator at) {
  auto& held = at->second;
  switch (held.care->next(held.state, options_.node_id, !held.actor, now_of(self_))) {
    case Step::wait: return;
    case Step::ask: return give_up(at);
    case Step::set_aside: return set_aside(at);
    case Step::recover:
      if (const auto worker = options_.disk_worker()) self_.send(worker, RecoverDirectory{at->first});
      return;
    case Step::go_on:
      log::error("a damaged log stays in use: no other replica could take over without losing records",
                 {log::kv("topic", held.topic->name), log::kv("partition", at->first.partition)});
      held.care.reset();
      held.rot_not_before = now_of(self_) + rot_again_ms;
      return settle(at);
  }
}

void PartitionRoles::give_up(HeldMap::iterator at) {
  const auto answered = [this, id = at->first](std::optional<Errc> refusal) {
    const auto found = held_.find(id);
    if (found == held_.end() || !found->second.care) return;
    found->second.care->answered(refusal, now_of(self_));
    tend_later(*found);
    settle(found);
  };
  const auto quorum = options_.metadata_quorum();
  if (!quorum || broker_epoch_ == no_broker_epoch) return answered(Errc::leader_not_available);
  metadata::GiveUpReplicasRequest request{options_.node_id, broker_epoch_, {at->first}};
  self_.request(quorum, std::chrono::milliseconds(give_up_ms_max + 1'000), ChangeCluster{std::move(request), give_up_ms_max})
      .then(
          [answered](const ClusterChanged& changed) {
            const auto& all = changed.answer->partitions;
            if (all.size() != 1) return answered(Errc::leader_not_available);
            answered(all.front() ? std::nullopt : std::optional{all.front().error().code});
          },
          [answered](caf::error& error) { answered(from_caf_error(error).code); });
}

void PartitionRoles::set_aside(HeldMap::iterator at) {
  const auto id = at->first;
  const auto failed = [this, id] {
    const auto found = held_.find(id);
    if (found == held_.end() || !found->second.care) return;
    found->second.care->not_stored(now_of(self_));
    tend_later(*found);
  };
  const auto worker = options_.disk_worker();
  if (!worker) return failed();
  self_.request(worker, disk_timeout, SetAsideLog{id})
      .then(
          [this, id](const Done&) {
            const auto found = held_.find(id);
            if (found == held_.end()) return;
            written_.erase(id);
            found->second.care.reset();
            found->second.failed = false;
            settle(found);
          },
          [id, failed](caf::error& error) {
            log::warn("a log was not set aside", {log::kv("partition", id), log::kv("error", from_caf_error(error))});
            failed();
          });
}

void PartitionRoles::tend_later(const HeldMap::value_type& held) {
  const auto pause = held.second.care->next_deadline() - now_of(self_);
  restart_later_(held.first, std::max(Millis{1}, pause));
}

}  // namespace troupe::actors
