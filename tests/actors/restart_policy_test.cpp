#include "actors/restart_policy.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using actors::RestartPolicy;

namespace {

constexpr RestartPolicy::Options no_jitter{
    .restarts_max = 6, .window_ms = 60'000, .backoff_ms_min = 50, .backoff_ms_max = 500, .jitter_percent = 0};

}  // namespace

TEST_CASE("the pause before a restart doubles up to its cap", "[restart_policy]") {
  RestartPolicy policy{no_jitter};
  Prng random{1};
  std::vector<Millis> pauses;
  for (int i = 0; i < 6; ++i) pauses.push_back(policy.on_failure(MonotonicMs{i}, random).value());
  CHECK(pauses == std::vector<Millis>{50, 100, 200, 400, 500, 500});
}

TEST_CASE("a child that fails more often than allowed within the window is given up", "[restart_policy]") {
  RestartPolicy policy{no_jitter};
  Prng random{1};
  for (int i = 0; i < 6; ++i) REQUIRE(policy.on_failure(MonotonicMs{i * 9'999}, random));
  CHECK_FALSE(policy.on_failure(MonotonicMs{59'999}, random));
}

TEST_CASE("failures that have left the window are forgotten", "[restart_policy]") {
  RestartPolicy policy{no_jitter};
  Prng random{1};
  for (int i = 0; i < 6; ++i) REQUIRE(policy.on_failure(MonotonicMs{0}, random));
  CHECK(policy.on_failure(MonotonicMs{60'000}, random) == 50);
  // One failure in 15 s for ever is never too much.
  RestartPolicy steady{no_jitter};
  for (int i = 0; i < 1'000; ++i) REQUIRE(steady.on_failure(MonotonicMs{i * 15'000}, random));
}

TEST_CASE("jitter shortens the pause by at most its share, and differently each time", "[restart_policy]") {
  auto options = no_jitter;
  options.jitter_percent = 20;
  options.backoff_ms_min = options.backoff_ms_max = 1'000;
  Prng random{1};
  Millis shortest = 1'000;
  Millis longest = 0;
  for (int i = 0; i < 500; ++i) {
    const auto pause = RestartPolicy{options}.on_failure(MonotonicMs{0}, random).value();
    shortest = std::min(shortest, pause);
    longest = std::max(longest, pause);
  }
  CHECK(shortest >= 800);
  CHECK(shortest < 820);
  CHECK(longest > 980);
  CHECK(longest <= 1'000);
}

TEST_CASE("no restart at all can be asked for", "[restart_policy]") {
  auto options = no_jitter;
  options.restarts_max = 0;
  Prng random{1};
  CHECK_FALSE(RestartPolicy{options}.on_failure(MonotonicMs{0}, random));
}
