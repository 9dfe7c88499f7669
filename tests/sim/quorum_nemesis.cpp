#include "tests/sim/quorum_nemesis.hpp"

#include <algorithm>
#include <array>

namespace troupe::sim {
namespace {

using namespace quorum;

/// Healed, a leader must be there within this: a few election timeouts (0.8 s each), one pre-vote and one vote, however slow the clocks.
constexpr Millis leader_within_ms = 8'000;
constexpr Millis settled_within_ms = 20'000;

class Nemesis {
 public:
  Nemesis(std::uint64_t seed, std::function<void(const std::string&)> log) : cluster_(seed), prng_(cluster_.prng()) {
    cluster_.log = std::move(log);
  }

  SeedResult run() {
    build();
    bootstrap();
    storm();
    heal();
    cluster_.check_history();
    return {cluster_.invariants().violation(), cluster_.marks, cluster_.trace(), leaderless_ms_};
  }

 private:
  bool broken() const { return cluster_.invariants().violation().has_value(); }
  BrokerId anybody() { return ids_[prng_.below(ids_.size())]; }
  template <class T, std::size_t n>
  T one_of(const std::array<T, n>& values) {
    return values[prng_.below(n)];
  }

  void build() {
    const auto voters = one_of(std::array{1, 3, 3, 3, 3, 3, 5, 5, 7, 2, 4});
    const auto nodes = voters + static_cast<int>(prng_.below(3));
    std::vector<BrokerId> all;
    for (int i = 1; i <= nodes; ++i) all.emplace_back(i);
    for (const auto id : all) {
      QuorumOptions options{.id = id, .contacts = all};
      if (id.value() <= voters) options.bootstrap_voters.assign(all.begin(), all.begin() + voters);
      options.append_bytes_max = one_of(std::array<std::size_t, 3>{200, 2'000, 256 << 10});
      options.inflight_messages_max = one_of(std::array<std::size_t, 3>{1, 3, 16});
      options.inflight_bytes_max = one_of(std::array<std::size_t, 2>{1'000, 1 << 20});
      options.tail_bytes_max = one_of(std::array<std::size_t, 3>{0, 1'000, 1 << 20});
      options.deliver_bytes_max = one_of(std::array<std::size_t, 2>{300, 1 << 20});
      options.snapshot_chunk_bytes = one_of(std::array<std::size_t, 2>{64, 1'000});
      options.cut_lag_records_max = one_of(std::array<std::int64_t, 2>{0, 40});
      options.uncommitted_bytes_max = one_of(std::array<std::size_t, 2>{1'500, 8 << 20});
      options.disk_queue_max = one_of(std::array<std::size_t, 2>{4, 256});
      cluster_.add(options);
    }
    ids_ = cluster_.ids();
    for (auto& weight : weights_) weight = prng_.chance(1, 3) ? 0 : prng_.below(10);
    load_ms_ = prng_.between(5, 80);
    pace_ms_ = prng_.between(30, 800);
    hunts_ = prng_.chance(1, 4);
    for (auto& weight : scene_weights_) weight = prng_.chance(1, 2) ? 0 : prng_.below(5);
    restart_ms_ = one_of(std::array<Millis, 2>{300, 3'000});
    hints_ = prng_.chance(3, 4);
    stormy_.delay_max_ms = one_of(std::array<Millis, 5>{1, 5, 20, 100, 400});
    stormy_.loss_permille = one_of(std::array<std::uint64_t, 4>{0, 10, 50, 250});
    stormy_.duplicate_permille = one_of(std::array<std::uint64_t, 3>{0, 20, 300});
    stormy_.disk_ms_max = one_of(std::array<Millis, 3>{1, 10, 60});
    stormy_.slow_disk_permille = one_of(std::array<std::uint64_t, 3>{0, 5, 30});
    stormy_.slow_disk_ms = one_of(std::array<Millis, 3>{100, 600, 3'000});
    stormy_.bad_snapshot_permille = one_of(std::array<std::uint64_t, 2>{0, 200});
  }

  /// A part of the seeds founds its cluster in the storm.
  void bootstrap() {
    if (prng_.chance(1, 5)) cluster_.weather = stormy_;
    for (const auto id : ids_) cluster_.at(prng_.between(0, 1'500), [this, id] { cluster_.start(id); });
    load();
    if (prng_.chance(1, 5)) return;
    if (!cluster_.run_until(20'000, [&] { return cluster_.ready_leader() != BrokerId{-1}; }) && !broken()) {
      cluster_.violated("Liveness", "no leader 20 s after the start of an empty cluster");
    }
  }

  void storm() {
    cluster_.weather = stormy_;
    storm_until_ = cluster_.now() + prng_.between(4'000, 12'000);
    cluster_.at(cluster_.now(), [this] { strike(); });
    cluster_.on_elected = [this](BrokerId id) {
      if (figure_eight_) return figure_eight_goes_on(id);
      if (hunts_) hunt(id);
    };
    cluster_.at(cluster_.now() + prng_.between(0, 500), [this] { play(); });
    cluster_.run_until(storm_until_);
  }

  /// Proposals to whoever takes them, reads to everybody who believes to lead.
  void load() {
    if (done_) return;
    cluster_.at(cluster_.now() + prng_.between(1, 2 * load_ms_), [this] { load(); });
    for (const auto id : ids_) {
      if (!cluster_.up(id) || cluster_.node(id).role() != QuorumRole::leader) continue;
      if (prng_.chance(2, 3)) cluster_.propose(id, prng_.chance(1, 10) ? 1'000 : 30);
      if (prng_.chance(1, 3)) cluster_.read(id);
    }
    if (prng_.chance(1, 10)) cluster_.take_snapshot(anybody());
  }

  void strike() {
    if (cluster_.now() >= storm_until_ || broken()) return;
    cluster_.at(cluster_.now() + prng_.between(1, 2 * pace_ms_), [this] { strike(); });
    std::uint64_t all = 0;
    for (const auto weight : weights_) all += weight;
    if (all == 0 || prng_.chance(1, 4)) return;
    auto drawn = prng_.below(all);
    std::size_t which = 0;
    while (drawn >= weights_[which]) drawn -= weights_[which++];
    const auto victim = prng_.chance(1, 2) && cluster_.ready_leader() != BrokerId{-1} ? cluster_.ready_leader() : anybody();
    switch (which) {
      case 0: return crash(victim);
      case 1: return pause(victim);
      case 2: return isolate(victim);
      case 3: return split();
      case 4: return one_way(victim);
      case 5: return mend();
      case 6: return cluster_.transfer(victim, prng_.chance(1, 2) ? BrokerId{-1} : anybody());
      case 7: return change_voters();
      case 8: return cluster_.hint_down(anybody(), victim);
      case 9: return wipe(victim);
      case 10: return cluster_.set_clock(victim, prng_.between(900, 1'100));
      case 11: return crash_all();
      case 12: return strand(victim);
      default: return;
    }
  }

  /// Whoever was just elected is the one to lose: what it has begun is half done.
  void hunt(BrokerId id) {
    if (weights_[7] > 0 && prng_.chance(1, 2))
      cluster_.at(cluster_.now() + prng_.between(0, 100), [this] { change_voters(); });
    if (!prng_.chance(2, 3)) return;
    const auto pause = prng_.chance(1, 3) ? 0 : prng_.between(0, 3 * stormy_.delay_max_ms);
    cluster_.at(cluster_.now() + pause, [this, id] {
      if (cluster_.now() >= storm_until_) return;
      switch (prng_.below(4)) {
        case 0:
        case 1: return crash(id);
        case 2: return isolate(id);
        default: return strand(id);
      }
    });
  }

  // --- scenes: faults in the one order that a rule was made for

  void play() {
    if (cluster_.now() >= storm_until_ || broken()) return;
    cluster_.at(cluster_.now() + prng_.between(300, 2'500), [this] { play(); });
    const auto leader = cluster_.ready_leader();
    const auto scene = prng_.below(scene_weights_.size());
    if (leader == BrokerId{-1} || figure_eight_ || prng_.below(5) >= scene_weights_[scene]) return;
    switch (scene) {
      case 0: return figure_eight(leader);
      case 1: return hand_over_late(leader);
      default: return forget_what_counted(leader);
    }
  }

  /// Figure 8 of the Raft paper: an entry that only `first` has; another leader, of a later epoch, whose entry nobody else has; `first`
  /// again, for as long as the old entry needs to reach a majority; and then the other one.
  void figure_eight(BrokerId first) {
    ++cluster_.marks["figure 8"];
    cluster_.unblock_all();
    isolate(first);
    for (std::uint64_t i = 1 + prng_.below(2); i > 0; --i) {
      if (cluster_.node(first).next_place()) cluster_.propose(first, prng_.chance(1, 4) ? 1'000 : 20'000);
    }
    figure_eight_ = FigureEight{.first = first};
    cluster_.at(cluster_.now() + 4'000, [this, scene = ++scenes_] {
      if (figure_eight_ && scene == scenes_) end_figure_eight();
    });
  }
  void figure_eight_goes_on(BrokerId elected) {
    auto& scene = *figure_eight_;
    if (scene.second == BrokerId{-1}) {
      if (elected == scene.first) return end_figure_eight();
      scene.second = elected;
      cluster_.unblock_all();
      return isolate(elected);
    }
    if (elected != scene.first) return end_figure_eight();
    ++cluster_.marks["figure 8: led again"];
    const auto turn = stormy_.delay_max_ms + stormy_.disk_ms_max;
    cluster_.at(cluster_.now() + prng_.between(0, 5 * turn), [this, first = scene.first] {
      if (!figure_eight_) return;
      end_figure_eight();
      prng_.chance(1, 2) ? isolate(first) : crash(first);
      cluster_.at(cluster_.now() + 2'000, [this] { cluster_.unblock_all(); });
    });
  }
  void end_figure_eight() {
    figure_eight_.reset();
    cluster_.unblock_all();
  }

  /// "Be elected now" comes when nobody thinks of it any more, and the log has gone on without its receiver.
  void hand_over_late(BrokerId leader) {
    const auto target = anybody();
    if (target == leader) return;
    ++cluster_.marks["handed over late"];
    cluster_.clog(leader, target, cluster_.now() + prng_.between(850, 2'500));
    cluster_.transfer(leader, target);
  }

  /// Whoever made the majority loses its disk, the leader is cut off, and who was behind is back.
  void forget_what_counted(BrokerId leader) {
    const auto behind = anybody();
    const auto forgetful = anybody();
    if (dead_ || behind == leader || forgetful == leader || behind == forgetful) return;
    ++cluster_.marks["what counted was forgotten"];
    isolate(behind);
    cluster_.at(cluster_.now() + prng_.between(50, 600), [this, leader, forgetful] {
      if (cluster_.now() >= storm_until_) return;
      cluster_.unblock_all();
      isolate(leader);
      wipe(forgetful);
    });
    cluster_.at(cluster_.now() + 3'000, [this] { cluster_.unblock_all(); });
  }

  // --- faults

  void crash(BrokerId id) {
    if (!cluster_.up(id)) return;
    cluster_.crash(id);
    tell_of(id, false);
    cluster_.at(cluster_.now() + prng_.between(1, restart_ms_), [this, id] { restart(id); });
  }
  void restart(BrokerId id) {
    if (cluster_.up(id)) return;
    cluster_.start(id);
    tell_of(id, true);
  }
  void crash_all() {
    for (const auto id : ids_) crash(id);
  }
  void tell_of(BrokerId id, bool up) {
    if (!hints_) return;
    for (const auto other : ids_) {
      if (other == id) continue;
      cluster_.at(cluster_.now() + prng_.between(1, 20), [this, other, id, up] {
        if (!cluster_.up(other)) return;
        up ? cluster_.hint_up(other, id) : cluster_.hint_down(other, id);
      });
    }
  }
  void pause(BrokerId id) {
    cluster_.pause(id);
    cluster_.at(cluster_.now() + prng_.between(50, 3'000), [this, id] { cluster_.resume(id); });
  }
  void isolate(BrokerId id) {
    ++cluster_.marks["isolated"];
    for (const auto other : ids_) {
      cluster_.block(id, other);
      cluster_.block(other, id);
    }
  }
  /// A leader that is cut off and does not know it yet: what it takes now must never count. It comes back soon, and others go.
  void strand(BrokerId id) {
    ++cluster_.marks["stranded"];
    cluster_.unblock_all();
    isolate(id);
    if (prng_.chance(1, 2)) change_voters_at(id);
    for (std::uint64_t i = 1 + prng_.below(3); i > 0; --i) {
      if (cluster_.up(id) && cluster_.node(id).next_place())
        cluster_.propose(id, one_of(std::array<std::size_t, 3>{30, 1'000, 20'000}));
    }
    cluster_.at(cluster_.now() + prng_.between(300, 2'500), [this] { cluster_.unblock_all(); });
  }
  void split() {
    ++cluster_.marks["split"];
    const auto side = prng_.next();
    for (const auto a : ids_) {
      for (const auto b : ids_) {
        if (((side >> a.value()) & 1U) != ((side >> b.value()) & 1U)) cluster_.block(a, b);
      }
    }
  }
  void one_way(BrokerId id) {
    ++cluster_.marks["one-way partition"];
    const bool outward = prng_.chance(1, 2);
    for (const auto other : ids_) {
      if (prng_.chance(1, 4)) continue;
      outward ? cluster_.block(id, other) : cluster_.block(other, id);
    }
  }
  void mend() {
    cluster_.unblock_all();
    for (const auto id : ids_) {
      if (prng_.chance(1, 3)) tell_of(id, true);
    }
  }

  /// All nodes run and agree who votes: no change is on its way anywhere.
  bool all_agree() const {
    const auto leader = cluster_.ready_leader();
    if (leader == BrokerId{-1} || !std::ranges::all_of(ids_, [&](auto id) { return cluster_.up(id); })) return false;
    const auto& node = cluster_.node(leader);
    return std::ranges::all_of(ids_, [&](auto id) {
      return cluster_.node(id).voters() == node.voters() && cluster_.node(id).epoch() == node.epoch();
    });
  }

  /// An empty disk under an old id, once a run (more than one of three is a lost quorum).
  void wipe(BrokerId id) {
    if (dead_ || !all_agree() || cluster_.node(id).voters().size() < 3) return;
    dead_ = cluster_.node(id).key();
    cluster_.wipe(id);
    tell_of(id, false);
    cluster_.at(cluster_.now() + prng_.between(1, 2'000), [this, id] { restart(id); });
  }

  /// What an operator does: the dead disk goes first; then voters come and go.
  void change_voters() { change_voters_at(cluster_.ready_leader()); }
  void change_voters_at(BrokerId leader) {
    if (leader == BrokerId{-1} || !cluster_.up(leader)) return;
    const auto& voters = cluster_.node(leader).voters();
    if (dead_ && voters.contains(*dead_)) return cluster_.remove_voter(leader, *dead_);
    const auto id = anybody();
    if (!cluster_.up(id) || cluster_.node(id).cluster_id().is_nil()) return;
    const auto key = cluster_.node(id).key();
    if (!voters.contains(key)) return cluster_.add_voter(leader, key);
    if (voters.size() > 1 && prng_.chance(1, 2)) cluster_.remove_voter(leader, key);
  }

  // --- the end

  void heal() {
    if (broken()) return;
    cluster_.weather = {};
    figure_eight_.reset();
    cluster_.unblock_all();
    for (const auto id : ids_) {
      for (const auto other : ids_) cluster_.clog(id, other, 0);
      cluster_.resume(id);
      cluster_.set_clock(id, 1'000);
      cluster_.start(id);
    }
    const auto healed = cluster_.now();
    if (!cluster_.run_until(healed + leader_within_ms, [&] { return cluster_.ready_leader() != BrokerId{-1}; })) {
      return violated("Liveness", "no leader within " + std::to_string(leader_within_ms) + " ms after healing");
    }
    leaderless_ms_ = cluster_.now() - healed;
    // A leader that was deposed unawares may answer "ready" for a moment more: a proposal tells.
    const auto accepted = cluster_.accepted_proposals();
    if (!cluster_.run_until(healed + settled_within_ms, [&] { return cluster_.accepted_proposals() > accepted; })) {
      return violated("Liveness",
                      "no proposal was committed within " + std::to_string(settled_within_ms) + " ms after healing");
    }
    done_ = true;
    if (!cluster_.run_until(cluster_.now() + settled_within_ms, [&] { return settled(); })) {
      std::string where;
      for (const auto id : ids_) {
        where += " n" + to_string(id) + "=" + std::string(to_string(cluster_.node(id).role())) + ":" +
                 to_string(cluster_.applied(id).end);
      }
      return violated("Liveness", "replicas do not come to the same end:" + where + ", committed " +
                                      to_string(cluster_.invariants().committed_end()) + ", open requests " +
                                      std::to_string(cluster_.open_requests()));
    }
  }

  bool settled() const {
    const auto end = cluster_.invariants().committed_end();
    // What a crashed process was asked is never answered; what others were asked is, some time.
    return std::ranges::all_of(ids_, [&](auto id) { return cluster_.up(id) && cluster_.applied(id).end == end; });
  }

  void violated(const std::string& invariant, const std::string& what) {
    if (!broken()) cluster_.violated(invariant, what);
  }

  QuorumCluster cluster_;
  Prng& prng_;
  std::vector<BrokerId> ids_;
  std::array<std::uint64_t, 13> weights_{};
  std::array<std::uint64_t, 3> scene_weights_{};
  struct FigureEight {
    BrokerId first;
    BrokerId second{-1};
  };
  std::optional<FigureEight> figure_eight_;
  std::uint64_t scenes_ = 0;
  Weather stormy_;
  Millis load_ms_ = 20;
  Millis pace_ms_ = 200;
  Millis storm_until_ = 0;
  Millis leaderless_ms_ = 0;
  Millis restart_ms_ = 3'000;
  bool hints_ = true;
  bool hunts_ = false;
  bool done_ = false;
  std::optional<ReplicaKey> dead_;
};

}  // namespace

SeedResult run_quorum_seed(std::uint64_t seed, std::function<void(const std::string&)> log) {
  return Nemesis{seed, std::move(log)}.run();
}

}  // namespace troupe::sim
