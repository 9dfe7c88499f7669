#include "tests/sim/cluster/cluster_sim.hpp"

#include <algorithm>

#include "core/metadata/partition_change.hpp"
#include "tests/sim/cluster/cluster_simulation.hpp"
#include "tests/sim/replication/log_check.hpp"

namespace troupe::sim {

using namespace metadata;
using replication::Acks;
using replication::contains;
using replication::PartitionState;

namespace {

constexpr int first_reader = SimNetwork::first_client + 1'000;
constexpr std::int64_t founding_us_max = 30'000'000;
constexpr std::int64_t healing_us_max = 60'000'000;
constexpr std::uint64_t steps_per_second_max = 40'000;
constexpr std::int64_t epoch_ms = 1'700'000'000'000;

Weather weather_of(const SimSettings& settings) {
  return {.delay_max_ms = std::max<Millis>(1, settings.delay_us_max / 1'000),
          .loss_permille = settings.loss_permille,
          .duplicate_permille = settings.repeat_permille,
          .disk_ms_max = std::max<Millis>(1, settings.disk_us_max / 1'000),
          .slow_disk_permille = settings.slow_disk_permille,
          .slow_disk_ms = settings.slow_disk_us / 1'000,
          .bad_snapshot_permille = settings.full_disk_permille * 5};
}

}  // namespace

ClusterSimulation::ClusterSimulation(std::uint64_t seed, const ClusterSettings& settings,
                                     std::function<void(const std::string&)> log)
    : settings_(settings),
      world_(seed, settings.replication),
      quorum_(seed ^ 0x9019, &world_.queue, this),
      committed_([this](const std::string& invariant, const std::string& what) { fail(invariant, what); }),
      network_(world_),
      shared_{.replication = world_,
              .quorum = quorum_,
              .committed = committed_,
              .node = [this](BrokerId id) -> ClusterNode& { return node(id); },
              .wall_clock =
                  [this](BrokerId id) {
                    return TimestampMs{epoch_ms + quorum_.now() + wall_offsets_[static_cast<std::size_t>(id.value() - 1)]};
                  },
              .snapshot_records_min = settings.snapshot_records_min,
              .liveness = {.session_timeout_ms = settings.session_ms}},
      states_(static_cast<std::size_t>(settings.replication.partitions)),
      losses_(static_cast<std::size_t>(settings.replication.partitions)),
      wall_offsets_(static_cast<std::size_t>(settings.replication.brokers)),
      log_(std::move(log)) {
  wire();
}

void ClusterSimulation::say(const std::string& what) const {
  if (log_) log_(std::to_string(quorum_.now()) + " " + what);
}

void ClusterSimulation::wire() {
  if (log_) {
    quorum_.log = log_;
    world_.log = [this](const std::string& line) { say(line); };
  }
  world_.control = this;
  world_.clock = [this](BrokerId id) { return quorum_.clock(id); };
  world_.send = [this](int from, int to, SimWorld::Work work) { network_.send(from, to, std::move(work)); };
  network_.reachable = [this](int to) { return to >= SimNetwork::first_client || node(BrokerId{to}).up(); };
  network_.cut_or_mended = [this](int one, int other) { news_.changed(one, other); };
  news_.node = [this](int address) {
    return address >= 1 && address <= settings_.replication.brokers ? &node(BrokerId{address}).replicas() : nullptr;
  };
  world_.copies_needed = [this](std::size_t partition) {
    return std::min(world_.settings.min_insync_replicas, states_[partition].replicas.size());
  };
  world_.replicas = [this](std::size_t partition) {
    std::vector<Invariants::Holder> holders;
    for (const auto& one : nodes_) {
      const auto& replicas = one->replicas();
      holders.push_back({one->id(), &replicas.log(partition), replicas.log_start(partition), replicas.has_lost(partition)});
    }
    return holders;
  };
  world_.check_isr = [this](std::size_t partition) { check_isr(partition); };
  world_.disk_failed = [this](BrokerId id) { later_us(1, [this, id] { crash(node(id), CrashKind::power); }); };
  world_.deliver_request = [this](int to, const Bytes& bytes) {
    auto& one = node(BrokerId{to}).replicas();
    one.run(one.current_run(), [&one, bytes] { one.fetch_request(bytes); });
  };
  world_.deliver_answer = [this](int from, int to, const Bytes& bytes) {
    auto& one = node(BrokerId{to}).replicas();
    one.run(one.current_run(), [&one, from, bytes] { one.fetch_answer(from, bytes); });
  };
  world_.answer_client = [this](int client, std::uint64_t slot, std::vector<Result<replication::PlacedRecords>> results) {
    clients_[static_cast<std::size_t>(client - SimNetwork::first_client)]->answered(slot, std::move(results));
  };
  world_.answer_reader = [this](int reader, std::uint64_t number, const Result<Bytes>& answer) {
    readers_[static_cast<std::size_t>(reader - first_reader)]->answered(number, answer);
  };

  std::vector<BrokerId> all;
  for (int i = 1; i <= settings_.replication.brokers; ++i) all.emplace_back(i);
  for (const auto id : all) {
    auto options = settings_.quorum;
    options.id = id;
    options.contacts = all;
    if (id.value() <= settings_.voters) options.bootstrap_voters.assign(all.begin(), all.begin() + settings_.voters);
    quorum_.add(options);
    nodes_.push_back(std::make_unique<ClusterNode>(shared_, id));
  }
  if (settings_.groups) {
    groups_ = std::make_unique<GroupLife>(prng().next(), *settings_.groups, shared_, network_);
    shared_.shown = [this](ClusterNode& one, const DeltaPtr& delta) { groups_->shown(one, delta); };
  }
  int next = SimNetwork::first_client;
  for (std::size_t p = 0; p < world_.topics.front().count; ++p) {
    clients_.push_back(std::make_unique<SimClient>(world_, next++, p, Acks::quorum));
    clients_.push_back(std::make_unique<SimClient>(world_, next++, p, prng().chance(1, 4) ? Acks::none : Acks::leader));
    clients_.push_back(std::make_unique<SimClient>(world_, next++, p, Acks::quorum, true));
    readers_.push_back(std::make_unique<SimReader>(world_, first_reader + static_cast<int>(p), p));
    readers_.back()->read = [this](int to, int from, const Bytes& call) {
      auto& one = node(BrokerId{to}).replicas();
      one.run(one.current_run(), [&one, from, call] { one.read(from, call); });
    };
  }
  for (auto& client : clients_) {
    client->produce = [this](int to, int from, std::uint64_t slot, std::size_t partition,
                             std::vector<replication::NewBatch> batches, replication::ProduceTerms terms) {
      auto& one = node(BrokerId{to}).replicas();
      // A client says how long it waits; the deadline is the node's.
      if (terms.deadline) terms.deadline = quorum_.clock(one.id()) + (*terms.deadline - world_.queue.now());
      one.run(one.current_run(), [&one, from, slot, partition, batches = std::move(batches), terms] {
        one.produce(from, slot, partition, batches, terms);
      });
    };
  }
}

TopicIdPartition ClusterSimulation::partition_id(std::size_t partition) const { return world_.id_of(partition); }

ClusterNode* ClusterSimulation::any_ready_node() {
  std::vector<ClusterNode*> ready;
  for (auto& one : nodes_) {
    if (one->up() && !one->replicas().paused() && one->ready()) ready.push_back(one.get());
  }
  return ready.empty() ? nullptr : ready[prng().below(ready.size())];
}

// --- time

void ClusterSimulation::step_until(std::int64_t end_us) {
  run_until(end_us, [] { return false; });
}

bool ClusterSimulation::run_until(std::int64_t end_us, const std::function<bool()>& done) {
  auto second = world_.queue.now_us() / 1'000'000;
  auto steps = world_.queue.steps();
  while (!violated()) {
    if (done()) return true;
    if (!world_.queue.step(end_us)) break;
    const auto now = world_.queue.now_us() / 1'000'000;
    if (std::exchange(second, now) != now) steps = world_.queue.steps();
    if (world_.queue.steps() - steps > steps_per_second_max) fail("Bounded", "messages beget messages without end");
  }
  world_.queue.pass_to(end_us);
  return false;
}

// --- what is committed

void ClusterSimulation::committed(const quorum::LogEntry& entry) {
  const auto delta = committed_.take(entry);
  if (!delta) return;
  for (const auto& one : delta->after->registrations()) {
    auto& registered = node(one.broker.id);
    if (registered.up() && registered.incarnation() == one.incarnation) registered.replicas().known_to_controller();
  }
  for (auto& replicated : world_.topics) {
    const auto topic = delta->after->find_topic(replicated.name);
    if (!topic) continue;
    if (!std::exchange(replicated.made, true)) replicated.id = topic->id;
    const auto was = delta->before->find_topic(topic->id);
    for (std::size_t p = 0; p < replicated.count; ++p) {
      const auto& now = topic->partitions[p];
      if (!was || !(was->partitions[p] == now)) {
        partition_committed(replicated.first + p, was ? &was->partitions[p] : nullptr, now);
      }
    }
  }
  const bool all_made = std::ranges::all_of(world_.topics, &SimTopic::made);
  if (all_made && !std::exchange(topic_made_, true) && groups_) groups_->begin();
}

void ClusterSimulation::partition_committed(std::size_t partition, const PartitionImage* was, const PartitionImage& now) {
  states_[partition] = partition_state_of(now);
  if (log_) {
    std::string line = "committed: partition " + std::to_string(partition) + " leader " + to_string(now.leader) + " epoch " +
                       to_string(now.leader_epoch) + "." + to_string(now.partition_epoch) + " isr";
    for (const auto broker : now.isr) line += " " + to_string(broker);
    line += " of";
    for (const auto broker : now.replicas) line += " " + to_string(broker);
    say(line);
  }
  if (was != nullptr && now.leader != no_broker && now.leader_epoch > was->leader_epoch) {
    const bool clean = has_broker(was->isr, now.leader) || has_broker(was->eligible_leader_replicas, now.leader);
    if (has_broker(was->eligible_leader_replicas, now.leader)) mark("elected from the eligible replicas");
    if (!clean) unclean_election(partition, now.leader);
  }
  if (was != nullptr && was->is_reassigned() && !now.is_reassigned()) mark("reassignment ended");
  world_.invariants.elected(partition, now.leader_epoch);
  // Who is in the ISR as a run that the controller knows has caught up since its crash; the last member may only have stayed.
  for (const auto broker : now.isr) {
    const bool joined = was != nullptr && !has_broker(was->isr, broker);
    if (joined && node(broker).replicas().intact()) node(broker).replicas().holds_all_again(partition);
  }
  const bool whole = now.isr.size() == now.replicas.size() && std::ranges::none_of(now.isr, [&](BrokerId broker) {
                       return node(broker).replicas().has_lost(partition);
                     });
  if (whole) losses_[partition] = {};
  check_isr(partition);
}

/// What is promised: nothing is lost while processes only end, nor while fewer replicas crash than had to hold it.
void ClusterSimulation::unclean_election(std::size_t partition, BrokerId leader) {
  mark("unclean election");
  const auto& log = node(leader).replicas().log(partition);
  if (world_.invariants.holds_committed(partition, log)) return;
  const auto promised = world_.copies_needed(partition);
  const auto suspects = losses_[partition].any ? losses_[partition].suspects.size() : 0;
  if (suspects < promised) {
    return fail("AckedRecordsSurvive", "partition " + std::to_string(partition) + ": broker " + to_string(leader) +
                                           " is elected uncleanly and lacks what is committed, though only " +
                                           std::to_string(suspects) + " replicas may have lost anything");
  }
  mark("unclean election that lost records");
  world_.invariants.unclean_recovery(partition, log);
}

void ClusterSimulation::check_isr(std::size_t partition) {
  const auto& now = states_[partition];
  std::vector<Invariants::Holder> members;
  for (const auto broker : now.replicas) {
    const auto& one = node(broker).replicas();
    const bool may_lead = contains(now.isr, broker) || contains(now.eligible_leader_replicas, broker);
    if (may_lead && one.intact()) members.push_back({broker, &one.log(partition), one.log_start(partition)});
  }
  world_.invariants.strong_isr(partition, members);
}

// --- the beginning

void ClusterSimulation::found() {
  if (settings_.stormy_founding) {
    quorum_.weather = weather_of(settings_.replication);
    later_us(0, [this] { trouble(); });
  }
  for (auto& one : nodes_) {
    later_us(prng().between(0, 800'000), [this, &one] {
      one->start();
      news_.changed(one->id().value());
    });
  }
  make_topic();
  clients_turn();
  checks_turn();
  if (run_until(founding_us_max, [this] { return topic_made_; }) || violated() || settings_.stormy_founding) return;
  fail("Liveness", "no topic could be made within 30 s after the start of an empty cluster");
}

void ClusterSimulation::make_topic() {
  if (topic_made_) return;
  later_us(200'000, [this] { make_topic(); });
  auto* at = any_ready_node();
  if (at == nullptr) return;
  const auto& data = settings_.replication;
  const auto in_service =
      std::ranges::count_if(committed_.now()->registrations(), [](const auto& one) { return !one.fenced; });
  if (in_service < data.replicas) return;
  const auto missing = std::ranges::find(world_.topics, false, &SimTopic::made);
  const bool of_groups = missing->first > 0;
  CreateTopicRequest request{.name = missing->name,
                             .partitions = static_cast<std::int32_t>(missing->count),
                             .replication_factor = data.replicas,
                             .config = {{"min.insync.replicas", std::to_string(data.min_insync_replicas)},
                                        {"flush", data.flush == replication::Flush::fsync ? "fsync" : "interval"}},
                             .internal = of_groups};
  if (of_groups) request.config["cleanup.policy"] = "compact";
  at->command(CreateTopicCommand{std::move(request), of_groups ? Requester::system : Requester::client}, 3'000);
}

// --- turns

void ClusterSimulation::clients_turn() {
  later_us(30'000, [this] { clients_turn(); });
  if (!topic_made_) return;
  const auto now = world_.queue.now();
  for (auto& client : clients_) {
    if (!healed_ && prng().chance(1, 3)) client->add(now + 2'500);
    client->look_at_the_clock();
  }
  for (auto& reader : readers_) reader->turn(settings_.replication.brokers);
  if (!world_.settings.retention || world_.invariants.lossy(0)) return;
  // Only what nobody can be sending again: producers give up before.
  removable_.emplace_back(world_.queue.now_us(), world_.invariants.committed_end(0));
  if (removable_.front().first >= world_.queue.now_us() - 3'000'000) return;
  const auto offset = removable_.front().second;
  removable_.pop_front();
  if (!prng().chance(1, 20)) return;
  mark("log start moved");
  readers_[0]->delete_before(offset);
}

void ClusterSimulation::checks_turn() {
  later_us(20'000, [this] { checks_turn(); });
  for (std::size_t p = 0; p < partitions(); ++p) check_isr(p);
  if (topic_made_ && prng().chance(1, 10)) look_around();
}

// --- the end

void ClusterSimulation::heal() {
  healed_ = true;
  say("--- healed");
  network_.heal();
  quorum_.weather = {};
  quorum_.unblock_all();
  for (auto& one : nodes_) {
    for (auto& other : nodes_) quorum_.clog(one->id(), other->id(), 0);
    if (!one->up()) {
      one->start();
      tell_of(one->id(), one->incarnation(), true);
    }
    if (one->replicas().paused()) one->resume();
    quorum_.set_clock(one->id(), 1'000);
  }
  for (auto& client : clients_) client->add(world_.queue.now() + 1'000'000);
  if (groups_) groups_->heal();
}

/// What is not as it should be some time after the last fault; empty: nothing.
std::string ClusterSimulation::unrest() {
  only_groups_ = false;
  const auto& image = *committed_.now();
  for (auto& one : nodes_) {
    const auto name = "broker " + to_string(one->id());
    if (!one->ready()) return name + " has no metadata";
    const auto* known = image.find_broker(one->id());
    if (known == nullptr) {  // unregistered while it started: an operator starts it once more
      mark("unregistered while it ran");
      crash(*one, CrashKind::killed);
      return name + " was unregistered";
    }
    if (known->incarnation != one->incarnation()) return name + " is not registered";
    if (known->draining) {
      drain(one->id());
      return name + " is draining";
    }
    if (known->fenced || known->stopping) return name + " is fenced or stopping";
    if (one->image()->applied() != image.applied()) return name + " is behind the metadata";
  }
  if (!topic_made_) return "no topic";
  for (std::size_t p = 0; p < partitions(); ++p) {
    const auto name = "partition " + std::to_string(p);
    const auto& now = states_[p];
    if (now.leader == no_broker) return name + " has no leader";
    const auto id = partition_id(p);
    if (image.find_topic(id.topic_id)->partitions[static_cast<std::size_t>(id.partition.value())].is_reassigned())
      return name + " is being reassigned";
    if (now.isr.size() != now.replicas.size()) return name + " has an ISR that is not full";
    const auto* leader = node(now.leader).replicas().leader(p);
    if (leader == nullptr || !leader->ready() || leader->high_watermark() != leader->log_end())
      return name + " has a leader that is not ready";
    for (const auto broker : now.replicas) {
      const auto& one = node(broker).replicas();
      if (one.log(p).log_end() != leader->log_end() || one.high_watermark(p) != leader->high_watermark())
        return name + " has a replica that lags: " + to_string(broker);
    }
  }
  for (const auto& client : clients_) {
    if (!client->idle()) return client->waits_for();
  }
  if (!groups_) return {};
  const auto of_groups = groups_->unrest();
  only_groups_ = !of_groups.empty();
  return of_groups;
}

void ClusterSimulation::check_end() {
  for (auto& one : nodes_) committed_.check_shown(one->id(), *one->image());
  for (std::size_t p = 0; p < partitions(); ++p) {
    const auto& log = node(states_[p].leader).replicas().log(p);
    for (const auto broker : states_[p].replicas) {
      const auto& other = node(broker).replicas().log(p);
      if (log.chain_at(log.log_end()) != other.chain_at(log.log_end()))
        fail("CaughtUpReplicasAreIdentical", "partition " + std::to_string(p) + ", broker " + to_string(broker));
    }
    if (&world_.topic_of(p) == &world_.topics.front()) check_log(world_, clients_, p, log);
  }
}

ClusterReport ClusterSimulation::run() {
  found();
  quorum_.weather = weather_of(settings_.replication);
  if (!settings_.stormy_founding) later_us(0, [this] { trouble(); });
  if (!violated()) step_until(world_.queue.now_us() + settings_.faults_ms * 1'000);
  const auto healed_us = world_.queue.now_us();
  if (!violated()) heal();
  auto look_us = healed_us;
  std::string wrong = "not looked at";
  while (!violated() && look_us < healed_us + healing_us_max && !(wrong = unrest()).empty()) {
    look_us += 50'000;
    step_until(look_us);
  }
  if (!violated() && !wrong.empty())
    fail(only_groups_ ? "EveryPartitionIsEventuallyOwned" : "Liveness", "not at rest in time: " + wrong);
  if (!violated()) check_end();

  ClusterReport report{.marks = world_.marks, .steps = world_.queue.steps()};
  if (const auto& of_quorum = quorum_.invariants().violation()) report.violation = of_quorum;
  if (const auto& of_data = world_.invariants.violation()) report.violation = of_data->invariant + ": " + of_data->what;
  for (const auto& [name, count] : quorum_.marks) report.marks["quorum: " + name] += count;
  report.trace = world_.trace * 31 + quorum_.trace();
  report.healing_ms = (world_.queue.now_us() - healed_us) / 1'000;
  report.settings = to_string(settings_);
  if (groups_) report.settings += "; " + groups_->told();
  for (const auto& client : clients_) {
    if (client->acks() == Acks::quorum) report.acknowledged += client->acknowledged().size();
  }
  return report;
}

ClusterReport run_cluster_seed(std::uint64_t seed, std::function<void(const std::string&)> log) {
  return ClusterSimulation{seed, draw_cluster_settings(seed), std::move(log)}.run();
}

ClusterReport run_group_seed(std::uint64_t seed, std::function<void(const std::string&)> log) {
  return ClusterSimulation{seed, draw_group_settings(seed), std::move(log)}.run();
}

}  // namespace troupe::sim
