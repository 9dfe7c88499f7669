#include "tests/sim/replication/replication_sim.hpp"

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::sim;

TEST_CASE("simulated clusters keep what they acknowledged, whatever fails", "[replication][sim]") {
  const auto first = test::seed_or(1);
  const auto count = test::from_environment("TROUPE_SIM_SEEDS", std::getenv("TROUPE_SEED") != nullptr ? 1 : 60);
  Marks marks;
  std::map<std::string, std::uint64_t> seeds_with;
  std::uint64_t steps = 0;
  std::uint64_t acknowledged = 0;
  for (auto seed = first; seed < first + count; ++seed) {
    const auto report = run_replication_sim(seed);
    for (const auto& [mark, times] : report.marks) {
      marks[mark] += times;
      seeds_with[mark] += times > 0 ? 1 : 0;
    }
    steps += report.steps;
    acknowledged += report.acknowledged;
    INFO("reproduce: TROUPE_SEED=" << seed << " unit_replication_sim; " << report.settings);
    if (report.violation) FAIL(report.violation->invariant << ": " << report.violation->what);
  }
  std::cout << "SIM: " << count << " seeds from " << first << ", " << steps << " steps, " << acknowledged
            << " records acknowledged\n";
  if (count > 60) {
    for (const auto& [mark, times] : marks) {
      std::cout << "SIM:   " << mark << ": " << times << " in " << seeds_with[mark] << " seeds\n";
    }
  }
  CHECK(acknowledged >= (count >= 60 ? count * 20 : 0));
}

TEST_CASE("the same seed gives the same simulation", "[replication][sim]") {
  const auto first = test::seed_or(1);
  for (auto seed = first; seed < first + 3; ++seed) {
    CAPTURE(seed);
    const auto one = run_replication_sim(seed);
    const auto again = run_replication_sim(seed);
    CHECK(one.trace == again.trace);
    CHECK(one.steps == again.steps);
  }
}
