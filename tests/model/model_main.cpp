#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "tests/model/explorer.hpp"
#include "tests/model/group_model.hpp"
#include "tests/model/quorum_model.hpp"
#include "tests/model/replication_model.hpp"

/// Explores every history of the small configurations below.
///
///   troupe_model                 all of them
///   troupe_model NAME..          these
///   troupe_model --list          their names
///   troupe_model --states-max N  of each; 20,000,000 by default. One that is not explored to its end fails, but for those that have more
///                                histories than anybody waits for: of these a part is looked at, always the same one.
namespace {

using namespace troupe;
using namespace troupe::model;

struct Configuration {
  const char* name;
  const char* what;
  std::function<Outcome(std::uint64_t states_max)> run;
  std::uint64_t part = UINT64_MAX;  ///< states that are looked at of one that is too large
};

Configuration part_of(std::uint64_t states, Configuration one) {
  one.part = states;
  return one;
}
Configuration quorum(const char* name, const char* what, QuorumBounds bounds) {
  return {name, what, [bounds](std::uint64_t states_max) { return explore(QuorumModel{bounds}, states_max); }};
}
Configuration replication(const char* name, const char* what, ReplicationBounds bounds) {
  return {name, what, [bounds](std::uint64_t states_max) { return explore(ReplicationModel{bounds}, states_max); }};
}

Configuration group(const char* name, const char* what, GroupBounds bounds) {
  return {name, what, [bounds](std::uint64_t states_max) { return explore(GroupModel{bounds}, states_max); }};
}

const std::vector<Configuration>& configurations() {
  using troupe::replication::Flush;
  static const std::vector<Configuration> all{
      quorum("quorum-elections", "2 timeouts, 1 entry", {.timeouts = 2, .proposals = 1, .link_max = 1}),
      quorum("quorum-entries", "1 timeout, 2 entries, 1 round of heartbeats",
             {.timeouts = 1, .heartbeats = 1, .proposals = 2, .link_max = 1}),
      quorum("quorum-disk", "1 timeout, 1 entry, slow disks", {.timeouts = 1, .proposals = 1, .disk_at_once = false}),
      quorum("quorum-crash", "1 timeout, 1 entry, 1 crash with what waits for the disk",
             {.timeouts = 1, .proposals = 1, .crashes = 1, .link_max = 1, .disk_at_once = false}),
      part_of(600'000, quorum("quorum-3-timeouts", "3 timeouts of the two that follow, 1 entry",
                              {.timeouts = 3, .impatient = {1, 2}, .proposals = 1, .link_max = 1})),
      replication("replication-copy", "3 records", {.records = 3}),
      replication("replication-failover", "1 record, 2 epochs: a broker that runs is fenced",
                  {.records = 1, .suspicions = 1}),
      replication("replication-power", "1 record, flush = interval, a power cut",
                  {.flush = Flush::interval, .records = 1, .power_cuts = 1}),
      part_of(300'000,
              replication(
                  "replication-join", "1 record, flush = interval, who joins the ISR loses power and comes back",
                  {.flush = Flush::interval, .isr = {1, 2}, .records = 1, .power_cuts = 1, .mortal = {3}, .returns = 1})),
      group("group-join", "all three join", {.settled = 0, .joins = 3}),
      group("group-leave", "three members read, one leaves", {.settled = 3, .joins = 0, .leaves = 1}),
      group("group-expiry", "two read, the third joins, one is given up", {.settled = 2, .joins = 1, .expiries = 1}),
      group("group-failover", "two read, the third joins, a failover", {.settled = 2, .joins = 1, .failovers = 1}),
      group("group-loss", "two read, the third joins, a request or an answer is lost",
            {.settled = 2, .joins = 1, .losses = 1}),
      group("group-commit", "two read, the third joins, one record is committed", {.settled = 2, .joins = 1, .records = 1}),
      part_of(150'000, group("group-all", "as above, a failover, one is given up, one gives itself up",
                             {.settled = 2, .joins = 1, .expiries = 1, .silences = 1, .failovers = 1, .records = 1})),
      part_of(300'000, replication("replication-2-records", "2 records, 2 epochs: the leader dies",
                                   {.records = 2, .kills = 1, .mortal = {1}})),
  };
  return all;
}

bool run(const Configuration& one, std::uint64_t states_max) {
  const auto begun = std::chrono::steady_clock::now();
  const auto outcome = one.run(std::min(states_max, one.part));
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf("%s (%s): %llu states, %llu moves, the longest history has %zu, %.1f s%s\n", one.name, one.what,
              static_cast<unsigned long long>(outcome.states), static_cast<unsigned long long>(outcome.moves),
              outcome.longest, seconds,
              outcome.whole                ? ""
              : one.part <= outcome.states ? ": a part of them"
                                           : ": NOT ALL");
  if (outcome.violation) {
    std::printf("%s: %s\n", one.name, outcome.violation->c_str());
    for (const auto& step : outcome.history) std::printf("    %s\n", step.c_str());
  }
  std::fflush(stdout);
  return (outcome.whole || one.part <= outcome.states) && !outcome.violation;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t states_max = 20'000'000;
  std::vector<std::string_view> names;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--list") {
      for (const auto& one : configurations()) std::printf("%s: %s\n", one.name, one.what);
      return 0;
    }
    if (option == "--states-max" && i + 1 < argc) {
      states_max = std::strtoull(argv[++i], nullptr, 10);
    } else if (option.starts_with("--")) {
      std::fputs("troupe_model [--list] [--states-max N] [NAME..]\n", stderr);
      return 2;
    } else {
      names.push_back(option);
    }
  }
  bool all_hold = true;
  std::size_t ran = 0;
  for (const auto& one : configurations()) {
    if (!names.empty() && std::ranges::find(names, one.name) == names.end()) continue;
    ++ran;
    all_hold = run(one, states_max) && all_hold;
  }
  if (ran < names.size()) std::fputs("there is no configuration of that name: see --list\n", stderr);
  return all_hold && ran >= names.size() && ran > 0 ? 0 : 1;
}
