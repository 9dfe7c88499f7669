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
    INFO("TROUPE_SEED=" << seed << " TROUPE_SEEDS=1, or quorum_sim --seed " << seed);
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
