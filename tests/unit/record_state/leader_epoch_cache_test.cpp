#include "core/record/leader_epoch_cache.hpp"

#include <vector>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/record_state/batches.hpp"

using namespace troupe;
using namespace troupe::record;

namespace {

using Entry = LeaderEpochCache::Entry;

Entry entry(std::int32_t epoch, std::int64_t offset) { return {LeaderEpoch{epoch}, Offset{offset}}; }

/// [0..9 e1] [10..29 e1] [30..34 e4] [35..99 e5]
LeaderEpochCache example() {
  LeaderEpochCache cache;
  cache.assign(LeaderEpoch{1}, Offset{0});
  cache.assign(LeaderEpoch{1}, Offset{10});
  cache.assign(LeaderEpoch{4}, Offset{30});
  cache.assign(LeaderEpoch{5}, Offset{35});
  return cache;
}

std::optional<Entry> end_of(const LeaderEpochCache& cache, std::int32_t epoch, std::int64_t log_end = 100) {
  return cache.end_offset_for(LeaderEpoch{epoch}, Offset{log_end});
}

/// The rules from a log spelled out record by record.
struct Model {
  std::int64_t start = 0;
  std::vector<std::int32_t> epochs;  ///< of the records from `start` on

  std::int64_t end() const { return start + static_cast<std::int64_t>(epochs.size()); }

  std::optional<Entry> end_offset_for(std::int32_t epoch) const {
    if (epochs.empty() || epoch > epochs.back()) return std::nullopt;
    std::optional<Entry> found;
    for (std::size_t i = 0; i < epochs.size(); ++i) {
      if (epochs[i] <= epoch) found = entry(epochs[i], start + static_cast<std::int64_t>(i) + 1);
    }
    return found;
  }

  std::vector<Entry> entries() const {
    std::vector<Entry> result;
    for (std::size_t i = 0; i < epochs.size(); ++i) {
      if (i == 0 || epochs[i] != epochs[i - 1]) result.push_back(entry(epochs[i], start + static_cast<std::int64_t>(i)));
    }
    return result;
  }
};

}  // namespace

TEST_CASE("an empty cache knows no epoch", "[leader_epoch_cache]") {
  const LeaderEpochCache cache;
  CHECK_FALSE(cache.latest_epoch());
  CHECK_FALSE(end_of(cache, 0));
  CHECK_FALSE(cache.epoch_at(Offset{0}));
}

TEST_CASE("an epoch is noted where its first batch is", "[leader_epoch_cache]") {
  const auto cache = example();
  CHECK(cache.entries() == std::vector{entry(1, 0), entry(4, 30), entry(5, 35)});
  CHECK(cache.latest_epoch() == LeaderEpoch{5});
}

TEST_CASE("the same, an older and no epoch change nothing", "[leader_epoch_cache]") {
  auto cache = example();
  cache.assign(LeaderEpoch{5}, Offset{60});
  cache.assign(LeaderEpoch{4}, Offset{70});
  cache.assign(no_leader_epoch, Offset{80});
  CHECK(cache.entries() == example().entries());
  LeaderEpochCache empty;
  empty.assign(no_leader_epoch, Offset{0});
  CHECK(empty.entries().empty());
}

TEST_CASE("a newer epoch takes the place of one that was left without records", "[leader_epoch_cache]") {
  auto cache = example();
  cache.truncate_to_start(Offset{100});
  CHECK(cache.entries() == std::vector{entry(5, 100)});
  cache.assign(LeaderEpoch{6}, Offset{100});
  CHECK(cache.entries() == std::vector{entry(6, 100)});
}

TEST_CASE("a follower learns where its last epoch ends", "[leader_epoch_cache]") {
  const auto cache = example();
  CHECK(end_of(cache, 1) == entry(1, 30));
  CHECK(end_of(cache, 2) == entry(1, 30));
  CHECK(end_of(cache, 3) == entry(1, 30));
  CHECK(end_of(cache, 4) == entry(4, 35));
  CHECK(end_of(cache, 5) == entry(5, 100));
  CHECK(end_of(cache, 5, 35) == entry(5, 35));
  CHECK_FALSE(end_of(cache, 0));
  CHECK_FALSE(end_of(cache, -1));
  CHECK_FALSE(end_of(cache, 6));
}

TEST_CASE("each record has the epoch of the entry at or below it", "[leader_epoch_cache]") {
  auto cache = example();
  CHECK(cache.epoch_at(Offset{0}) == LeaderEpoch{1});
  CHECK(cache.epoch_at(Offset{29}) == LeaderEpoch{1});
  CHECK(cache.epoch_at(Offset{30}) == LeaderEpoch{4});
  CHECK(cache.epoch_at(Offset{34}) == LeaderEpoch{4});
  CHECK(cache.epoch_at(Offset{35}) == LeaderEpoch{5});
  CHECK(cache.epoch_at(Offset{5000}) == LeaderEpoch{5});
  cache.truncate_to_start(Offset{20});
  CHECK_FALSE(cache.epoch_at(Offset{19}));
  CHECK(cache.epoch_at(Offset{20}) == LeaderEpoch{1});
}

TEST_CASE("truncating the end forgets the epochs that start at or above it", "[leader_epoch_cache]") {
  const auto after = [](std::int64_t offset) {
    auto cache = example();
    cache.truncate_from(Offset{offset});
    return cache.entries();
  };
  CHECK(after(100) == example().entries());
  CHECK(after(36) == example().entries());
  CHECK(after(35) == std::vector{entry(1, 0), entry(4, 30)});
  CHECK(after(31) == std::vector{entry(1, 0), entry(4, 30)});
  CHECK(after(1) == std::vector{entry(1, 0)});
  CHECK(after(0).empty());
}

TEST_CASE("truncating the start forgets the epochs that end there and moves the one that spans it", "[leader_epoch_cache]") {
  const auto after = [](std::int64_t offset) {
    auto cache = example();
    cache.truncate_to_start(Offset{offset});
    return cache.entries();
  };
  CHECK(after(0) == example().entries());
  CHECK(after(29) == std::vector{entry(1, 29), entry(4, 30), entry(5, 35)});
  CHECK(after(30) == std::vector{entry(4, 30), entry(5, 35)});
  CHECK(after(34) == std::vector{entry(4, 34), entry(5, 35)});
  CHECK(after(36) == std::vector{entry(5, 36)});
  CHECK(after(100) == std::vector{entry(5, 100)});
  LeaderEpochCache late;
  late.assign(LeaderEpoch{2}, Offset{50});
  late.truncate_to_start(Offset{10});
  CHECK(late.entries() == std::vector{entry(2, 50)});
}

TEST_CASE("a checkpoint has to ascend strictly in epoch and offset", "[leader_epoch_cache]") {
  const auto taken = LeaderEpochCache::from_entries(example().entries());
  REQUIRE(taken);
  CHECK(taken->entries() == example().entries());
  CHECK(LeaderEpochCache::from_entries({})->entries().empty());
  CHECK(LeaderEpochCache::from_entries({entry(0, 0)}));
  CHECK_FALSE(LeaderEpochCache::from_entries({entry(1, 0), entry(1, 10)}));
  CHECK_FALSE(LeaderEpochCache::from_entries({entry(2, 0), entry(1, 10)}));
  CHECK_FALSE(LeaderEpochCache::from_entries({entry(1, 10), entry(2, 10)}));
  CHECK_FALSE(LeaderEpochCache::from_entries({entry(1, 10), entry(2, 9)}));
  CHECK_FALSE(LeaderEpochCache::from_entries({entry(-1, 0)}));
  CHECK_FALSE(LeaderEpochCache::from_entries({entry(0, -1)}));
}

TEST_CASE("random logs cut from both sides answer as a log spelled out record by record", "[leader_epoch_cache]") {
  const auto seed = test_seed();
  CAPTURE(seed);
  for (std::uint64_t run = 0; run < 50; ++run) {
    CAPTURE(run);
    Prng prng(seed + run);
    LeaderEpochCache cache;
    Model model;
    std::int32_t epoch = 0;
    for (int step = 0; step < 80; ++step) {
      CAPTURE(step);
      if (prng.chance(1, 10)) {
        const auto to = prng.between(model.start, model.end());
        model.epochs.resize(static_cast<std::size_t>(to - model.start));
        cache.truncate_from(Offset{to});
        if (prng.chance(1, 2) && !model.epochs.empty()) epoch = model.epochs.back();
      } else if (prng.chance(1, 10)) {
        const auto to = prng.between(model.start, model.end());
        model.epochs.erase(model.epochs.begin(), model.epochs.begin() + (to - model.start));
        model.start = to;
        cache.truncate_to_start(Offset{to});
      } else {
        if (prng.chance(1, 3)) epoch += static_cast<std::int32_t>(prng.between(1, 3));
        cache.assign(LeaderEpoch{epoch}, Offset{model.end()});
        model.epochs.insert(model.epochs.end(), static_cast<std::size_t>(prng.between(1, 6)), epoch);
      }
      // An emptied log keeps the epoch it last had, which a log of records cannot tell.
      if (model.epochs.empty()) {
        REQUIRE(cache.entries().size() <= 1);
        continue;
      }
      REQUIRE(LeaderEpochCache::from_entries(cache.entries()));
      REQUIRE(cache.entries() == model.entries());
      for (std::int32_t asked = -1; asked <= epoch + 1; ++asked) {
        CAPTURE(asked);
        REQUIRE(cache.end_offset_for(LeaderEpoch{asked}, Offset{model.end()}) == model.end_offset_for(asked));
      }
      REQUIRE_FALSE(cache.epoch_at(Offset{model.start - 1}));
      for (auto offset = model.start; offset < model.end(); ++offset) {
        CAPTURE(offset);
        REQUIRE(cache.epoch_at(Offset{offset}) == LeaderEpoch{model.epochs[static_cast<std::size_t>(offset - model.start)]});
      }
    }
  }
}
