#include "actors/partition_roles.hpp"

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/isr_desk.hpp"
#include "actors/partition_follower.hpp"
#include "actors/partition_leader.hpp"
#include "actors/replica_fetcher.hpp"
#include "actors/replica_server.hpp"
#include "base/log.hpp"

namespace troupe::actors {

PartitionRoles::PartitionRoles(caf::event_based_actor& self, const PartitionManagerOptions& options, const ActorRow& parent,
                               std::function<void(const TopicIdPartition&, Millis)> restart_later,
                               std::function<void()> revive_later)
    : self_(self),
      options_(options),
      parent_(parent),
      restart_later_(std::move(restart_later)),
      revive_later_(std::move(revive_later)),
      random_(options.seed) {}

/// Also good while the actor is being destroyed: nobody is named as the sender.
PartitionRoles::~PartitionRoles() {
  for (auto& held : held_) {
    if (!held.second.actor) continue;
    if (held.second.role == Role::leader) options_.directory->remove(held.first);
    options_.leaders->remove_follower(held.first);
    caf::anon_send_exit(held.second.actor, caf::exit_reason::user_shutdown);
  }
  for (const auto& [peer, fetcher] : fetchers_) caf::anon_send_exit(fetcher, caf::exit_reason::user_shutdown);
  if (server_) caf::anon_send_exit(server_, caf::exit_reason::user_shutdown);
  if (desk_) caf::anon_send_exit(desk_, caf::exit_reason::user_shutdown);
}

PartitionRoles::Role PartitionRoles::role_of(const replication::PartitionState& state) const {
  if (state.leader == options_.node_id) return Role::leader;
  return replication::contains(state.replicas, options_.node_id) ? Role::follower : Role::none;
}

std::string PartitionRoles::name_of(const HeldMap::value_type& held) {
  return held.second.topic->name + "/" + to_string(held.first.partition);
}

// --- the metadata

void PartitionRoles::set_broker_epoch(BrokerEpoch epoch) {
  if (epoch == broker_epoch_) return;
  broker_epoch_ = epoch;
  end_fetchers();  // they speak for the run before
  for (auto& held : held_) {
    if (held.second.role == Role::follower) held.second.followed = no_broker;
  }
  settle_all();
}

void PartitionRoles::take(const metadata::TopicPtr& topic) {
  for (std::int32_t number = 0; number < topic->partition_count(); ++number) {
    const TopicIdPartition id{topic->id, PartitionId{number}};
    auto state = partition_state_of(topic->partitions[static_cast<std::size_t>(number)]);
    auto found = held_.find(id);
    if (found == held_.end()) {
      if (role_of(state) == Role::none) continue;
      found = held_.emplace(id, Held{topic, state, RestartPolicy{options_.restart}}).first;
    }
    auto& held = found->second;
    const bool other_config = !(held.topic->config == topic->config);
    held.topic = topic;
    if (held.state.leader_epoch != state.leader_epoch) held.failed = false;
    held.state = std::move(state);
    if (other_config && held.actor && !held.ending) self_.send(held.actor, ConfigChanged{topic->config});
    settle(found);
  }
}

void PartitionRoles::drop(const TopicIdPartition& id) {
  const auto found = held_.find(id);
  if (found == held_.end()) return;
  let_go(*found);
  options_.table->remove("partition_leader", name_of(*found));
  options_.table->remove("partition_follower", name_of(*found));
  held_.erase(found);
}

void PartitionRoles::drop_if_not(const std::function<bool(const TopicIdPartition&)>& keeps) {
  std::vector<TopicIdPartition> gone;
  for (const auto& [id, held] : held_) {
    if (!keeps(id)) gone.push_back(id);
  }
  for (const auto& id : gone) drop(id);
}

void PartitionRoles::broker_back(BrokerId broker) {
  for (auto& [id, held] : held_) {
    if (held.actor && held.role == Role::leader && replication::contains(held.state.replicas, broker))
      self_.send(held.actor, BrokerBack{});
  }
}

// --- the disk

void PartitionRoles::directory_opened(std::unordered_set<TopicIdPartition> written, bool again) {
  written_ = std::move(written);
  directory_open_ = true;
  for (auto& held : held_) {
    held.second.failed = false;
    held.second.care.reset();  // recovered, or found damaged again
    if (again && role_of(held.second.state) == Role::leader) held.second.leads_from = held.second.state.leader_epoch + 1;
    end(held);
  }
  if (again) set_broker_epoch(no_broker_epoch);
  settle_all();
}

void PartitionRoles::release_single() {
  for (auto& [id, held] : held_) {
    if (held.state.replicas.size() <= 1) held.leads_from = LeaderEpoch{0};
  }
  settle_all();
}

// --- roles

void PartitionRoles::settle_all() {
  for (auto at = held_.begin(); at != held_.end();) settle(at++);
}

void PartitionRoles::settle(HeldMap::iterator at) {
  auto& held = at->second;
  const auto wanted = role_of(held.state);
  if (held.care && wanted != Role::none) {
    const bool over = wanted != held.role || (wanted == Role::leader && held.led != held.state.leader_epoch);
    if (held.actor && !held.ending && over) end(*at);
    return tend(at);
  }
  if (!held.actor) {
    if (wanted != Role::none) return start(at);
    options_.table->remove("partition_leader", name_of(*at));
    options_.table->remove("partition_follower", name_of(*at));
    held_.erase(at);
    return;
  }
  if (held.ending) return;  // again when it has ended
  if (wanted != held.role || (wanted == Role::leader && held.led != held.state.leader_epoch)) return end(*at);
  if (wanted == Role::leader) {
    self_.send(held.actor, PartitionChanged{held.state});
  } else {
    follow(*at);
  }
}

void PartitionRoles::start(HeldMap::iterator at) {
  auto& held = at->second;
  if (!directory_open_ || held.failed) return;
  const auto worker = options_.disk_worker();
  if (!worker) return;  // DirectoryOpened will come
  const bool leads = role_of(held.state) == Role::leader;
  if (leads && held.state.leader_epoch < held.leads_from) return;
  if ((held.state.replicas.size() > 1 || !leads) && broker_epoch_ == no_broker_epoch) return;
  if (leads) {
    start_leader(at, worker);
  } else {
    start_follower(at, worker);
  }
  actors_.emplace(held.actor.id(), at->first);
  self_.monitor(held.actor);
}

void PartitionRoles::start_leader(HeldMap::iterator at, const DiskWorker& worker) {
  auto& [id, held] = *at;
  options_.table->remove("partition_follower", name_of(*at));
  const auto row = options_.table->add("partition_leader", name_of(*at), parent_.name());
  held.role = Role::leader;
  // A manager before this one may have started a leader of this epoch.
  const bool again = held.led == held.state.leader_epoch || parent_.restarts() > 0;
  held.led = held.state.leader_epoch;
  held.actor = spawn_partition_leader(self_.system(),
                                      {.partition = id,
                                       .topic = held.topic->name,
                                       .node_id = options_.node_id,
                                       .broker_epoch = broker_epoch_,
                                       .state = held.state,
                                       .confirm = again,
                                       .config = held.topic->config,
                                       .disk_worker = worker,
                                       .readers = options_.readers,
                                       .clock = options_.clock,
                                       .manager = caf::actor_cast<caf::actor_addr>(&self_),
                                       .has_files = written_.contains(id),
                                       .replica_server = server_slot_,
                                       .isr_desk = desk_slot_,
                                       .replica_lag_max_ms = options_.replica_lag_max_ms},
                                      row);
  options_.directory->set(id, {held.actor, held.led});
  for (const auto peer : peers_down_) {
    if (replication::contains(held.state.replicas, peer)) self_.send(held.actor, PeerState{.id = peer});
  }
}

void PartitionRoles::start_follower(HeldMap::iterator at, const DiskWorker& worker) {
  auto& [id, held] = *at;
  options_.table->remove("partition_leader", name_of(*at));
  const auto row = options_.table->add("partition_follower", name_of(*at), parent_.name());
  held.role = Role::follower;
  held.followed = no_broker;
  held.followed_epoch = LeaderEpoch{-1};
  held.actor = spawn_partition_follower(self_.system(),
                                        {.partition = id,
                                         .topic = held.topic->name,
                                         .config = held.topic->config,
                                         .disk_worker = worker,
                                         .readers = options_.readers,
                                         .manager = caf::actor_cast<caf::actor_addr>(&self_),
                                         .incarnation = next_incarnation_++},
                                        row);
  options_.leaders->set_follower(id, held.actor);
  follow(*at);
}

/// Tells a follower whom to follow, if that is news.
void PartitionRoles::follow(HeldMap::value_type& one) {
  auto& [id, held] = one;
  const auto leader = broker_epoch_ == no_broker_epoch ? no_broker : held.state.leader;
  if (held.followed == leader && held.followed_epoch == held.state.leader_epoch) return;
  if (held.followed != leader) unfollow(one);
  held.followed = leader;
  held.followed_epoch = held.state.leader_epoch;
  const auto fetcher = leader == no_broker ? nullptr : fetcher_of(leader);
  if (fetcher) self_.send(fetcher, FollowPartition{id, held.actor});
  self_.send(held.actor, FollowLeader{held.state.leader_epoch, fetcher});
}

void PartitionRoles::unfollow(HeldMap::value_type& one) {
  const auto fetcher = fetchers_.find(one.second.followed);
  if (fetcher != fetchers_.end()) self_.send(fetcher->second, UnfollowPartition{one.first});
  one.second.followed = no_broker;
}

/// Its log is free when it has gone down.
void PartitionRoles::end(HeldMap::value_type& one) {
  auto& [id, held] = one;
  if (!held.actor || std::exchange(held.ending, true)) return;
  if (held.role == Role::leader) {
    options_.directory->remove(id);
  } else {
    options_.leaders->remove_follower(id);
    unfollow(one);
  }
  caf::anon_send_exit(held.actor, caf::exit_reason::user_shutdown);
}

void PartitionRoles::let_go(HeldMap::value_type& one) {
  auto& held = one.second;
  if (!held.actor) return;
  end(one);
  actors_.erase(held.actor.id());
  self_.demonitor(held.actor);
  held.actor = nullptr;
}

void PartitionRoles::restart(const TopicIdPartition& id) {
  if (const auto found = held_.find(id); found != held_.end()) settle(found);
}

// --- failures

bool PartitionRoles::on_down(const caf::down_msg& down, MonotonicMs now) {
  const auto is_it = [&](const caf::actor& actor) { return actor && actor.address() == down.source; };
  const auto fetcher = std::ranges::find_if(fetchers_, [&](const auto& entry) { return is_it(entry.second); });
  if (is_it(server_) || is_it(desk_) || fetcher != fetchers_.end()) {
    log::warn("an actor of the replication failed", {log::kv("error", from_caf_error(down.reason))});
    if (is_it(server_)) server_ = nullptr;
    if (is_it(desk_)) desk_ = nullptr;
    if (fetcher != fetchers_.end()) {
      for (auto& [id, held] : held_) {
        if (held.followed == fetcher->first) held.followed = no_broker;
      }
      fetchers_.erase(fetcher);
    }
    revive_later_();
    return true;
  }
  const auto known = actors_.find(down.source.id());
  if (known == actors_.end()) return false;
  const auto id = known->second;
  actors_.erase(known);
  const auto found = held_.find(id);
  if (found == held_.end()) return true;
  auto& held = found->second;
  held.actor = nullptr;
  if (held.role == Role::leader) {
    options_.directory->remove(id);
  } else {
    options_.leaders->remove_follower(id);
    unfollow(*found);
  }
  if (std::exchange(held.ending, false)) {
    settle(found);
    return true;
  }
  const auto error = from_caf_error(down.reason ? down.reason : caf::error{caf::exit_reason::kill});
  if (held.care) {
    const auto row = options_.table->add(kind_of(held.role), name_of(*found), parent_.name());
    row->set_last_error(to_string(error));
    row->set_state(ActorState::waiting_restart);
    settle(found);
    return true;
  }
  if (error.code == Errc::log_offline || !options_.disk_worker())
    return true;  // all of them, with the disk: DirectoryOpened will come
  const auto kind = kind_of(held.role);
  const auto row = options_.table->add(kind, name_of(*found), parent_.name());
  row->set_last_error(to_string(error));
  constexpr Millis never{-1};
  const Millis pause = error.code == Errc::log_damaged ? never : held.restarts.on_failure(now, random_).value_or(never);
  const auto actor_field = log::kv("actor", kind);
  const auto topic_field = log::kv("topic", held.topic->name);
  const auto partition_field = log::kv("partition", id.partition);
  if (pause == never) {
    held.failed = true;
    row->set_state(ActorState::failed);
    log::error("the actor of a partition failed for good",
               {actor_field, topic_field, partition_field, log::kv("error", error)});
    if (error.code == Errc::log_damaged && held.state.replicas.size() > 1)
      ail(found, replication::ReplicaCare::Cause::damaged);
    return true;
  }
  row->count_restart();
  row->set_state(ActorState::waiting_restart);
  log::warn("the actor of a partition failed",
            {actor_field, topic_field, partition_field, log::kv("error", error), log::kv("restart_ms", pause)});
  restart_later_(id, pause);
  return true;
}

// --- the actors between nodes

void PartitionRoles::revive() {
  if (options_.links == nullptr) return;
  if (!server_) {
    const auto row = options_.table->add("replica_server", "replica_server", parent_.name());
    server_ = spawn_replica_server(self_.system(),
                                   {.links = options_.links,
                                    .directory = options_.directory,
                                    .listener = caf::actor_cast<caf::actor>(&self_),
                                    .seed = random_.next()},
                                   row);
    self_.monitor(server_);
    server_slot_->set(server_);
  }
  if (!desk_) {
    const auto row = options_.table->add("isr_desk", "isr_desk", parent_.name());
    desk_ = spawn_isr_desk(
        self_.system(), {.node_id = options_.node_id, .images = options_.images, .ask_controller = options_.ask_controller},
        row);
    self_.monitor(desk_);
    desk_slot_->set(desk_);
  }
  for (auto& held : held_) {
    if (held.second.actor && held.second.role == Role::follower && !held.second.ending) follow(held);
  }
}

caf::actor PartitionRoles::fetcher_of(BrokerId peer) {
  if (options_.links == nullptr) return nullptr;
  auto& fetcher = fetchers_[peer];
  if (!fetcher) {
    const auto row = options_.table->add("replica_fetcher", "from broker " + to_string(peer), parent_.name());
    fetcher = spawn_replica_fetcher(self_.system(),
                                    {.node_id = options_.node_id,
                                     .broker_epoch = broker_epoch_,
                                     .peer = peer,
                                     .links = options_.links,
                                     .peer_up = !peers_down_.contains(peer)},
                                    row);
    self_.monitor(fetcher);
  }
  return fetcher;
}

void PartitionRoles::end_fetchers() {
  for (const auto& [peer, fetcher] : fetchers_) {
    self_.demonitor(fetcher);
    caf::anon_send_exit(fetcher, caf::exit_reason::user_shutdown);
  }
  fetchers_.clear();
}

void PartitionRoles::peer_changed(const PeerState& state) {
  if (state.up) {
    peers_down_.erase(state.id);
  } else {
    peers_down_.insert(state.id);
  }
  if (const auto fetcher = fetchers_.find(state.id); fetcher != fetchers_.end()) self_.send(fetcher->second, state);
  for (auto& [id, held] : held_) {
    if (held.actor && held.role == Role::leader && replication::contains(held.state.replicas, state.id))
      self_.send(held.actor, state);
  }
}

void PartitionRoles::end_all() {
  for (auto& held : held_) let_go(held);
  end_fetchers();
}

// --- what others ask

const std::string* PartitionRoles::led_topic(const TopicIdPartition& id) const {
  const auto found = held_.find(id);
  if (found == held_.end() || role_of(found->second.state) != Role::leader) return nullptr;
  return &found->second.topic->name;
}

caf::actor PartitionRoles::leader(const TopicIdPartition& id) const {
  const auto found = held_.find(id);
  return found != held_.end() && found->second.role == Role::leader ? found->second.actor : nullptr;
}

bool PartitionRoles::any_replicated() const {
  return std::ranges::any_of(held_, [](const auto& one) { return one.second.state.replicas.size() > 1; });
}

std::vector<TopicIdPartition> PartitionRoles::partitions() const {
  std::vector<TopicIdPartition> all;
  all.reserve(held_.size());
  for (const auto& [id, held] : held_) all.push_back(id);
  return all;
}

}  // namespace troupe::actors
