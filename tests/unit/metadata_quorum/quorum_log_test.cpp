#include "core/metadata/quorum_log.hpp"

#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

/// [0..9 e1] [10..29 e1] [30..34 e4] [35..99 e5]
QuorumLog example() {
  QuorumLog log;
  log.open(Offset{0}, no_leader_epoch, Offset{0}, {}, Offset{0}, voters({1, 2, 3}));
  log.append(data_entry(0, 1, 10));
  log.append(data_entry(10, 1, 20));
  log.append(data_entry(30, 4, 5));
  log.append(data_entry(35, 5, 65));
  return log;
}

}  // namespace

TEST_CASE("a log knows the epoch before each offset, and where each epoch ends", "[quorum]") {
  const auto log = example();
  CHECK(log.epoch_before(Offset{0}) == no_leader_epoch);
  CHECK(log.epoch_before(Offset{30}) == LeaderEpoch{1});
  CHECK(log.epoch_before(Offset{31}) == LeaderEpoch{4});
  CHECK(log.epoch_before(Offset{100}) == LeaderEpoch{5});
  CHECK_FALSE(log.epoch_before(Offset{101}));
  const auto end_of = [&](int epoch) {
    const auto end = log.end_of_epoch(LeaderEpoch{epoch});
    return end ? std::pair{end->epoch.value(), end->end_offset.value()} : std::pair{-9, std::int64_t{-9}};
  };
  CHECK(end_of(0) == std::pair{-1, std::int64_t{0}});
  CHECK(end_of(1) == std::pair{1, std::int64_t{30}});
  CHECK(end_of(3) == std::pair{1, std::int64_t{30}});
  CHECK(end_of(4) == std::pair{4, std::int64_t{35}});
  CHECK(end_of(9) == std::pair{5, std::int64_t{100}});
}

TEST_CASE("a cut log knows the epoch before its start and nothing below", "[quorum]") {
  auto log = example();
  log.cut(Offset{35});
  CHECK(log.start_offset() == Offset{35});
  CHECK(log.epoch_before(Offset{35}) == LeaderEpoch{4});
  CHECK_FALSE(log.epoch_before(Offset{34}));
  CHECK_FALSE(log.end_of_epoch(LeaderEpoch{3}));
  CHECK(log.end_of_epoch(LeaderEpoch{4})->end_offset == Offset{35});
  log.cut(Offset{100});
  CHECK(log.last_epoch() == LeaderEpoch{5});
  log.append(data_entry(100, 6));
  CHECK(log.last_epoch() == LeaderEpoch{6});
}

TEST_CASE("truncation takes back epochs and voters that were said behind it", "[quorum]") {
  auto log = example();
  log.append(control_entry(100, 6, EntryKind::voters, 1, voters({1, 2})));
  CHECK(log.voters() == voters({1, 2}));
  CHECK(log.voters_base_offset() == Offset{100});
  CHECK(log.voters_at(Offset{100}) == voters({1, 2, 3}));
  CHECK(log.votes_from(Offset{100}, replica(3)));
  CHECK_FALSE(log.votes_from(Offset{101}, replica(3)));
  log.truncate_to(Offset{100});
  CHECK(log.voters() == voters({1, 2, 3}));
  CHECK_FALSE(log.voters_base_offset());
  CHECK(log.last_epoch() == LeaderEpoch{5});
}

TEST_CASE("trimming frees memory from the front, and forgets nothing else", "[quorum]") {
  auto log = example();
  log.trim(Offset{35}, 0);
  CHECK(log.tail_offset() == Offset{35});
  CHECK(log.epoch_before(Offset{10}) == LeaderEpoch{1});
  CHECK(log.entries(Offset{10}, Offset{100}, 1'000).empty());
  CHECK(log.entries(Offset{35}, Offset{100}, 1'000).size() == 1);
}

TEST_CASE("entries come in the bytes that were asked for, but at least one", "[quorum]") {
  const auto log = example();
  CHECK(log.entries(Offset{0}, Offset{100}, 1).size() == 1);
  CHECK(log.entries(Offset{0}, Offset{35}, 1'000'000).size() == 3);
  CHECK(log.entries(Offset{5}, Offset{100}, 1'000).empty());  // no entry begins there
}

TEST_CASE("entries that were read from the disk must be as the log's epochs say", "[quorum]") {
  record::LeaderEpochCache epochs;
  epochs.assign(LeaderEpoch{1}, Offset{0});
  epochs.assign(LeaderEpoch{2}, Offset{5});
  QuorumLog log;
  log.open(Offset{0}, no_leader_epoch, Offset{10}, epochs, Offset{0}, voters({1}));
  const auto wrong = [&](const std::vector<LogEntry>& entries, std::int64_t to = 10) {
    const auto right = log.check(entries, Offset{0}, Offset{to});
    return !right && right.error().code == Errc::corrupt_message;
  };
  CHECK_FALSE(wrong({data_entry(0, 1, 5), data_entry(5, 2, 5)}));
  CHECK(wrong({}));
  CHECK(wrong({data_entry(0, 1, 5), data_entry(5, 1, 5)}));  // another epoch
  CHECK(wrong({data_entry(0, 1, 5), data_entry(6, 2, 4)}));  // a hole
  CHECK(wrong({data_entry(0, 1, 5), data_entry(5, 2, 9)}));  // behind the log's end
  CHECK(wrong({data_entry(0, 1, 5), data_entry(5, 2, 5)}, 5));
  CHECK(wrong({data_entry(5, 2, 5)}));
  CHECK(wrong({data_entry(0, 1, 0)}));
}

TEST_CASE("a log that is read through keeps no more in memory than its bound", "[quorum]") {
  QuorumOptions options;
  options.tail_bytes_max = 1'000;
  options.deliver_bytes_max = 100;
  ReplicaFixture one{voters({1, 2, 3}), options};
  std::vector<LogEntry> entries;
  for (int i = 0; i < 50; ++i) entries.push_back(data_entry(i, 1, 1, 100));
  one.with_log(entries, 1).start();
  CHECK(one.node().role() == QuorumRole::follower);
  CHECK(one.node().tail_bytes() <= 1'000);
  one.append(2, 1, 50, 1, {}, 50);
  while (!one.reads.empty()) one.serve_read();
  CHECK(one.delivered.size() == 50);
}

TEST_CASE("a log on the disk that is not what it should be ends the replica", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 5), {Offset{5}, LeaderEpoch{1}, EntryKind::voters, 1, payload_of(3)}}, 1).start();
  REQUIRE(one.failure);
  CHECK(one.failure->code == Errc::corrupt_message);
}
