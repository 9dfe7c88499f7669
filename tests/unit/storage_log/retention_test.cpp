#include "storage/retention.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using storage::LogConfig;
using storage::SegmentFacts;

namespace {

const std::vector<SegmentFacts> segments{
    {Offset{0}, Offset{100}, 1000, TimestampMs{1000}},
    {Offset{100}, Offset{200}, 1000, TimestampMs{2000}},
    {Offset{200}, Offset{300}, 1000, TimestampMs{3000}},
};

LogConfig without_limits() {
  LogConfig config;
  config.retention_ms = config.retention_bytes = config.retention_records = -1;
  return config;
}

}  // namespace

TEST_CASE("without limits nothing is removed", "[retention]") {
  CHECK(storage::retained_from(segments, without_limits(), Offset{300}, TimestampMs{1'000'000}) == Offset{0});
}

TEST_CASE("retention by records keeps at least that many", "[retention]") {
  auto config = without_limits();
  config.retention_records = 150;
  CHECK(storage::retained_from(segments, config, Offset{300}, std::nullopt) == Offset{100});
  config.retention_records = 100;
  CHECK(storage::retained_from(segments, config, Offset{300}, std::nullopt) == Offset{200});
  config.retention_records = 0;
  CHECK(storage::retained_from(segments, config, Offset{300}, std::nullopt) == Offset{200});
}

TEST_CASE("retention by bytes keeps at least that many", "[retention]") {
  auto config = without_limits();
  config.retention_bytes = 2001;
  CHECK(storage::retained_from(segments, config, Offset{300}, std::nullopt) == Offset{0});
  config.retention_bytes = 2000;
  CHECK(storage::retained_from(segments, config, Offset{300}, std::nullopt) == Offset{100});
}

TEST_CASE("retention by age takes the active segment, too, and needs a clock that can be believed", "[retention]") {
  auto config = without_limits();
  config.retention_ms = 500;
  CHECK(storage::retained_from(segments, config, Offset{300}, std::nullopt) == Offset{0});
  CHECK(storage::retained_from(segments, config, Offset{300}, TimestampMs{1501}) == Offset{100});
  CHECK(storage::retained_from(segments, config, Offset{300}, TimestampMs{9999}) == Offset{300});
}

TEST_CASE("retention never goes above the high watermark", "[retention]") {
  auto config = without_limits();
  config.retention_ms = 0;
  CHECK(storage::retained_from(segments, config, Offset{199}, TimestampMs{9999}) == Offset{100});
  CHECK(storage::retained_from(segments, config, Offset{0}, TimestampMs{9999}) == Offset{0});
}

TEST_CASE("a wall clock that jumped is not believed for a minute", "[retention]") {
  storage::SteadyWallClock clock;
  const TimestampMs start{1'700'000'000'000};
  CHECK_FALSE(clock.observe(MonotonicMs{0}, start));
  CHECK_FALSE(clock.observe(MonotonicMs{59'999}, start + 59'999));
  CHECK(clock.observe(MonotonicMs{60'000}, start + 60'000) == start + 60'000);
  const auto two_hours = 2 * 3600 * 1000;
  CHECK_FALSE(clock.observe(MonotonicMs{61'000}, start + 61'000 + two_hours));
  CHECK_FALSE(clock.observe(MonotonicMs{62'000}, start + 62'000));
  CHECK(clock.observe(MonotonicMs{122'001}, start + 122'001));
}
