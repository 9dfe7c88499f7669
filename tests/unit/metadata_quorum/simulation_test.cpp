#include "tests/sim/quorum_nemesis.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

/// TROUPE_SEEDS seeds (120 by default) from TROUPE_SEED (1) on.
TEST_CASE("random histories of a quorum keep Raft's promises, and heal", "[quorum]") {
  const char* given = std::getenv("TROUPE_SEEDS");
  const auto seeds = given == nullptr ? 120 : std::strtoull(given, nullptr, 10);
  const auto first = seed_or(1);
  std::map<std::string, std::uint64_t> seeds_with;
  for (auto seed = first; seed < first + seeds; ++seed) {
    const auto result = sim::run_quorum_seed(seed);
    INFO("TROUPE_SEED=" << seed << " TROUPE_SEEDS=1, or troupe_sim --of quorum --seed " << seed);
    INFO(result.violation.value_or(""));
    REQUIRE_FALSE(result.violation);
    for (const auto& [mark, count] : result.marks) ++seeds_with[mark];
  }
  if (seeds < 120) return;
  // What was never reached was not tested.
  for (const char* mark : {"append refused", "change of voters done", "crash", "entries read from disk", "log cut",
                           "log truncated", "proposal done", "proposal: not_leader_or_follower", "proposal: overloaded",
                           "read done", "read: not_leader_or_follower", "snapshot installed", "snapshot rejected",
                           "snapshot replaced while sent", "transfer done", "vote refused", "wipe"}) {
    INFO(mark);
    CHECK(seeds_with[mark] * 100 >= seeds);  // in 1 % of the seeds
  }
}

TEST_CASE("a follower whose disk stands still does not make its leader send without end", "[quorum]") {
  const auto result = sim::run_quorum_seed(701794);  // did not end, when each of many refusals was answered by a burst
  INFO(result.violation.value_or(""));
  CHECK_FALSE(result.violation);
}

TEST_CASE("the same seed gives the same history", "[quorum]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    CHECK(sim::run_quorum_seed(seed).trace == sim::run_quorum_seed(seed).trace);
  CHECK(sim::run_quorum_seed(1).trace != sim::run_quorum_seed(2).trace);
}

TEST_CASE("a leader is there soon after its predecessor was killed", "[quorum]") {
  std::vector<Millis> gaps;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    sim::QuorumCluster cluster{seed};
    const std::vector<BrokerId> ids{BrokerId{1}, BrokerId{2}, BrokerId{3}};
    for (const auto id : ids) cluster.add({.id = id, .bootstrap_voters = ids});
    for (const auto id : ids) cluster.start(id);
    REQUIRE(cluster.run_until(10'000, [&] { return cluster.ready_leader() != BrokerId{-1}; }));
    cluster.run_until(cluster.now() + 1'000);
    const auto killed = cluster.ready_leader();
    const auto since = cluster.now();
    cluster.crash(killed);
    for (const auto id : ids) {
      if (id != killed) cluster.hint_down(id, killed);
    }
    REQUIRE(cluster.run_until(since + 5'000, [&] { return cluster.ready_leader() != BrokerId{-1}; }));
    gaps.push_back(cluster.now() - since);
  }
  std::ranges::sort(gaps);
  CHECK(gaps[gaps.size() / 2] < 100);
  CHECK(gaps.back() < 1'000);
}

TEST_CASE("figure 8 of the paper: an entry of an older epoch that a majority holds is not committed by that", "[quorum]") {
  sim::QuorumCluster cluster{8};
  const std::vector<BrokerId> ids{BrokerId{1}, BrokerId{2}, BrokerId{3}};
  for (const auto id : ids) {
    quorum::QuorumOptions options{.id = id, .bootstrap_voters = ids};
    options.append_bytes_max = 200;  // the old entry and the new leader's first travel one after the other
    options.inflight_messages_max = 1;
    cluster.add(options);
  }
  cluster.weather = {.delay_min_ms = 5, .delay_max_ms = 5, .disk_ms_max = 0};
  const auto cut_off = [&](BrokerId one) {
    for (const auto other : ids) {
      cluster.block(one, other);
      cluster.block(other, one);
    }
  };
  const auto leads = [&](BrokerId id) { return cluster.up(id) && cluster.node(id).role() == quorum::QuorumRole::leader; };
  for (const auto id : ids) cluster.start(id);
  REQUIRE(cluster.run_until(10'000, [&] { return cluster.ready_leader() != BrokerId{-1}; }));
  cluster.run_until(cluster.now() + 500);

  // (a) the first leader writes an entry that nobody else gets
  const auto first = cluster.ready_leader();
  cut_off(first);
  cluster.propose(first, 20'000);
  cluster.run_until(cluster.now() + 20);
  const auto old_entry_end = cluster.disk(first).log.end();
  cluster.crash(first);
  // (b) another leads, and nobody gets its first entry either
  BrokerId second{-1};
  cluster.on_elected = [&](BrokerId id) {
    if (second != BrokerId{-1}) return;
    second = id;
    cut_off(id);
  };
  REQUIRE(cluster.run_until(cluster.now() + 10'000, [&] { return second != BrokerId{-1}; }));
  cluster.run_until(cluster.now() + 20);
  cluster.crash(second);
  const BrokerId third{6 - first.value() - second.value()};
  // (c) the first is back, leads again, and a majority holds its old entry
  cluster.unblock_all();
  cluster.start(first);
  REQUIRE(cluster.run_until(cluster.now() + 10'000,
                            [&] { return leads(first) && cluster.disk(third).log.end() == old_entry_end; }));
  cluster.run_until(cluster.now() + 7);  // the leader hears of it, and what it sends then does not arrive
  cluster.crash(first);
  cut_off(first);
  // (d) the second is back with the newer epoch, and its log is the one that counts
  cluster.start(second);
  const bool led = cluster.run_until(cluster.now() + 10'000, [&] { return cluster.ready_leader() == second; });
  cluster.run_until(cluster.now() + 500);
  INFO(cluster.invariants().violation().value_or(""));
  CHECK_FALSE(cluster.invariants().violation());
  CHECK(led);
  CHECK(cluster.marks["log truncated"] == 1);
  CHECK(cluster.disk(third).log.end() == cluster.disk(second).log.end());
}
