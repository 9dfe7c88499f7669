#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/cluster/cluster_sim.hpp"
#include "tests/sim/quorum_nemesis.hpp"
#include "tests/sim/replication/replication_sim.hpp"

/// Runs random histories of clusters of the real machines.
///
///   troupe_sim --seeds 1000               seeds 1 to 1000 of whole clusters
///   troupe_sim --seeds 1000 --from 5      seeds 5 to 1004
///   troupe_sim --fresh --minutes 10       seeds that nobody has run
///   troupe_sim --seed 8123                one seed, told event by event
///   --of cluster|group|quorum|replication which simulation: all machines together, groups on them, the metadata quorum, replicas
///   --stop-after N                        violations; 10 by default
///   --quiet                               only totals and violations
///   --twice                               each seed twice: both histories have to be the same
///   --tsv FILE --commit ID --date DAY     appends the totals: day, commit, simulation, first seed, seeds, violations
namespace {

using namespace troupe;
using namespace troupe::sim;

using Log = std::function<void(const std::string&)>;

struct Outcome {
  std::optional<std::string> violation = {};
  Marks marks = {};
  Millis healing_ms = 0;
  std::uint64_t trace = 0;
  std::string settings = {};
};

Outcome run_quorum(std::uint64_t seed, const Log& log) {
  auto result = run_quorum_seed(seed, log);
  return {std::move(result.violation), std::move(result.marks), result.leaderless_ms, result.trace, {}};
}
Outcome run_replication(std::uint64_t seed, const Log&) {
  auto result = run_replication_sim(seed);
  Outcome outcome{{}, std::move(result.marks), result.healing_ms, result.trace, std::move(result.settings)};
  if (result.violation) outcome.violation = result.violation->invariant + ": " + result.violation->what;
  return outcome;
}
Outcome run_cluster(std::uint64_t seed, const Log& log) {
  auto result = run_cluster_seed(seed, log);
  return {std::move(result.violation), std::move(result.marks), result.healing_ms, result.trace, std::move(result.settings)};
}

Outcome run_group(std::uint64_t seed, const Log& log) {
  auto result = run_group_seed(seed, log);
  return {std::move(result.violation), std::move(result.marks), result.healing_ms, result.trace, std::move(result.settings)};
}

struct Options {
  std::string of = "cluster";
  std::uint64_t from = 1;
  std::uint64_t seeds = 0;
  std::uint64_t minutes = 0;
  std::uint64_t stop_after = 10;
  std::uint64_t last_events = 60;
  bool told = false;
  bool fresh = false;
  bool quiet = false;
  bool twice = false;
  std::string tsv = {};
  std::string commit = "?";
  std::string date = "?";
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--fresh" || option == "--quiet" || option == "--twice") {
      (option == "--fresh" ? options.fresh : option == "--quiet" ? options.quiet : options.twice) = true;
      continue;
    }
    if (i + 1 == argc) return std::nullopt;
    const char* text = argv[++i];
    const auto number = std::strtoull(text, nullptr, 10);
    if (option == "--of") {
      options.of = text;
    } else if (option == "--seed") {
      options.from = number;
      options.seeds = 1;
      options.told = true;
    } else if (option == "--from") {
      options.from = number;
    } else if (option == "--seeds") {
      options.seeds = number;
    } else if (option == "--minutes") {
      options.minutes = number;
    } else if (option == "--stop-after") {
      options.stop_after = number;
    } else if (option == "--tsv") {
      options.tsv = text;
    } else if (option == "--commit") {
      options.commit = text;
    } else if (option == "--date") {
      options.date = text;
    } else {
      return std::nullopt;
    }
  }
  if (options.fresh) options.from = (std::uint64_t{std::random_device{}()} << 20) + 1;
  if (options.seeds == 0) options.seeds = options.minutes > 0 ? UINT64_MAX - options.from : 100;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  const auto run = !options                       ? nullptr
                   : options->of == "cluster"     ? run_cluster
                   : options->of == "group"       ? run_group
                   : options->of == "quorum"      ? run_quorum
                   : options->of == "replication" ? run_replication
                                                  : nullptr;
  if (run == nullptr) {
    std::fputs(
        "troupe_sim [--of cluster|group|quorum|replication] [--seed N | [--seeds N] [--from N] [--fresh] [--minutes N]]\n"
        "           [--stop-after N] [--quiet] [--twice] [--tsv FILE --commit ID --date DAY]\n",
        stderr);
    return 2;
  }
  const auto begun = std::chrono::steady_clock::now();
  const auto end = begun + std::chrono::minutes(options->minutes);
  Marks totals;
  Marks seeds_with;
  std::vector<Millis> healing;
  std::uint64_t violations = 0;
  std::uint64_t done = 0;
  for (auto seed = options->from; done < options->seeds && violations < options->stop_after; ++seed) {
    if (options->minutes > 0 && std::chrono::steady_clock::now() >= end) break;
    auto outcome = run(seed, options->told ? [](const std::string& line) { std::puts(line.c_str()); } : Log{});
    ++done;
    if (options->twice && !outcome.violation && run(seed, Log{}).trace != outcome.trace) {
      outcome.violation = "SameSeedSameHistory: the second run went another way";
    }
    if (options->told)
      std::printf("settings: %s\ntrace: %016llx\n", outcome.settings.c_str(),
                  static_cast<unsigned long long>(outcome.trace));
    if (outcome.violation) {
      ++violations;
      if (!options->told) {
        // The same history again, for its last events.
        std::deque<std::string> last;
        run(seed, [&](const std::string& line) {
          last.push_back(line);
          if (last.size() > options->last_events) last.pop_front();
        });
        if (!options->quiet) {
          for (const auto& line : last) std::printf("    %s\n", line.c_str());
        }
      }
      std::printf("seed %llu: %s\n  %s\n  reproduce: troupe_sim --of %s --seed %llu\n",
                  static_cast<unsigned long long>(seed), outcome.violation->c_str(), outcome.settings.c_str(),
                  options->of.c_str(), static_cast<unsigned long long>(seed));
      std::fflush(stdout);
      continue;
    }
    healing.push_back(outcome.healing_ms);
    for (const auto& [mark, count] : outcome.marks) {
      totals[mark] += count;
      seeds_with[mark] += count > 0 ? 1 : 0;
    }
  }
  if (!options->quiet) {
    for (const auto& [mark, count] : totals) {
      std::printf("%-50s %10llu in %llu seeds\n", mark.c_str(), static_cast<unsigned long long>(count),
                  static_cast<unsigned long long>(seeds_with[mark]));
    }
  }
  std::ranges::sort(healing);
  if (!healing.empty()) {
    std::printf("virtual ms from healing to rest: p50 %lld, p99 %lld, max %lld\n",
                static_cast<long long>(healing[healing.size() / 2]),
                static_cast<long long>(healing[healing.size() * 99 / 100]), static_cast<long long>(healing.back()));
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf("%s: %llu seeds from %llu, %llu violations, %.1f s\n", options->of.c_str(),
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(options->from),
              static_cast<unsigned long long>(violations), seconds);
  if (!options->tsv.empty()) {
    if (auto* file = std::fopen(options->tsv.c_str(), "a"); file != nullptr) {
      std::fprintf(file, "%s\t%s\t%s\t%llu\t%llu\t%llu\n", options->date.c_str(), options->commit.c_str(),
                   options->of.c_str(), static_cast<unsigned long long>(options->from),
                   static_cast<unsigned long long>(done), static_cast<unsigned long long>(violations));
      std::fclose(file);
    } else {
      std::perror(options->tsv.c_str());
      return 2;
    }
  }
  return violations == 0 ? 0 : 1;
}
