#include "core/group/turn_log.hpp"

#include "tests/unit/group/group_fixture.hpp"

// What turns write, on its way into the log.
namespace troupe::group {
namespace {

constexpr TimestampMs wall{1'700'000'000'000};

Record offset_of(const std::string& topic, std::int64_t offset, std::string metadata = {}) {
  return OffsetRecord{"g", topic, PartitionId{0},
                      CommittedOffset{.offset = Offset{offset}, .metadata = std::move(metadata)}};
}

/// All records of batches that lie one behind the other from offset 0.
std::vector<Record> replayed(std::vector<ByteBuffer> batches, Offset from = Offset{0}, Offset up_to = Offset::max()) {
  ByteBuffer all;
  Offset next{0};
  for (auto& batch : batches) {
    record::stamp_batch(batch, next, LeaderEpoch{1});
    next = record::parse_batch_header(batch)->next_offset();
    append_bytes(all, batch);
  }
  std::vector<Record> records;
  REQUIRE(replay_batches(all, from, up_to, [&](const Record& one) { records.push_back(one); }));
  return records;
}

}  // namespace

TEST_CASE("an answer waits for all that was written before it", "[turn_log]") {
  TurnLog<int> log;
  CHECK(log.hold(1) == 1);  // nothing to wait for
  log.write({offset_of("a", 1)});
  CHECK_FALSE(log.hold(2));
  const auto first = log.take_append(wall);
  REQUIRE(first);
  CHECK(replayed(*first) == std::vector<Record>{offset_of("a", 1)});
  CHECK_FALSE(log.hold(3));  // wrote nothing, and waits all the same
  log.write({offset_of("b", 2)});
  CHECK_FALSE(log.hold(4));
  CHECK(log.take_append(wall)->empty());  // one append at a time
  CHECK(log.committed() == std::vector<int>{2, 3});
  CHECK_FALSE(log.hold(5));
  const auto second = log.take_append(wall);
  CHECK(replayed(*second) == std::vector<Record>{offset_of("b", 2)});
  CHECK(log.committed() == std::vector<int>{4, 5});
  CHECK(log.held() == 0);
  CHECK(log.hold(6) == 6);
}

TEST_CASE("turns that come while an append is on its way go in one batch", "[turn_log]") {
  TurnLog<int> log;
  log.write({offset_of("a", 1)});
  REQUIRE(log.take_append(wall)->size() == 1);
  for (int i = 0; i < 100; ++i) log.write({offset_of("b", i), offset_of("c", i)});
  log.write({});
  log.committed();
  const auto batches = log.take_append(wall);
  REQUIRE(batches);
  REQUIRE(batches->size() == 1);
  CHECK(replayed(*batches).size() == 200);
  CHECK_FALSE(log.has_open());
}

TEST_CASE("a batch ends with a turn when it is long enough, and in a turn only when that is too long", "[turn_log]") {
  TurnLog<int> log;
  const std::string long_text(30'000, 'x');  // what the format allows in one field
  const auto turn = [&](std::size_t records) {
    std::vector<Record> all;
    for (std::size_t i = 0; i < records; ++i) all.push_back(offset_of("a", static_cast<std::int64_t>(i), long_text));
    return all;
  };
  for (int i = 0; i < 4; ++i) log.write(turn(20));  // 600 kB each
  const auto batches = log.take_append(wall);
  REQUIRE(batches);
  CHECK(batches->size() == 2);
  CHECK(replayed(*batches).size() == 80);
  log.committed();

  log.write(turn(500));  // 15 MB
  const auto split = log.take_append(wall);
  REQUIRE(split);
  CHECK(split->size() == 3);
  for (const auto& batch : *split) CHECK(batch.size() <= TurnLog<int>::batch_bytes_max + (1 << 20));
  CHECK(replayed(*split).size() == 500);
}

TEST_CASE("replay takes what is in its range, and passes over marks", "[turn_log]") {
  std::vector<ByteBuffer> batches;
  batches.push_back(encode_batch(std::vector<Record>{offset_of("a", 1), offset_of("b", 2)}, wall).value());
  batches.push_back(encode_load_mark(wall));
  batches.push_back(encode_batch(std::vector<Record>{offset_of("c", 3), offset_of("d", 4)}, wall).value());
  CHECK(replayed(batches) ==
        std::vector<Record>{offset_of("a", 1), offset_of("b", 2), offset_of("c", 3), offset_of("d", 4)});
  CHECK(replayed(batches, Offset{1}, Offset{4}) == std::vector<Record>{offset_of("b", 2), offset_of("c", 3)});
  CHECK(replayed(batches, Offset{2}) == std::vector<Record>{offset_of("c", 3), offset_of("d", 4)});

  auto cut = batches[0];
  cut.pop_back();
  CHECK(replay_batches(cut, Offset{0}, Offset::max(), [](const Record&) {}).error().code == Errc::corrupt_message);
}

}  // namespace troupe::group
