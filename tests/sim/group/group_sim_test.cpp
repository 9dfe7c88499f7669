#include "tests/sim/group/group_sim.hpp"

#include <cstdlib>
#include <iostream>

#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::sim;

TEST_CASE("simulated groups share their partitions and skip nothing, whatever fails", "[group][sim]") {
  const auto first = test::seed_or(1);
  const auto count = test::from_environment("TROUPE_SIM_SEEDS", std::getenv("TROUPE_SEED") != nullptr ? 1 : 100);
  std::map<std::string, std::uint64_t> seeds_with;
  std::uint64_t consumed = 0;
  for (auto seed = first; seed < first + count; ++seed) {
    const auto report = run_group_sim(seed);
    for (const auto& [mark, times] : report.marks) seeds_with[mark] += times > 0 ? 1 : 0;
    consumed += report.consumed;
    INFO("reproduce: TROUPE_SEED=" << seed << " unit_group_sim");
    if (report.violation) FAIL(report.violation->invariant << ": " << report.violation->what);
  }
  std::cout << "SIM: " << count << " seeds from " << first << ", " << consumed << " records worked on\n";
  if (count < 100) return;
  // Nothing of this may fall out of the simulation unseen.
  for (const auto* mark : {"committed", "died", "failed over", "frozen", "left", "partition added",
                           "read by two, one fenced", "reset", "revoking", "waiting", "worked on again"}) {
    std::cout << "SIM:   " << mark << ": in " << seeds_with[mark] << " seeds\n";
    CHECK(seeds_with[mark] > 0);
  }
}

TEST_CASE("the same seed gives the same simulated group", "[group][sim]") {
  for (std::uint64_t seed = 1; seed < 4; ++seed) {
    const auto one = run_group_sim(seed);
    const auto again = run_group_sim(seed);
    CHECK(one.steps == again.steps);
    CHECK(one.consumed == again.consumed);
    CHECK(one.marks == again.marks);
  }
}
