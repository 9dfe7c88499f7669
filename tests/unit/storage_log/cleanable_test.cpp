#include "storage/cleanable.hpp"

#include <vector>

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::storage;

namespace {

constexpr TimestampMs now{1'000'000};

/// Four segments of 100 offsets and 1,000 bytes, the newest record of each 1,000 ms younger than that of the one before.
std::vector<SegmentFacts> segments() {
  std::vector<SegmentFacts> all;
  for (std::int64_t i = 0; i < 4; ++i)
    all.push_back({Offset{i * 100}, Offset{i * 100 + 100}, 1000, now - Millis{(4 - i) * 1000}});
  return all;
}

}  // namespace

TEST_CASE("a log is compacted when enough of it was not", "[cleaning]") {
  LogConfig config{.compact = true};
  const auto all = segments();
  const auto at = [&](std::int64_t first_dirty) { return cleanable(all, config, Offset{first_dirty}, Offset{400}, now); };
  CHECK(at(0)->segments == 4);
  CHECK(at(0)->dirty_permille == 1000);
  CHECK(at(200)->dirty_permille == 500);
  CHECK_FALSE(at(300));
  CHECK_FALSE(at(400));
  CHECK(at(250)->dirty_permille == 500);  // part of the third was compacted; it counts as dirty
  config.min_dirty_permille = 250;
  CHECK(at(300));
  config.min_dirty_permille = 0;
  CHECK(at(399));
  CHECK_FALSE(at(400));
  CHECK_FALSE(cleanable({}, config, Offset{0}, Offset{400}, now));
}

TEST_CASE("only what is committed is compacted, by whole segments", "[cleaning]") {
  const LogConfig config{.compact = true};
  const auto all = segments();
  CHECK(cleanable(all, config, Offset{0}, Offset{399}, now)->segments == 3);
  CHECK(cleanable(all, config, Offset{0}, Offset{300}, now)->segments == 3);
  CHECK_FALSE(cleanable(all, config, Offset{0}, Offset{99}, now));
}

TEST_CASE("records that are too young keep their segment and those behind it", "[cleaning]") {
  LogConfig config{.compact = true, .min_compaction_lag_ms = 2'500};
  auto all = segments();
  CHECK(cleanable(all, config, Offset{0}, Offset{400}, now)->segments == 2);
  CHECK_FALSE(cleanable(all, config, Offset{0}, Offset{400}, std::nullopt));
  all[0].max_timestamp = now;
  CHECK_FALSE(cleanable(all, config, Offset{0}, Offset{400}, now));
  CHECK(cleanable(all, config, Offset{100}, Offset{400}, now)->segments ==
        2);  // the first was compacted when it was old enough
}

TEST_CASE("what has waited for too long is compacted, however little it is", "[cleaning]") {
  LogConfig config{.compact = true, .min_dirty_permille = 1000, .max_compaction_lag_ms = 2'000};
  const auto all = segments();
  CHECK_FALSE(cleanable(all, config, Offset{300}, Offset{400}, now));
  CHECK(cleanable(all, config, Offset{200}, Offset{400}, now)->overdue);
  CHECK_FALSE(cleanable(all, config, Offset{200}, Offset{400}, std::nullopt));
}
