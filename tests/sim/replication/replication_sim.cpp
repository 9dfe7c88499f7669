#include "tests/sim/replication/replication_sim.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <set>

#include "tests/sim/replication/controller_links.hpp"
#include "tests/sim/replication/link_news.hpp"
#include "tests/sim/replication/log_check.hpp"
#include "tests/sim/replication/sim_client.hpp"
#include "tests/sim/replication/sim_network.hpp"

namespace troupe::sim {

using namespace replication;

namespace {

constexpr int first_client = SimNetwork::first_client;
constexpr std::int64_t faults_us = 10'000'000;
constexpr std::int64_t healing_us = 90'000'000;  // the slowest networks carry some records a second
constexpr std::int64_t calm_check_us = 50'000;

/// Each seed has its own cluster and its own kinds of trouble.
SimSettings draw(Prng& prng) {
  SimSettings settings;
  settings.brokers = static_cast<int>(prng.between(3, 5));
  settings.partitions = static_cast<int>(prng.between(1, 3));
  settings.replicas = static_cast<int>(prng.between(2, settings.brokers));
  settings.min_insync_replicas = static_cast<std::size_t>(prng.between(1, settings.replicas));
  if (prng.chance(2, 3)) settings.min_insync_replicas = static_cast<std::size_t>(settings.replicas / 2 + 1);
  settings.flush = prng.chance(2, 3) ? Flush::fsync : Flush::interval;
  settings.written_told = prng.chance(3, 4);
  settings.loss_permille = prng.chance(1, 2) ? prng.below(150) : 0;
  settings.repeat_permille = prng.chance(1, 2) ? prng.below(200) : 0;
  settings.reorder = prng.chance(1, 2);
  settings.delay_us_max = prng.chance(1, 4) ? prng.between(2'000, 200'000) : prng.between(200, 5'000);
  settings.disk_us_max = prng.chance(1, 4) ? prng.between(5'000, 150'000) : prng.between(200, 8'000);
  settings.full_disk_permille = prng.chance(1, 5) ? prng.below(40) : 0;
  settings.lag_max_ms = prng.between(300, 2'000);
  settings.unlinked_max_ms = prng.between(50, 1'000);
  settings.fetch_bytes_max = prng.chance(1, 3) ? 200 : 8'192;
  settings.retention = prng.chance(1, 3);
  if (prng.chance(1, 3)) settings.metadata_changes_max = 1 + prng.below(3);
  return settings;
}

std::vector<PartitionState> first_states(const SimSettings& settings) {
  std::vector<PartitionState> states;
  for (int p = 0; p < settings.partitions; ++p) {
    PartitionState state;
    for (int i = 0; i < settings.replicas; ++i) state.replicas.push_back(BrokerId{(p + i) % settings.brokers + 1});
    state.isr = state.replicas;
    state.leader = state.replicas.front();
    states.push_back(std::move(state));
  }
  return states;
}

std::string describe(const SimSettings& s) {
  return std::to_string(s.brokers) + " brokers, " + std::to_string(s.partitions) + " partitions of " +
         std::to_string(s.replicas) + ", min ISR " + std::to_string(s.min_insync_replicas) +
         (s.flush == Flush::fsync ? ", fsync" : ", interval") + ", loss " + std::to_string(s.loss_permille) + " repeat " +
         std::to_string(s.repeat_permille) + " permille" + (s.reorder ? ", reordering" : "") + ", delay " +
         std::to_string(s.delay_us_max) + " disk " + std::to_string(s.disk_us_max) + " us";
}

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : Simulation(seed, draw_for(seed)) {}

  SimReport run();

 private:
  Simulation(std::uint64_t seed, const SimSettings& settings);
  static SimSettings draw_for(std::uint64_t seed) {
    Prng prng(seed ^ 0x5eed);
    return draw(prng);
  }

  SimNode* node(int address) {
    return address >= 1 && address <= world_.settings.brokers ? nodes_[static_cast<std::size_t>(address - 1)].get()
                                                              : nullptr;
  }
  SimNode& any_node() { return *nodes_[prng().below(nodes_.size())]; }
  Prng& prng() { return world_.prng; }
  void trouble();
  void cut_off();
  void crash(SimNode& victim, CrashKind kind);
  void start(SimNode& one);
  void move_leader(std::size_t partition);
  bool may_lose_disk();
  CrashKind power_or_not(std::uint64_t times, std::uint64_t of) {
    return prng().chance(times, of) ? CrashKind::power : CrashKind::killed;
  }
  void later_us(std::int64_t delay_us, SimWorld::Work work) { world_.queue.after_us(delay_us, std::move(work)); }
  void controller_turn();
  void clients_turn();
  void heal();
  bool calm();
  void check_end();
  void step_until(std::int64_t end_us);

  SimWorld world_;
  SimController controller_;
  ControllerLinks links_{world_, controller_};
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  SimNetwork network_{world_};
  LinkNews news_{world_, network_};
  std::uint64_t kinds_of_trouble_ = 0;
  bool healed_ = false;
  std::size_t disks_lost_ = 0;                             ///< since all replicas held everything
  std::deque<std::pair<std::int64_t, Offset>> removable_;  ///< committed ends of a while ago, of partition 0
};

Simulation::Simulation(std::uint64_t seed, const SimSettings& settings)
    : world_(seed, settings), controller_(first_states(settings), settings.min_insync_replicas) {
  world_.control = &links_;
  kinds_of_trouble_ = prng().next();
  for (int i = 1; i <= settings.brokers; ++i) nodes_.push_back(std::make_unique<SimNode>(world_, BrokerId{i}));
  int next = first_client;
  for (std::size_t p = 0; p < controller_.partitions(); ++p) {
    clients_.push_back(std::make_unique<SimClient>(world_, next++, p, Acks::quorum));
    clients_.push_back(std::make_unique<SimClient>(world_, next++, p, prng().chance(1, 4) ? Acks::none : Acks::leader));
  }
  world_.send = [this](int from, int to, SimWorld::Work work) { network_.send(from, to, std::move(work)); };
  network_.reachable = [this](int address) {
    const auto* one = node(address);
    return one == nullptr || one->up();
  };
  network_.cut_or_mended = [this](int one, int other) { news_.changed(one, other); };
  news_.node = [this](int address) { return node(address); };
  world_.copies_needed = [this](std::size_t partition) {
    return std::min(world_.settings.min_insync_replicas, controller_.state(partition).replicas.size());
  };
  controller_.on_change = [this](std::size_t partition) {
    const auto& state = controller_.state(partition);
    world_.invariants.elected(partition, state.leader_epoch);
    for (const auto broker : state.isr) {
      if (auto& one = *node(broker.value()); one.intact()) one.holds_all_again(partition);
    }
  };
  world_.replicas = [this](std::size_t partition) {
    std::vector<Invariants::Holder> holders;
    for (const auto broker : controller_.state(partition).replicas) {
      const auto& one = *node(broker.value());
      holders.push_back({broker, &one.log(partition), one.log_start(partition), one.has_lost(partition)});
    }
    return holders;
  };
  world_.check_isr = [this](std::size_t partition) {
    const auto& state = controller_.state(partition);
    std::vector<Invariants::Holder> members;
    for (const auto broker : state.replicas) {
      const auto& one = *node(broker.value());
      const bool may_lead = contains(state.isr, broker) || contains(state.eligible_leader_replicas, broker);
      if (may_lead && one.intact()) members.push_back({broker, &one.log(partition), one.log_start(partition)});
    }
    world_.invariants.strong_isr(partition, members);
  };
  world_.deliver_request = [this](int to, const Bytes& bytes) {
    auto& one = *node(to);
    one.run(one.current_run(), [&one, bytes] { one.fetch_request(bytes); });
  };
  world_.deliver_answer = [this](int from, int to, const Bytes& bytes) {
    auto& one = *node(to);
    one.run(one.current_run(), [&one, from, bytes] { one.fetch_answer(from, bytes); });
  };
  world_.answer_client = [this](int client, std::uint64_t slot, std::vector<Result<PlacedRecords>> results) {
    clients_[static_cast<std::size_t>(client - first_client)]->answered(slot, std::move(results));
  };
  for (auto& client : clients_) {
    client->produce = [this](int to, int from, std::uint64_t slot, std::size_t partition, std::vector<NewBatch> batches,
                             ProduceTerms terms) {
      auto& one = *node(to);
      one.run(one.current_run(), [&one, from, slot, partition, batches = std::move(batches), terms] {
        one.produce(from, slot, partition, batches, terms);
      });
    };
  }
}

// --- trouble

void Simulation::cut_off() {
  const auto victim = any_node().id().value();
  const auto mode = prng().below(6);
  std::set<std::pair<int, int>> added;
  const auto cut_both = [&](int a, int b) {
    added.insert({a, b});
    added.insert({b, a});
  };
  const auto other = any_node().id().value();
  if (mode == 0) {  // from everybody
    for (int i = 0; i <= world_.settings.brokers; ++i) cut_both(victim, i);
    for (const auto& client : clients_) cut_both(victim, client->id());
  } else if (mode == 1) {  // from the controller only
    cut_both(victim, 0);
  } else if (mode == 2) {  // from one other
    cut_both(victim, other);
  } else if (mode == 3) {  // to one other, but not from it
    added.insert({victim, prng().chance(1, 3) ? 0 : other});
  } else {  // two do not hear of elections, and are not missed
    added.insert({0, victim});
    added.insert({0, other});
    const auto partition = prng().below(controller_.partitions());
    move_leader(partition);
    later_us(prng().between(1'000, 1'000'000), [this, partition] { move_leader(partition); });
  }
  network_.cut(added);
  ++world_.marks["network cut"];
  later_us(prng().between(50'000, 2'500'000), [this, added] { network_.mend(added); });
}

void Simulation::crash(SimNode& victim, CrashKind kind) {
  if (!victim.up()) return;
  victim.crash(kind);
  news_.changed(victim.id().value());
  ++world_.marks[kind == CrashKind::killed ? "killed" : kind == CrashKind::power ? "power cut" : "disk lost"];
  later_us(prng().between(20'000, prng().chance(1, 8) ? 6'000'000 : 1'500'000), [this, &victim] {
    if (!victim.up() && !healed_) start(victim);
  });
}

void Simulation::start(SimNode& one) {
  one.start();
  news_.changed(one.id().value());
}

/// What is promised: fewer lost disks than `min.insync.replicas`, before what was on them has been copied again.
bool Simulation::may_lose_disk() {
  bool whole = std::ranges::all_of(nodes_, [](const auto& one) { return one->intact(); });
  for (std::size_t p = 0; p < controller_.partitions(); ++p) {
    const auto& state = controller_.state(p);
    whole = whole && state.isr.size() == state.replicas.size();
  }
  if (whole) disks_lost_ = 0;
  if (disks_lost_ + 1 >= world_.settings.min_insync_replicas) return false;
  ++disks_lost_;
  return true;
}

/// To another member of the ISR, and sometimes soon back again: who has not heard of either follows an epoch that is over.
void Simulation::move_leader(std::size_t partition) {
  const auto& state = controller_.state(partition);
  const auto before = state.leader;
  if (state.isr.empty()) return;
  controller_.move_leader(partition, state.isr[prng().below(state.isr.size())]);
  ++world_.marks["leadership moved"];
  if (before == no_broker || !prng().chance(1, 2)) return;
  later_us(prng().between(1'000, 400'000), [this, partition, before] { controller_.move_leader(partition, before); });
}

void Simulation::trouble() {
  if (healed_) return;
  const auto kind = prng().below(9);
  if ((kinds_of_trouble_ >> kind & 1) != 0) {
    auto& victim = any_node();
    const auto partition = prng().below(controller_.partitions());
    switch (kind) {
      case 0: crash(victim, CrashKind::killed); break;
      case 1: crash(victim, CrashKind::power); break;
      case 2:
        if (prng().chance(1, 3)) {
          for (auto& one : nodes_) crash(*one, power_or_not(2, 3));
        }
        break;
      case 3:
        if (victim.up() && !victim.paused()) {
          victim.pause();
          ++world_.marks["paused"];
          later_us(prng().between(20'000, 2'000'000), [&victim, run = victim.current_run()] {
            if (victim.up() && victim.current_run() == run) victim.resume();
          });
        }
        break;
      case 4:
      case 5: cut_off(); break;
      case 6: move_leader(partition); break;
      case 7: {  // who leads just now
        const auto leader = controller_.state(partition).leader;
        if (leader != no_broker) crash(*node(leader.value()), power_or_not(1, 2));
        break;
      }
      case 8:
        if (may_lose_disk()) crash(victim, CrashKind::disk_lost);
        break;
      default: break;
    }
  }
  later_us(prng().between(20'000, 700'000), [this] { trouble(); });
}

// --- turns

void Simulation::controller_turn() {
  for (const auto& [partition, leader] : controller_.check(world_.queue.now(), world_.settings.session_ms)) {
    ++world_.marks["unclean recovery"];
    world_.invariants.unclean_recovery(partition, node(leader.value())->log(partition));
  }
  for (std::size_t p = 0; p < controller_.partitions(); ++p) world_.check_isr(p);
  later_us(20'000, [this] { controller_turn(); });
}

void Simulation::clients_turn() {
  const auto now = world_.queue.now();
  for (auto& client : clients_) {
    if (!healed_ && prng().chance(1, 3)) client->add(now + 2'500);
    client->look_at_the_clock();
  }
  if (world_.settings.retention && !world_.invariants.lossy(0)) {
    // Only what nobody can be sending again: producers give up before.
    removable_.emplace_back(world_.queue.now_us(), world_.invariants.committed_end(0));
    if (removable_.front().first < world_.queue.now_us() - 3'000'000) {
      const auto offset = removable_.front().second;
      removable_.pop_front();
      if (prng().chance(1, 20)) {
        ++world_.marks["log start moved"];
        for (auto& one : nodes_) one->run(one->current_run(), [&one, offset] { one->move_log_start(0, offset); });
      }
    }
  }
  later_us(30'000, [this] { clients_turn(); });
}

// --- the end

void Simulation::heal() {
  healed_ = true;
  network_.heal();
  for (auto& one : nodes_) {
    if (!one->up()) start(*one);
    if (one->paused()) one->resume();
  }
  for (auto& client : clients_) client->add(world_.queue.now() + 1'000'000);
}

/// Whether everything is as it should be some time after the last fault.
bool Simulation::calm() {
  for (const auto& client : clients_) {
    if (!client->idle()) return false;
  }
  for (std::size_t p = 0; p < controller_.partitions(); ++p) {
    const auto& state = controller_.state(p);
    if (state.leader == no_broker || state.isr.size() != state.replicas.size()) return false;
    const auto& leads = *node(state.leader.value());
    const auto* leader = leads.leader(p);
    if (leader == nullptr || !leader->ready() || leader->high_watermark() != leader->log_end()) return false;
    for (const auto broker : state.replicas) {
      const auto& one = *node(broker.value());
      if (one.log(p).log_end() != leader->log_end() || one.high_watermark(p) != leader->high_watermark()) return false;
    }
  }
  return true;
}

void Simulation::check_end() {
  for (std::size_t p = 0; p < controller_.partitions(); ++p) {
    const auto& state = controller_.state(p);
    const auto& log = node(state.leader.value())->log(p);
    for (const auto broker : state.replicas) {
      const auto& other = node(broker.value())->log(p);
      if (log.chain_at(log.log_end()) != other.chain_at(log.log_end()))
        world_.invariants.fail("CaughtUpReplicasAreIdentical",
                               "partition " + std::to_string(p) + ", broker " + to_string(broker));
    }
    check_log(world_, clients_, p, log);
  }
}

void Simulation::step_until(std::int64_t end_us) {
  while (!world_.invariants.violation() && world_.queue.step(end_us)) {}
}

SimReport Simulation::run() {
  for (auto& one : nodes_) start(*one);
  controller_turn();
  clients_turn();
  trouble();
  step_until(faults_us);
  const auto violated = [&] { return world_.invariants.violation().has_value(); };
  if (!violated()) heal();
  auto end_us = faults_us;
  while (!violated() && !calm() && end_us < faults_us + healing_us) {
    end_us += calm_check_us;
    step_until(end_us);
  }
  if (!violated() && !calm()) {
    std::string what;
    for (std::size_t p = 0; p < controller_.partitions(); ++p) {
      const auto& state = controller_.state(p);
      what += " partition " + std::to_string(p) + ": leader " + to_string(state.leader) + " epoch " +
              to_string(state.leader_epoch) + " isr of " + std::to_string(state.isr.size()) + ", log ends and watermarks";
      for (const auto broker : state.replicas) {
        const auto& one = *node(broker.value());
        what += " " + to_string(broker) + ":" + to_string(one.log(p).log_end()) + "/" + to_string(one.high_watermark(p));
      }
    }
    world_.invariants.fail("Liveness", "not at rest in time:" + what);
  }
  if (!violated()) check_end();

  SimReport report{.violation = world_.invariants.violation(), .marks = world_.marks, .steps = world_.queue.steps()};
  report.marks["elected from the eligible replicas"] += controller_.eligible_elections;
  report.trace = world_.trace;
  report.healing_ms = (world_.queue.now_us() - faults_us) / 1'000;
  report.settings = describe(world_.settings);
  for (const auto& client : clients_) {
    if (client->acks() == Acks::quorum) report.acknowledged += client->acknowledged().size();
  }
  return report;
}

}  // namespace

SimReport run_replication_sim(std::uint64_t seed) { return Simulation(seed).run(); }

}  // namespace troupe::sim
