#include "storage/commit_log.hpp"

#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_file_system.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::CommitLog;

namespace {

const TopicIdPartition first{Uuid{{1}}, PartitionId{0}};
const TopicIdPartition second{Uuid{{2}}, PartitionId{5}};

struct CommitLogFixture {
  FaultyFileSystem disk;
  CommitLog::Recovered recovered;

  CommitLogFixture() { open(); }

  void open() {
    disk.process_kill();
    auto opened = CommitLog::open(disk, {"/commit", 64 << 10, 16 << 10});
    if (!opened) FAIL(to_string(opened.error()));
    recovered = std::move(*opened);
  }
  CommitLog& log() { return *recovered.log; }
  std::vector<std::string> tail(const TopicIdPartition& id) {
    std::vector<std::string> records;
    for (const auto& batch : recovered.tails[id].batches) {
      for (auto& record : read_all(batch.batch)) records.push_back(std::move(record));
    }
    return records;
  }
};

}  // namespace

TEST_CASE("what a turn committed is there after a power cut, stamped for its place", "[commit_log]") {
  CommitLogFixture fixture;
  fixture.log().add(first, make_batch(Offset{10}, {.records = 3, .epoch = LeaderEpoch{2}}));
  fixture.log().add(second, make_batch(Offset{0}, {.records = 2}));
  REQUIRE(fixture.log().commit());
  fixture.log().add(first, make_batch(Offset{13}, {.records = 1}));
  REQUIRE(fixture.log().commit());
  fixture.log().add(first, make_batch(Offset{14}, {.records = 1}));  // never committed
  KeepSynced choices;
  fixture.disk = fixture.disk.power_cut(choices);
  fixture.open();
  CHECK(fixture.tail(first) == expected_records(Offset{10}, Offset{14}));
  CHECK(fixture.tail(second) == expected_records(Offset{0}, Offset{2}));
  CHECK(fixture.recovered.tails[first].batches[0].leader_epoch == LeaderEpoch{2});
  CHECK_FALSE(fixture.recovered.damage);
}

TEST_CASE("truncations and resets take effect in the order of the turns", "[commit_log]") {
  CommitLogFixture fixture;
  fixture.log().add(first, make_batch(Offset{0}, {.records = 5}));
  fixture.log().add(first, make_batch(Offset{5}, {.records = 5}));
  fixture.log().add_truncation(first, Offset{5});
  fixture.log().add(first, make_batch(Offset{5}, {.records = 1, .value = "new"}));
  fixture.log().add(second, make_batch(Offset{0}, {.records = 5}));
  REQUIRE(fixture.log().commit());
  fixture.log().add_reset(second, Offset{100});
  fixture.log().add(second, make_batch(Offset{100}, {.records = 1}));
  REQUIRE(fixture.log().commit());
  fixture.open();
  auto expected = expected_records(Offset{0}, Offset{5});
  expected.push_back("5:new-5");
  CHECK(fixture.tail(first) == expected);
  CHECK(fixture.recovered.tails[first].lowest_cut == Offset{5});
  CHECK(fixture.tail(second) == expected_records(Offset{100}, Offset{101}));
  CHECK(fixture.recovered.tails[second].reset_to == Offset{100});
}

TEST_CASE("files fill, are released and are written again, and old turns never come back", "[commit_log]") {
  CommitLogFixture fixture;
  for (int i = 0; i < 200; ++i) {
    fixture.log().add(first, make_batch(Offset{i * 2}, {.records = 2}));
    REQUIRE(fixture.log().commit());
    if (fixture.log().oldest_file() + 2 <= fixture.log().current_file()) {
      REQUIRE(fixture.log().release(fixture.log().current_file() - 1));
    }
  }
  const auto file = fixture.log().current_file();
  CHECK(file > 5);
  CHECK(fixture.disk.files().size() <= 5);
  fixture.open();
  const auto tail = fixture.tail(first);
  REQUIRE_FALSE(tail.empty());
  const Offset from{std::stoll(tail.front())};
  CHECK(tail == expected_records(from, Offset{400}));
  CHECK_FALSE(fixture.recovered.damage);
  CHECK(fixture.log().current_file() == file + 1);
}

TEST_CASE("a turn that was being written is not there, and is no damage", "[commit_log]") {
  CommitLogFixture fixture;
  for (int i = 0; i < 3; ++i) {
    fixture.log().add(first, make_batch(Offset{i}));
    REQUIRE(fixture.log().commit());
  }
  const auto path = fixture.disk.files().front();
  const auto last_turn = std::uint64_t{2} * 4096;
  SECTION("its batch is torn") { REQUIRE(fixture.disk.flip_bit(path, last_turn + 100, 0)); }
  SECTION("its head is torn") { REQUIRE(fixture.disk.flip_bit(path, last_turn + 9, 0)); }
  SECTION("it never came") { REQUIRE(fixture.disk.overwrite(path, last_turn, ByteBuffer(4096, std::byte{0}))); }
  fixture.open();
  CHECK(fixture.tail(first) == expected_records(Offset{0}, Offset{2}));
  CHECK_FALSE(fixture.recovered.damage);
  fixture.log().add(first, make_batch(Offset{2}));
  REQUIRE(fixture.log().commit());
  fixture.open();
  CHECK(fixture.tail(first) == expected_records(Offset{0}, Offset{3}));
  CHECK_FALSE(fixture.recovered.damage);
}

TEST_CASE("a bad turn with a later one behind it is damage, and the later one is read", "[commit_log]") {
  CommitLogFixture fixture;
  for (int i = 0; i < 3; ++i) {
    fixture.log().add(i == 1 ? second : first, make_batch(Offset{i}));
    REQUIRE(fixture.log().commit());
  }
  REQUIRE(fixture.disk.flip_bit(fixture.disk.files().front(), 4096 + 100, 0));
  fixture.open();
  CHECK(fixture.recovered.damage);
  CHECK(fixture.tail(second).empty());
  CHECK(fixture.tail(first) == std::vector<std::string>{"0:value-0", "2:value-2"});
}

TEST_CASE("after a failed sync nothing is committed any more", "[commit_log]") {
  CommitLogFixture fixture;
  fixture.log().add(first, make_batch(Offset{0}));
  fixture.disk.fail({.kind = OperationKind::sync, .error = EIO});
  CHECK(fixture.log().commit().error().code == Errc::storage_error);
  fixture.log().add(first, make_batch(Offset{1}));
  CHECK(fixture.log().commit().error().code == Errc::log_offline);
}

TEST_CASE("a full disk refuses the turn, and the log goes on when there is space", "[commit_log]") {
  CommitLogFixture fixture;
  fixture.log().add(first, make_batch(Offset{0}));
  REQUIRE(fixture.log().commit());
  fixture.disk.set_capacity(16 << 10);
  const auto large = make_batch(Offset{1}, {.value = std::string(40'000, 'x')});
  fixture.log().add(first, large);
  CHECK(fixture.log().commit().error().code == Errc::storage_full);
  fixture.disk.set_capacity(1 << 20);
  fixture.log().add(first, make_batch(Offset{1}));
  REQUIRE(fixture.log().commit());
  fixture.open();
  CHECK(fixture.tail(first) == expected_records(Offset{0}, Offset{2}));
  CHECK_FALSE(fixture.recovered.damage);
}
