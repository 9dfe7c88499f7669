#include <algorithm>
#include <array>

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
    case Trouble::change_topics: return change_topics();
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

// --- operators

void ClusterSimulation::operate(MetadataCommand command, const char* what) {
  auto* at = any_ready_node();
  if (at == nullptr) return;
  at->command(std::move(command), 5'000, [this, what](const Result<MetadataAnswer>& answer) {
    mark(std::string(what) + (answer ? "" : ": " + std::string(to_string(answer.error().code))));
  });
}

void ClusterSimulation::reassign() {
  if (!topic_made_) return;
  const auto id = partition_id(any_partition());
  if (prng().chance(1, 4)) {
    return operate(ClusterCommand{ReassignPartitionsRequest{{{id, std::nullopt}}}}, "reassignment called off");
  }
  std::vector<BrokerId> brokers;
  for (const auto& one : nodes_) brokers.push_back(one->id());
  for (std::size_t i = brokers.size() - 1; i > 0; --i) std::swap(brokers[i], brokers[prng().below(i + 1)]);
  const auto usual = static_cast<std::size_t>(settings_.replication.replicas);
  // With fewer copies than `min.insync.replicas` nothing is written at `quorum`.
  const auto least = static_cast<std::int64_t>(settings_.replication.min_insync_replicas);
  const auto most = static_cast<std::int64_t>(brokers.size());
  brokers.resize(prng().chance(3, 4) ? usual : static_cast<std::size_t>(prng().between(least, most)));
  operate(ClusterCommand{ReassignPartitionsRequest{{{id, brokers}}}}, "reassigned");
}

/// Or back: as it is not.
void ClusterSimulation::drain(BrokerId broker) {
  const auto* known = committed_.now()->find_broker(broker);
  if (known == nullptr) return;
  operate(ClusterCommand{DrainBrokerRequest{.broker = broker, .drain = !known->draining}},
          known->draining ? "undrained" : "drained");
}

/// All nodes run and agree who votes: no change is on its way anywhere.
bool ClusterSimulation::quorum_is_whole() {
  const auto leader = quorum_.ready_leader();
  if (leader == BrokerId{-1} || quorum_.node(leader).voters().size() < 3) return false;
  return std::ranges::all_of(nodes_, [&](const auto& one) {
    if (!quorum_.up(one->id())) return false;
    const auto& other = quorum_.node(one->id());
    return other.voters() == quorum_.node(leader).voters() && other.epoch() == quorum_.node(leader).epoch();
  });
}

/// What an operator does: a disk that is gone goes first; then voters come and go.
void ClusterSimulation::change_voters() {
  const auto leader = quorum_.ready_leader();
  if (leader == BrokerId{-1}) return;
  const auto& voters = quorum_.node(leader).voters();
  if (dead_voter_ && voters.contains(*dead_voter_)) return quorum_.remove_voter(leader, *dead_voter_);
  const auto id = any_node().id();
  if (!quorum_.up(id) || quorum_.node(id).cluster_id().is_nil()) return;
  const auto key = quorum_.node(id).key();
  if (!voters.contains(key)) return quorum_.add_voter(leader, key);
  if (voters.size() > 1 && prng().chance(1, 2)) quorum_.remove_voter(leader, key);
}

/// One of a topic, right or wrong.
std::pair<std::string, std::string> ClusterSimulation::any_setting() {
  static const std::array<std::pair<const char*, const char*>, 22> settings{{{"retention.ms", "60000"},
                                                                             {"retention.ms", "-1"},
                                                                             {"retention.bytes", "1000000"},
                                                                             {"retention.records", "1000"},
                                                                             {"compression.type", "zstd"},
                                                                             {"compression.type", "uncompressed"},
                                                                             {"compression.type", "tar"},
                                                                             {"flush", "interval"},
                                                                             {"flush", "sometimes"},
                                                                             {"flush.ms", "50"},
                                                                             {"flush.ms", "5"},
                                                                             {"max.message.bytes", "65536"},
                                                                             {"max.message.bytes", "many"},
                                                                             {"message.timestamp.type", "LogAppendTime"},
                                                                             {"message.timestamp.type", "x"},
                                                                             {"segment.bytes", "65536"},
                                                                             {"segment.ms", "60000"},
                                                                             {"cleanup.policy", "delete"},
                                                                             {"unclean.leader.election.enable", "perhaps"},
                                                                             {"retention.milliseconds", "1"},
                                                                             {"compression.type", "producer"},
                                                                             {"no.such", "setting"}}};
  return settings[prng().below(settings.size())];
}

/// Topics of which only the metadata is looked at.
void ClusterSimulation::change_topics() {
  const auto name = "side." + std::to_string(prng().below(4));
  switch (prng().below(6)) {
    case 0:
    case 1: {
      CreateTopicRequest create{.name = name, .partitions = static_cast<std::int32_t>(prng().between(1, 4))};
      if (prng().chance(1, 2)) create.replication_factor = static_cast<std::int32_t>(prng().between(1, 4));
      for (auto settings = prng().below(3); settings > 0; --settings) create.config.insert(any_setting());
      if (prng().chance(1, 4)) create.config["unclean.leader.election.enable"] = "true";
      if (prng().chance(1, 4)) {
        create.partitions.reset();
        create.replication_factor.reset();
        create.assignments.resize(prng().between(1, 3));
        for (auto& replicas : create.assignments) {
          for (auto copies = prng().between(1, 3); copies > 0; --copies) replicas.push_back(any_node().id());
        }
      }
      create.validate_only = prng().chance(1, 8);
      return operate(CreateTopicCommand{create}, "topic made");
    }
    case 2: {
      AlterTopicRequest alter{.name = name};
      if (prng().chance(1, 2)) alter.partitions = static_cast<std::int32_t>(prng().between(2, 6));
      if (prng().chance(1, 2)) alter.config.insert(any_setting());
      if (prng().chance(1, 2)) alter.config["min.insync.replicas"] = std::to_string(prng().between(1, 3));
      if (prng().chance(1, 4)) alter.config["retention.ms"] = std::nullopt;
      return operate(AlterTopicCommand{alter}, "topic changed");
    }
    case 3: return operate(DeleteTopicCommand{name}, "topic deleted");
    case 4: {
      std::vector<TopicIdPartition> all;
      if (const auto topic = committed_.now()->find_topic(name)) {
        for (std::int32_t i = 0; i < topic->partition_count(); ++i) all.push_back({topic->id, PartitionId{i}});
      }
      return operate(ClusterCommand{ElectLeadersRequest{.partitions = all, .unclean = true}}, "unclean election asked");
    }
    default: return operate(ClusterCommand{BalanceLeadersRequest{.moves_max = 3}}, "balance asked");
  }
}

}  // namespace troupe::sim
