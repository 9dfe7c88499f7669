#include "http/rest/records_read.hpp"

#include <set>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fake_broker.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::http;
using namespace troupe::test;
using consumer::StartFrom;

namespace {

/// Runs what was posted when it is told to.
class ManualExecutor final : public Executor {
 public:
  void run() {
    while (!work_.empty()) {
      auto work = std::move(work_.front());
      work_.pop_front();
      work->run();
    }
  }

 private:
  void post_work(std::unique_ptr<Work> work) override { work_.push_back(std::move(work)); }
  std::deque<std::unique_ptr<Work>> work_;
};

struct StillClock final : Clock {
  MonotonicMs monotonic_now() const override { return MonotonicMs{1000}; }
  TimestampMs wall_now() const override { return TimestampMs{1'764'000'100'000}; }
};

struct ReadFixture {
  explicit ReadFixture(std::int32_t partitions) : topic(broker.add_topic("t", partitions)) {}

  ReadPlan plan() const {
    ReadPlan plan{.topic = topic, .from = {.kind = StartFrom::Kind::earliest}, .now = clock.wall_now()};
    for (std::int32_t number = 0; number < topic->partition_count(); ++number) plan.partitions.emplace_back(number);
    return plan;
  }
  std::shared_ptr<RecordsRead> start(const ReadPlan& plan) {
    answer.reset();
    auto read = std::make_shared<RecordsRead>(broker, executor, plan, clock);
    read->start([this](Result<ReadPage> page) { answer.emplace(std::move(page)); });
    executor->run();
    return read;
  }
  ReadPage read(const ReadPlan& plan) {
    start(plan);
    REQUIRE(answer);
    if (!*answer) FAIL(to_string(answer->error()));
    return std::move(*answer).value();
  }
  void append(int partition, int count, const std::string& key = "") {
    for (int i = 0; i < count; ++i)
      broker.append("t", PartitionId{partition}, {{key, std::to_string(i)}}, TimestampMs{++time});
  }
  static std::vector<std::string> names(const ReadPage& page) {
    std::vector<std::string> all;
    for (const auto& record : page.records) all.push_back(to_string(record.partition) + ":" + to_string(record.offset));
    return all;
  }

  FakeBroker broker;
  metadata::TopicPtr topic;
  std::shared_ptr<ManualExecutor> executor = std::make_shared<ManualExecutor>();
  StillClock clock;
  std::optional<Result<ReadPage>> answer;
  std::int64_t time = 1'764'000'000'000;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("partitions take turns within a page", "[read]") {
  ReadFixture fixture(3);
  fixture.append(0, 50);
  fixture.append(1, 50);
  fixture.append(2, 2);
  auto plan = fixture.plan();
  plan.limit = 10;
  const auto page = fixture.read(plan);
  REQUIRE(page.records.size() == 10);
  CHECK_FALSE(page.end);
  std::map<PartitionId, int> counts;
  for (const auto& record : page.records) ++counts[record.partition];
  CHECK(counts[PartitionId{0}] >= 3);
  CHECK(counts[PartitionId{1}] >= 3);
  CHECK(counts[PartitionId{2}] == 2);
}

TEST_CASE("pages joined by their cursors are the whole topic, in order, once", "[read]") {
  // Goal: the cursor goes on exactly where the page ended, in both directions, whatever the limits.
  const auto seed = seed_or(20261122);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 40; ++round) {
    const auto partitions = static_cast<std::int32_t>(1 + random.below(12));
    ReadFixture fixture(partitions);
    std::size_t total = 0;
    for (int batch = 0; batch < 60; ++batch) {
      std::vector<std::pair<std::string, std::string>> records;
      for (std::uint64_t i = random.below(5); i < 5; ++i)
        records.emplace_back("k" + std::to_string(random.below(3)), "12345");
      total += records.size();
      fixture.broker.append("t",
                            PartitionId{static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(partitions)))},
                            records, TimestampMs{++fixture.time});
    }
    for (const bool descending : {false, true}) {
      auto plan = fixture.plan();
      plan.descending = descending;
      plan.from.kind = descending ? StartFrom::Kind::latest : StartFrom::Kind::earliest;
      plan.limit = 1 + random.below(20);
      plan.bytes_max = 1 + random.below(2000);
      std::map<PartitionId, std::vector<std::int64_t>> seen;
      std::size_t count = 0;
      for (int pages = 0;; ++pages) {
        REQUIRE(pages < 2000);
        const auto page = fixture.read(plan);
        REQUIRE((page.end || !page.records.empty()));
        REQUIRE(page.records.size() <= plan.limit);
        for (const auto& record : page.records) seen[record.partition].push_back(record.offset.value());
        count += page.records.size();
        if (page.end) break;
        plan.from = {.kind = StartFrom::Kind::cursor, .cursor = consumer::Cursor::decode(page.cursor.encode()).value()};
      }
      CHECK(count == total);
      for (auto& [partition, offsets] : seen) {
        if (descending) std::ranges::reverse(offsets);
        for (std::size_t i = 0; i < offsets.size(); ++i) REQUIRE(offsets[i] == static_cast<std::int64_t>(i));
      }
    }
  }
}

TEST_CASE("backwards, the newest of all partitions comes first", "[read]") {
  ReadFixture fixture(2);
  fixture.append(0, 2);
  fixture.append(1, 2);
  fixture.append(0, 1);
  auto plan = fixture.plan();
  plan.descending = true;
  plan.from.kind = StartFrom::Kind::latest;
  plan.limit = 4;
  const auto page = fixture.read(plan);
  CHECK(ReadFixture::names(page) == Names{"0:2", "1:1", "1:0", "0:1"});
  CHECK_FALSE(page.end);
  plan.from = {.kind = StartFrom::Kind::cursor, .cursor = page.cursor};
  const auto older = fixture.read(plan);
  CHECK(ReadFixture::names(older) == Names{"0:0"});
  CHECK(older.end);
}

TEST_CASE("last:N is counted over all partitions, after filters", "[read]") {
  ReadFixture fixture(2);
  fixture.append(0, 3, "a");
  fixture.append(1, 2, "b");
  fixture.append(0, 40, "b");
  auto plan = fixture.plan();
  plan.from = {.kind = StartFrom::Kind::last, .last = 2};
  plan.key = "a";
  const auto page = fixture.read(plan);
  CHECK(ReadFixture::names(page) == Names{"0:1", "0:2"});
  // Its cursor goes on at the end: what was there has been asked for.
  plan.from = {.kind = StartFrom::Kind::cursor, .cursor = page.cursor};
  CHECK(fixture.read(plan).records.empty());
  fixture.append(0, 1, "a");
  CHECK(ReadFixture::names(fixture.read(plan)) == Names{"0:43"});
}

TEST_CASE("a key is found however far back it is", "[read]") {
  ReadFixture fixture(1);
  fixture.append(0, 1, "wanted");
  for (int i = 0; i < 50; ++i) {
    fixture.broker.append("t", PartitionId{0}, std::vector<std::pair<std::string, std::string>>(100, {"other", "x"}),
                          TimestampMs{++fixture.time});
  }
  auto plan = fixture.plan();
  plan.descending = true;
  plan.from.kind = StartFrom::Kind::latest;
  plan.key = "wanted";
  plan.limit = 1;
  CHECK(ReadFixture::names(fixture.read(plan)) == Names{"0:0"});
  CHECK(fixture.broker.fetches() < 20);
}

TEST_CASE("large records are read backwards in small windows", "[read]") {
  ReadFixture fixture(1);
  const std::string large(300'000, 'x');
  for (int i = 0; i < 100; ++i) fixture.broker.append("t", PartitionId{0}, {{"k", large}}, TimestampMs{++fixture.time});
  auto plan = fixture.plan();
  plan.descending = true;
  plan.from.kind = StartFrom::Kind::latest;
  const auto page = fixture.read(plan);
  REQUIRE_FALSE(page.records.empty());
  CHECK(page.records.front().offset == Offset{99});
  CHECK(fixture.broker.fetches() < 10);
}

TEST_CASE("a filtered page ends after so much log, and goes on", "[read]") {
  ReadFixture fixture(1);
  for (int i = 0; i < 400; ++i) fixture.broker.append("t", PartitionId{0}, {{"other", std::string(10'000, 'x')}});
  fixture.append(0, 1, "k");
  for (const bool descending : {false, true}) {
    auto plan = fixture.plan();
    plan.descending = descending;
    plan.from.kind = descending ? StartFrom::Kind::latest : StartFrom::Kind::earliest;
    plan.key = descending ? "none" : "k";
    plan.scanned_bytes_max = 200'000;
    auto page = fixture.read(plan);
    CHECK(page.records.empty());
    CHECK_FALSE(page.end);
    int pages = 1;
    while (!page.end && page.records.empty()) {
      REQUIRE(++pages < 20);
      plan.from = {.kind = StartFrom::Kind::cursor, .cursor = page.cursor};
      page = fixture.read(plan);
    }
    CHECK(page.records.size() == (descending ? 0U : 1U));
  }
}

TEST_CASE("one record is given whatever its size", "[read]") {
  ReadFixture fixture(1);
  fixture.append(0, 3);
  for (const bool descending : {false, true}) {
    auto plan = fixture.plan();
    plan.bytes_max = 1;
    plan.descending = descending;
    if (descending) plan.from.kind = StartFrom::Kind::latest;
    CHECK(fixture.read(plan).records.size() == 1);
  }
}

TEST_CASE("positions outside the log are told with the log's bounds; a cursor behind it reports the gap", "[read]") {
  ReadFixture fixture(1);
  fixture.append(0, 10);
  fixture.broker.advance_log_start("t", PartitionId{0}, Offset{4});
  auto plan = fixture.plan();
  for (const auto offset : {Offset{3}, Offset{11}, Offset::max()}) {
    plan.from = {.kind = StartFrom::Kind::offsets, .offsets = {{PartitionId{0}, offset}}};
    fixture.start(plan);
    REQUIRE_FALSE(*fixture.answer);
    CHECK(fixture.answer->error().code == Errc::offset_out_of_range);
    CHECK(fixture.answer->error().message.find("earliest 4 to latest 10") != std::string::npos);
  }
  plan.from = {.kind = StartFrom::Kind::cursor,
               .cursor = consumer::Cursor{fixture.topic->id, {{PartitionId{0}, {LeaderEpoch{0}, Offset{1}}}}}};
  const auto page = fixture.read(plan);
  CHECK(page.records.size() == 6);
  REQUIRE(page.gaps.size() == 1);
  CHECK(page.gaps[0].from == Offset{1});
  CHECK(page.gaps[0].to == Offset{4});
}

TEST_CASE("a cursor that is ahead of what this node has heard of is no wrong one: retry", "[read]") {
  ReadFixture fixture(1);
  fixture.append(0, 10);
  auto plan = fixture.plan();
  plan.from = {.kind = StartFrom::Kind::cursor,
               .cursor = consumer::Cursor{fixture.topic->id, {{PartitionId{0}, {LeaderEpoch{0}, Offset{8}}}}}};
  fixture.broker.tell_as_follower(Offset{5});
  fixture.start(plan);
  REQUIRE_FALSE(*fixture.answer);
  CHECK(fixture.answer->error().code == Errc::offset_not_available);
  fixture.broker.tell_as_follower(std::nullopt);
  CHECK(fixture.read(plan).records.size() == 2);
  plan.from.cursor->positions[PartitionId{0}].next_offset = Offset{11};
  fixture.start(plan);
  REQUIRE_FALSE(*fixture.answer);
  CHECK(fixture.answer->error().code == Errc::offset_out_of_range);
}

TEST_CASE("an empty read waits for the first record, or until it is hurried", "[read]") {
  ReadFixture fixture(3);
  fixture.append(1, 2, "a");
  auto plan = fixture.plan();
  plan.from.kind = StartFrom::Kind::latest;
  plan.wait_ms = 1000;
  auto read = fixture.start(plan);
  CHECK_FALSE(fixture.answer);
  CHECK(fixture.broker.waiting_fetches() == 3);
  fixture.append(1, 1, "a");
  fixture.executor->run();
  REQUIRE(fixture.answer);
  CHECK(ReadFixture::names(**fixture.answer) == Names{"1:2"});
  CHECK(fixture.broker.waiting_fetches() == 0);

  read = fixture.start(plan);
  CHECK_FALSE(fixture.answer);
  read->hurry();
  REQUIRE(fixture.answer);
  CHECK((**fixture.answer).records.empty());
  CHECK((**fixture.answer).end);
  CHECK(fixture.broker.waiting_fetches() == 0);

  // What is not wanted does not end the wait, and is not read again.
  plan.key = "b";
  read = fixture.start(plan);
  fixture.append(1, 1, "a");
  fixture.executor->run();
  CHECK_FALSE(fixture.answer);
  fixture.append(1, 1, "b");
  fixture.executor->run();
  REQUIRE(fixture.answer);
  CHECK(ReadFixture::names(**fixture.answer) == Names{"1:4"});
}

TEST_CASE("a topic that is gone is an error", "[read]") {
  ReadFixture fixture(2);
  auto plan = fixture.plan();
  fixture.broker.delete_topic("t", Reply<Nothing>([](auto) {}));
  fixture.start(plan);
  REQUIRE_FALSE(*fixture.answer);
  CHECK(fixture.answer->error().code == Errc::unknown_topic_or_partition);
}
