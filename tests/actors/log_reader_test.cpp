#include "actors/log_reader.hpp"

#include "tests/actors/disk_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

struct Heard {
  std::vector<ReadResult> reads;
  std::vector<TimestampResult> timestamps;

  std::size_t refused() const {
    return static_cast<std::size_t>(std::count_if(reads.begin(), reads.end(), [](const auto& read) {
      return !read.slice && read.slice.error().code == Errc::overloaded;
    }));
  }
};

caf::behavior caller(caf::event_based_actor*, const std::shared_ptr<Heard>& heard) {
  return {[heard](const ReadResult& result) { heard->reads.push_back(result); },
          [heard](const TimestampResult& result) { heard->timestamps.push_back(result); }};
}

/// A log with records [0, 40) in batches of ten, and readers for it.
struct ReaderFixture : DiskFixture {
  ActorRowPtr row = table.add("log_reader", "reader");
  LogReaders readers;
  caf::actor reader;
  std::shared_ptr<Heard> heard = std::make_shared<Heard>();
  caf::actor reply_to = scheduler.own(scheduler.system().spawn(caller, heard));

  explicit ReaderFixture(const LogReaders::Options& options = {.readers = 1}) : readers(options) {
    start();
    for (std::size_t i = 0; i < readers.size(); ++i) {
      reader = scheduler.own(readers.start_reader(i, scheduler.system(), SpawnMode::scheduled, row));
    }
    auto& appender = add_writer(0);
    for (int i = 0; i < 4; ++i) appender.append(10);
    scheduler.run();
  }

  const storage::LogView& view() const { return *writers.front()->view; }

  void read(std::uint64_t token, Offset from, std::size_t bytes_max = 1 << 20) {
    readers.read({.partition = partition(0),
                  .token = token,
                  .view = view(),
                  .from = from,
                  .bytes_max = bytes_max,
                  .reply_to = reply_to});
  }
};

}  // namespace

TEST_CASE("a read is answered with the batches of the view, or with the view's error", "[log_reader]") {
  ReaderFixture fixture;
  fixture.read(7, Offset{0});
  fixture.read(8, Offset{41});
  fixture.scheduler.run();
  REQUIRE(fixture.heard->reads.size() == 2);
  CHECK(fixture.heard->reads[0].token == 7);
  CHECK(fixture.heard->reads[0].partition == partition(0));
  REQUIRE(fixture.heard->reads[0].slice);
  CHECK(read_all(fixture.heard->reads[0].slice->batches) == expected_records(Offset{0}, Offset{40}));
  CHECK(fixture.heard->reads[0].slice->next_offset == Offset{40});
  REQUIRE_FALSE(fixture.heard->reads[1].slice);
  CHECK(fixture.heard->reads[1].slice.error().code == Errc::offset_out_of_range);
  CHECK(fixture.readers.waiting() == 0);
}

TEST_CASE("a read stops below up_to and goes on from its hint", "[log_reader]") {
  ReaderFixture fixture;
  fixture.readers.read({partition(0), 1, fixture.view(), Offset{0}, 1 << 20, Offset{20}, {}, fixture.reply_to});
  fixture.scheduler.run();
  const auto first = *fixture.heard->reads.at(0).slice;
  CHECK(read_all(first.batches) == expected_records(Offset{0}, Offset{20}));
  fixture.readers.read(
      {partition(0), 2, fixture.view(), first.next_offset, 1, Offset::max(), first.position, fixture.reply_to});
  fixture.scheduler.run();
  CHECK(read_all(fixture.heard->reads.at(1).slice->batches) == expected_records(Offset{20}, Offset{30}));
}

TEST_CASE("a timestamp is found by a reader", "[log_reader]") {
  ReaderFixture fixture;
  fixture.readers.find({partition(0), 3, fixture.view(), TimestampMs{5}, fixture.reply_to});
  fixture.readers.find({partition(0), 4, fixture.view(), TimestampMs{1'800'000'000'000}, fixture.reply_to});
  fixture.scheduler.run();
  REQUIRE(fixture.heard->timestamps.size() == 2);
  REQUIRE(fixture.heard->timestamps[0].found);
  CHECK((*fixture.heard->timestamps[0].found)->offset == Offset{0});
  REQUIRE(fixture.heard->timestamps[1].found);
  CHECK_FALSE(fixture.heard->timestamps[1].found->has_value());
}

TEST_CASE("more requests than a reader may have waiting are refused at the door", "[log_reader]") {
  ReaderFixture fixture{{.readers = 1, .requests_max = 2}};
  for (std::uint64_t token = 0; token < 5; ++token) fixture.read(token, Offset{0});
  CHECK(fixture.readers.waiting() == 2);
  fixture.scheduler.run();
  CHECK(fixture.heard->reads.size() == 5);
  CHECK(fixture.heard->refused() == 3);
  CHECK(fixture.readers.waiting() == 0);
  fixture.read(5, Offset{0});
  fixture.scheduler.run();
  CHECK(fixture.heard->reads.back().slice);
}

TEST_CASE("more bytes than a reader may have waiting are refused, but one request is always let in", "[log_reader]") {
  ReaderFixture fixture{{.readers = 1, .bytes_max = 1'000}};
  fixture.read(0, Offset{0}, 5'000);
  fixture.read(1, Offset{0}, 1);
  fixture.scheduler.run();
  CHECK(fixture.heard->refused() == 1);
  fixture.read(2, Offset{0}, 600);
  fixture.read(3, Offset{0}, 400);
  fixture.read(4, Offset{0}, 1);
  fixture.scheduler.run();
  CHECK(fixture.heard->reads.size() == 5);
  CHECK(fixture.heard->refused() == 2);
}

TEST_CASE("requests that wait at a reader that goes down are answered, and its successor serves", "[log_reader]") {
  ReaderFixture fixture{{.readers = 1, .requests_max = 3}};
  for (std::uint64_t token = 0; token < 3; ++token) fixture.read(token, Offset{0});
  caf::anon_send_exit(fixture.reader, caf::exit_reason::kill);
  fixture.scheduler.run();
  CHECK(fixture.heard->reads.size() == 3);
  fixture.read(3, Offset{0});  // nobody there
  fixture.scheduler.run();
  CHECK(fixture.heard->reads.size() == 4);
  CHECK(fixture.heard->refused() > 0);
  fixture.scheduler.own(fixture.readers.start_reader(0, fixture.scheduler.system(), SpawnMode::scheduled, fixture.row));
  fixture.read(4, Offset{0});
  fixture.scheduler.run();
  CHECK(fixture.heard->reads.back().slice);
}

TEST_CASE("a view that a truncation has cut says so instead of showing other records", "[log_reader]") {
  ReaderFixture fixture;
  const auto old_view = fixture.view();
  REQUIRE(fixture.scheduler.ask<LogSnapshot>(fixture.worker, TruncateLog{partition(0), Offset{20}}));
  auto& appender = *fixture.writers.front();
  appender.next_offset = Offset{20};
  appender.value = "other";
  appender.append(20);
  fixture.scheduler.run();
  fixture.readers.read({partition(0), 1, old_view, Offset{20}, 1 << 20, Offset::max(), {}, fixture.reply_to});
  fixture.read(2, Offset{20});
  fixture.scheduler.run();
  REQUIRE_FALSE(fixture.heard->reads.at(0).slice);
  CHECK(fixture.heard->reads[0].slice.error().code == Errc::stale_log_view);
  CHECK(read_all(fixture.heard->reads.at(1).slice->batches) == expected_records(Offset{20}, Offset{40}, "other"));
}
