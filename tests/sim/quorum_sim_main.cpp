#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "tests/sim/quorum_nemesis.hpp"

/// Runs random histories of the metadata quorum.
///
///   quorum_sim --seeds 1000            seeds 1 to 1000
///   quorum_sim --seeds 1000 --from 5   seeds 5 to 1004
///   quorum_sim --seed 8123             one seed, told event by event
///   --stop-after N                     violations; 10 by default
int main(int argc, char** argv) {
  using namespace troupe::sim;
  std::uint64_t from = 1;
  std::uint64_t seeds = 100;
  std::uint64_t violations_max = 10;
  bool told = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--from") from = value;
    if (option == "--seeds") seeds = value;
    if (option == "--stop-after") violations_max = value;
    if (option == "--seed") {
      from = value;
      seeds = 1;
      told = true;
    }
  }
  Marks totals;
  std::map<std::string, std::uint64_t> seeds_with;
  std::vector<troupe::Millis> leaderless;
  std::uint64_t violations = 0;
  for (auto seed = from; seed < from + seeds; ++seed) {
    const auto result = run_quorum_seed(
        seed, told ? [](const std::string& line) { std::puts(line.c_str()); } : std::function<void(const std::string&)>{});
    if (result.violation) {
      ++violations;
      std::printf("seed %llu: %s\n  reproduce: quorum_sim --seed %llu\n", static_cast<unsigned long long>(seed),
                  result.violation->c_str(), static_cast<unsigned long long>(seed));
      std::fflush(stdout);
      if (violations >= violations_max) break;
      continue;
    }
    leaderless.push_back(result.leaderless_ms);
    for (const auto& [mark, count] : result.marks) {
      totals[mark] += count;
      ++seeds_with[mark];
    }
  }
  for (const auto& [mark, count] : totals) {
    std::printf("%-40s %10llu in %llu seeds\n", mark.c_str(), static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(seeds_with[mark]));
  }
  std::ranges::sort(leaderless);
  if (!leaderless.empty()) {
    std::printf("ms from healing to a ready leader: p50 %lld, p99 %lld, max %lld\n",
                static_cast<long long>(leaderless[leaderless.size() / 2]),
                static_cast<long long>(leaderless[leaderless.size() * 99 / 100]), static_cast<long long>(leaderless.back()));
  }
  std::printf("%llu seeds, %llu violations\n", static_cast<unsigned long long>(seeds),
              static_cast<unsigned long long>(violations));
  return violations == 0 ? 0 : 1;
}
