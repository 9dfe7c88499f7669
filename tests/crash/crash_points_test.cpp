#include <chrono>
#include <cstdio>

#include "tests/crash/crash_script.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr std::size_t exhaustive_units_max = 10;

/// Checks the disk as it may look after a power cut now, and after a kill.
class CutHere {
 public:
  explicit CutHere(std::uint64_t seed) : random_(seed) {}

  void operator()(const CrashScript& script) {
    if (failure_) return;
    const PowerCutOptions options{.torn_sectors = random_.chance(1, 4), .earlier_versions = random_.chance(1, 4)};
    const auto units = script.disk().unsynced_unit_count(options);
    if (units <= exhaustive_units_max && (units <= 3 || random_.chance(1, std::uint64_t{1} << (units - 3)))) {
      for (AllChoices all; !failure_ && all.next();) cut(script, all, options);
    } else {
      KeepSynced synced;
      cut(script, synced, options);
      KeepEverything everything;
      cut(script, everything, options);
      for (int i = 0; !failure_ && i < 6; ++i) {
        RandomChoices some{random_};
        cut(script, some, options);
      }
    }
    kill(script);
  }

  std::size_t images() const { return images_; }
  const std::optional<std::string>& failure() const { return failure_; }

 private:
  void cut(const CrashScript& script, Choices& choices, const PowerCutOptions& options) {
    auto image = script.disk().power_cut(choices, options);
    const Follow follow{.rounds = random_.chance(1, 3) ? 1 : 0, .cut_recovery = random_.chance(1, 6)};
    ++images_;
    if (auto wrong = check_image(std::move(image), script.oracle(), random_, follow))
      failure_ = *wrong + " (power cut, survivors " + choices.to_string() + ")";
  }

  void kill(const CrashScript& script) {
    if (failure_ || !random_.chance(1, 3)) return;
    auto oracle = script.oracle();
    ++images_;
    if (auto wrong = check_image(script.disk().clone(), std::move(oracle), random_, {.rounds = 1}))
      failure_ = *wrong + " (kill -9)";
  }

  Prng random_;
  std::size_t images_ = 0;
  std::optional<std::string> failure_;
};

}  // namespace

TEST_CASE("whenever the power goes, recovery gives a prefix that holds every promise, and the log goes on", "[crash]") {
  const auto seed = seed_or(20'240'611);
#ifdef __SANITIZE_ADDRESS__
  constexpr std::size_t images_wanted = 4'000;  // the sanitizers look for other faults than the oracle: they need less of it
#else
  constexpr std::size_t images_wanted = 20'000;
#endif
  const auto wanted = images_wanted * crash_factor();
  QuietLog quiet;
  const auto began = std::chrono::steady_clock::now();
  std::size_t images = 0;
  std::size_t scripts = 0;
  std::size_t points = 0;
  std::size_t swaps = 0;
  // A few scripts may not come to a compaction that replaces something: then more of them, not a test without it.
  for (; images < wanted || (swaps == 0 && images < 8 * wanted); ++scripts) {
    const auto script_seed = seed + scripts;
    CrashScript script{script_seed};
    CutHere cut{script_seed ^ 0x5eed};
    script.on_change([&] {
      ++points;
      cut(script);
    });
    Prng length{script_seed};
    for (auto steps = length.between(30, 60); steps > 0 && !cut.failure() && script.step();) --steps;
    images += cut.images();
    swaps += script.swaps();
    quiet.take();
    INFO("TROUPE_SEED=" << script_seed << ", point " << points << "\nsteps: " << script.steps());
    if (!script.failure().empty()) FAIL(script.failure());
    if (cut.failure()) FAIL(*cut.failure());
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf(
      "CRASH: every crash point: %zu images at %zu points of %zu scripts with %zu compacted segments, seed %llu, %.1f s\n",
      images, points, scripts, swaps, static_cast<unsigned long long>(seed), seconds);
  CHECK(images >= wanted);
  CHECK(swaps > 0);
}
