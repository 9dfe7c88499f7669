#include <algorithm>

#include "tests/sim/cluster/cluster_simulation.hpp"

namespace troupe::sim {

using namespace metadata;

void ClusterSimulation::trouble() {
  if (healed_) return;
  later_us(prng().between(20'000, 2 * settings_.pace_us), [this] { trouble(); });
  const auto kind = static_cast<Trouble>(prng().below(trouble_count));
  if (draws(kind)) strike(kind);
}

bool ClusterSimulation::draws(Trouble kind) const { return (settings_.troubles >> static_cast<unsigned>(kind) & 1) != 0; }

void ClusterSimulation::strike(Trouble kind) {
  auto& victim = any_node();
  switch (kind) {
    case Trouble::kill: return crash(victim, CrashKind::killed);
    case Trouble::power_cut: return crash(victim, CrashKind::power);
    case Trouble::all_crash:
      if (!prng().chance(1, 3)) return;
      for (auto& one : nodes_) crash(*one, prng().chance(2, 3) ? CrashKind::power : CrashKind::killed);
      return;
    case Trouble::pause: return pause(victim);
    case Trouble::cut:
    case Trouble::cut_again: return cut();
    case Trouble::elect: {
      if (!topic_made_) return;
      const auto partition = any_partition();
      const auto& isr = states_[partition].isr;
      const auto to = isr.empty() || prng().chance(1, 4) ? no_broker : isr[prng().below(isr.size())];
      return operate(ClusterCommand{ElectLeadersRequest{.partitions = {partition_id(partition)}, .to = to}},
                     "election asked");
    }
    case Trouble::crash_leader: {
      const auto leader = states_[any_partition()].leader;
      if (leader != no_broker) crash(node(leader), prng().chance(1, 2) ? CrashKind::power : CrashKind::killed);
      return;
    }
    case Trouble::crash_controller: {
      const auto leader = quorum_.ready_leader();
      if (leader == BrokerId{-1}) return;
      prng().chance(1, 3) ? pause(node(leader)) : crash(node(leader), CrashKind::killed);
      return;
    }
    case Trouble::lose_disk: return lose_disk(victim);
    case Trouble::clog: return clog();
    case Trouble::reassign: return reassign();
    case Trouble::drain: return drain(victim.id());
    case Trouble::stop_in_order:
      if (!victim.up() || victim.stopping() || victim.replicas().paused()) return;
      return victim.stop_in_order([this, &victim] { crash(victim, CrashKind::killed); });
    case Trouble::change_voters: return change_voters();
    case Trouble::change_topics:
      for (auto changes = prng().between(1, 12); changes > 0; --changes)
        later_us(prng().between(0, 1'500'000), [this] { change_topics(); });
      return;
    case Trouble::change_clock:
      quorum_.set_clock(victim.id(), prng().between(900, 1'100));
      wall_offsets_[static_cast<std::size_t>(victim.id().value() - 1)] =
          prng().chance(1, 4) ? prng().between(-315'360'000'000, 315'360'000'000) : prng().between(-7'200'000, 7'200'000);
      return mark("clock changed");
    case Trouble::transfer: {
      const auto leader = quorum_.ready_leader();
      if (leader != BrokerId{-1}) quorum_.transfer(leader, prng().chance(1, 2) ? BrokerId{-1} : victim.id());
      return;
    }
    case Trouble::unregister:
      // One that runs does not come back before its next start.
      if (!victim.up()) operate(ClusterCommand{UnregisterBrokerRequest{victim.id()}}, "unregistered");
      return;
    case Trouble::late_mail: return late_mail(victim);
    case Trouble::crash_joining: return;  // when one joins: crash_joining
  }
}

// --- nodes

void ClusterSimulation::crash(ClusterNode& victim, CrashKind kind) {
  if (!victim.up()) return;
  const auto name = kind == CrashKind::killed ? "killed" : kind == CrashKind::power ? "power cut" : "disk lost";
  mark(name);
  say("n" + to_string(victim.id()) + " " + name);
  const auto incarnation = victim.incarnation();
  victim.crash(kind);
  for (std::size_t p = 0; p < partitions(); ++p) {
    // With `interval` the controller cannot tell a process that was killed from a power cut.
    const bool suspect = kind == CrashKind::disk_lost || settings_.replication.flush == replication::Flush::interval;
    if (!suspect) continue;
    losses_[p].suspects.insert(victim.id());
    losses_[p].any = losses_[p].any || kind != CrashKind::killed;
  }
  tell_of(victim.id(), incarnation, false);
  restart_later(victim);
}

void ClusterSimulation::restart_later(ClusterNode& victim) {
  later_us(prng().between(20'000, settings_.restart_ms_max * 1'000), [this, &victim] { restart(victim); });
}

void ClusterSimulation::restart(ClusterNode& victim) {
  if (victim.up()) return;
  victim.start();
  tell_of(victim.id(), victim.incarnation(), true);
  if (!healed_ && draws(Trouble::late_mail) && prng().chance(1, 4)) late_mail(victim);
}

/// What it sends now arrives when a later run of it is there: its registration, its fetches, what it asks as a leader.
void ClusterSimulation::late_mail(ClusterNode& victim) {
  if (!victim.up() || victim.replicas().paused()) return;
  mark("late mail");
  const auto from = victim.id().value();
  const auto until_us = world_.queue.now_us() + prng().between(300'000, 2'500'000);
  for (const auto& other : nodes_) network_.clog(from, other->id().value(), until_us);
  const auto dies_us = prng().between(1'000, 250'000);
  later_us(dies_us, [this, &victim, from] {
    for (const auto& other : nodes_) network_.clog(from, other->id().value(), 0);
    if (!healed_) crash(victim, prng().chance(2, 3) ? CrashKind::power : CrashKind::killed);
  });
  later_us(dies_us + prng().between(5'000, 200'000), [this, &victim] { restart(victim); });
}

/// Who is about to join an ISR loses what it joins for, and its leader's request comes, again and again, after that.
void ClusterSimulation::crash_joining(SimNode& leader, std::size_t partition, const replication::AlterPartition& request) {
  if (healed_ || !draws(Trouble::crash_joining) || !prng().chance(1, 3)) return;
  const auto joining = std::ranges::find_if(
      request.isr, [&](const auto& member) { return !replication::contains(states_[partition].isr, member.broker); });
  const auto controller = quorum_.ready_leader();
  if (joining == request.isr.end() || controller == BrokerId{-1} || controller == joining->broker) return;
  auto& victim = node(joining->broker);
  if (!victim.up() || victim.replicas().paused()) return;
  mark("crashed while it joined");
  const auto from = leader.id().value();
  // Short enough that the leader is not fenced, long enough that the other one is registered and in service again.
  if (from != controller.value()) {
    network_.clog(from, controller.value(), world_.queue.now_us() + prng().between(200'000, 1'200'000));
  }
  later_us(prng().between(0, 20'000), [this, &victim] { crash(victim, CrashKind::power); });
  later_us(prng().between(25'000, 120'000), [this, &victim] { restart(victim); });
}

/// Links see connections close and reconnects refused, and come back, mostly.
void ClusterSimulation::tell_of(BrokerId id, const Uuid& incarnation, bool up) {
  news_.changed(id.value());
  if (!settings_.hints) return;
  for (auto& other : nodes_) {
    if (other->id() == id) continue;
    later_us(prng().between(1'000, 20'000), [this, id, incarnation, up, &other] {
      auto& replicas = other->replicas();
      replicas.run(replicas.current_run(), [this, id, incarnation, up, &other] {
        up ? other->peer_back(id, incarnation) : other->peer_gone(id, incarnation);
        if (!up && groups_) groups_->process_gone(*other, id);
      });
    });
  }
}

void ClusterSimulation::pause(ClusterNode& victim) {
  if (!victim.up() || victim.replicas().paused()) return;
  mark("paused");
  say("n" + to_string(victim.id()) + " paused");
  victim.pause();
  later_us(prng().between(20'000, 2'500'000), [&victim, run = victim.replicas().current_run()] {
    if (victim.up() && victim.replicas().current_run() == run) victim.resume();
  });
}

/// An empty disk with an old id, once a run: more than one of three is a lost quorum. Where one copy is enough for an acknowledgement, or
/// copies may be cut by a crash, only of a node without copies.
bool ClusterSimulation::may_lose_disk(BrokerId broker) {
  if (disk_was_lost_ || !topic_made_ || !quorum_is_whole()) return false;
  const bool survives = settings_.replication.flush == replication::Flush::fsync && world_.copies_needed(0) > 1;
  return survives ||
         std::ranges::none_of(states_, [&](const auto& now) { return replication::contains(now.replicas, broker); });
}

void ClusterSimulation::lose_disk(ClusterNode& victim) {
  if (!victim.up() || !may_lose_disk(victim.id())) return;
  disk_was_lost_ = true;
  const auto key = quorum_.node(victim.id()).key();
  if (quorum_.node(victim.id()).voters().contains(key)) dead_voter_ = key;
  crash(victim, CrashKind::disk_lost);
}

// --- the network

void ClusterSimulation::cut() {
  const auto victim = any_node().id().value();
  const auto other = any_node().id().value();
  const auto controller = std::max(1, quorum_.ready_leader().value());
  std::set<SimNetwork::Pair> added;
  const auto both = [&](int a, int b) {
    added.insert({a, b});
    added.insert({b, a});
  };
  const auto brokers = static_cast<int>(nodes_.size());
  switch (prng().below(8)) {
    case 0:  // from everybody
      for (int i = 1; i <= brokers; ++i) both(victim, i);
      for (const auto& client : clients_) both(victim, client->id());
      break;
    case 1:  // from other nodes, not from clients
      for (int i = 1; i <= brokers; ++i) both(victim, i);
      break;
    case 2: both(victim, controller); break;
    case 3: both(victim, other); break;
    case 4: added.insert({victim, other}); break;
    case 5:  // it hears everybody, and nobody hears it; or the other way round
      for (int i = 1, outward = static_cast<int>(prng().below(2)); i <= brokers; ++i)
        added.insert(outward == 1 ? SimNetwork::Pair{victim, i} : SimNetwork::Pair{i, victim});
      break;
    case 6: {  // in two
      const auto side = prng().next();
      for (int a = 1; a <= brokers; ++a) {
        for (int b = 1; b <= brokers; ++b) {
          if (((side >> a) & 1U) != ((side >> b) & 1U)) added.insert({a, b});
        }
      }
      break;
    }
    default:  // two do not hear of elections, and are not missed
      added.insert({controller, victim});
      added.insert({controller, other});
      strike(Trouble::elect);
      later_us(prng().between(1'000, 1'000'000), [this] { strike(Trouble::elect); });
  }
  std::erase_if(added, [](const auto& pair) { return pair.first == pair.second; });
  network_.cut(added);
  const auto of_quorum = [](const SimNetwork::Pair& pair) {
    return pair.first < SimNetwork::first_client && pair.second < SimNetwork::first_client;
  };
  for (const auto& pair : added) {
    if (of_quorum(pair)) quorum_.block(BrokerId{pair.first}, BrokerId{pair.second});
  }
  mark("network cut");
  if (log_) {
    std::string line = "cut:";
    for (const auto& [from, to] : added) line += " " + std::to_string(from) + ">" + std::to_string(to);
    say(line);
  }
  later_us(prng().between(50'000, 3'000'000), [this, added, of_quorum] {
    network_.mend(added);
    for (const auto& pair : added) {
      if (of_quorum(pair)) quorum_.unblock(BrokerId{pair.first}, BrokerId{pair.second});
    }
  });
}

void ClusterSimulation::clog() {
  const auto from = any_node().id();
  const auto to = any_node().id();
  const auto until_us = world_.queue.now_us() + prng().between(50'000, 2'000'000);
  mark("link clogged");
  network_.clog(from.value(), to.value(), until_us);
  quorum_.clog(from, to, until_us / 1'000);
}

}  // namespace troupe::sim
