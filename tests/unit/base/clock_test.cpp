#include "base/clock.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;

TEST_CASE("the monotonic clock does not go back", "[base]") {
  const SystemClock clock;
  auto before = clock.monotonic_now();
  for (int i = 0; i < 1000; ++i) {
    const auto now = clock.monotonic_now();
    REQUIRE(now >= before);
    before = now;
  }
}

TEST_CASE("the wall clock counts milliseconds since 1970", "[base]") {
  // Between 2020 and 2200: seconds or microseconds would lie outside.
  const auto now = SystemClock{}.wall_now();
  CHECK(now > TimestampMs{1'577'836'800'000});
  CHECK(now < TimestampMs{7'258'118'400'000});
}
