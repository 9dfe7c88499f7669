#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

const Bytes content = payload_of(250, 's');

SnapshotMeta snapshot_to(std::int64_t end, std::int32_t epoch, const VoterSet& set = voters({1, 2, 3})) {
  return {Offset{end}, LeaderEpoch{epoch}, set, content.size(), crc32c(content)};
}

SnapshotRequest chunk(const SnapshotMeta& snapshot, std::size_t position, std::size_t size) {
  return {snapshot, position, 0, content.slice(position, size)};
}

SnapshotResponse wanted(const ReplicaFixture& one) {
  const auto answers = one.sent<SnapshotResponse>(2);
  REQUIRE_FALSE(answers.empty());
  return answers.back();
}

/// Leads with a snapshot to 11 and a log from there on; node 3 has nothing.
ReplicaFixture leader_with_snapshot() {
  QuorumOptions options;
  options.snapshot_chunk_bytes = 100;
  options.cut_lag_records_max = 5;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  one.propose(10);
  one.persist();
  one.accept(2, 1, 11, 11);
  return one;
}

void take_snapshot(ReplicaFixture& one, std::int64_t end) {
  auto meta = one.node().describe_snapshot(Offset{end});
  REQUIRE(meta);
  meta->size_bytes = content.size();
  meta->crc = crc32c(content);
  one.take(one.node().snapshot_taken(*meta, one.now));
}

}  // namespace

TEST_CASE("a snapshot arrives in chunks, is made durable, and takes the log's place (thesis 5.1, figure 5.3)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const auto snapshot = snapshot_to(40, 2, voters({1, 2, 3, 4}));
  one.receive(2, 3, chunk(snapshot, 0, 100));
  one.persist();
  CHECK(wanted(one).position == 100);
  one.receive(2, 3, chunk(snapshot, 100, 100));
  one.receive(2, 3, chunk(snapshot, 200, 50));
  REQUIRE(one.installs.size() == 1);
  CHECK(equal_bytes(one.installs[0].bytes, content));
  CHECK_FALSE(wanted(one).done);
  CHECK(one.end() == 0);
  one.take(one.node().persisted(one.installs[0].token, one.now));
  CHECK(wanted(one).done);
  CHECK(one.end() == 40);
  CHECK(one.node().applied() == Offset{40});
  CHECK(one.node().voters() == voters({1, 2, 3, 4}));
  one.append(2, 3, 40, 2, {data_entry(40, 3)}, 41);
  one.persist();
  CHECK(one.delivered.size() == 1);
}

TEST_CASE("chunks that are doubled, early or late are not taken twice", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const auto snapshot = snapshot_to(40, 2);
  one.receive(2, 3, chunk(snapshot, 100, 100));  // the first is missing
  one.persist();
  CHECK(wanted(one).position == 0);
  one.receive(2, 3, chunk(snapshot, 0, 100));
  one.receive(2, 3, chunk(snapshot, 0, 100));
  CHECK(wanted(one).position == 100);
  one.receive(2, 3, chunk(snapshot, 200, 50));
  CHECK(wanted(one).position == 100);
  one.receive(2, 3, chunk(snapshot, 100, 100));
  one.receive(2, 3, chunk(snapshot, 200, 50));
  REQUIRE(one.installs.size() == 1);
  CHECK(equal_bytes(one.installs[0].bytes, content));
}

TEST_CASE("a transfer goes on where it was under another leader that has the same snapshot", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const auto snapshot = snapshot_to(40, 2);
  one.receive(3, 3, chunk(snapshot, 0, 200));
  one.receive(2, 4, chunk(snapshot, 0, 100));
  one.persist();
  CHECK(wanted(one).position == 200);
  auto other = snapshot;
  other.crc ^= 1;  // as of the same offset, but other bytes
  one.receive(2, 4, chunk(other, 200, 50));
  CHECK(wanted(one).position == 0);
}

TEST_CASE("a chunk of an older leader is not taken", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({}, 5).start();
  one.receive(3, 4, chunk(snapshot_to(40, 2), 0, 250));
  CHECK(one.installs.empty());
  REQUIRE(one.all_sent().size() == 1);
  CHECK(one.all_sent()[0].epoch == LeaderEpoch{5});
}

TEST_CASE("a snapshot that is behind what is committed, or in the log, changes nothing (thesis 5.1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 3, 0, -1, {data_entry(0, 1, 20), data_entry(20, 2, 20), data_entry(40, 3, 20)}, 20);
  one.persist();
  one.receive(2, 3, chunk(snapshot_to(20, 1), 0, 250));
  CHECK(wanted(one).done);
  one.receive(2, 3, chunk(snapshot_to(40, 2), 0, 250));
  CHECK(wanted(one).done);
  CHECK(one.installs.empty());
  CHECK(one.end() == 60);
}

TEST_CASE("a log that goes on differently than the snapshot ends is replaced", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 50)}, 1).start();
  one.receive(2, 3, chunk(snapshot_to(40, 2), 0, 250));
  one.persist();
  REQUIRE(one.installs.size() == 1);
  one.take(one.node().persisted(one.installs[0].token, one.now));
  CHECK(one.end() == 40);
}

TEST_CASE("damaged bytes are noticed and fetched again, never loaded (M5)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  auto snapshot = snapshot_to(40, 2);
  snapshot.crc ^= 1;
  one.receive(2, 3, chunk(snapshot, 0, 250));
  one.persist();
  CHECK(one.installs.empty());
  CHECK(wanted(one).position == 0);
  CHECK(one.notes.size() == 1);
}

TEST_CASE("a snapshot that the state machine refuses is fetched again", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const auto snapshot = snapshot_to(40, 2);
  one.receive(2, 3, chunk(snapshot, 0, 250));
  one.persist();
  one.take(one.node().snapshot_rejected(one.installs.at(0).token, {Errc::corrupt_message, "a record"}, one.now));
  CHECK(one.notes.size() == 1);
  one.receive(2, 3, chunk(snapshot, 0, 250));
  REQUIRE(one.installs.size() == 2);
  one.take(one.node().persisted(one.installs[1].token, one.now));
  CHECK(one.end() == 40);
}

TEST_CASE("a snapshot above the bound is not gathered", "[quorum]") {
  QuorumOptions options;
  options.snapshot_bytes_max = 200;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.receive(2, 3, chunk(snapshot_to(40, 2), 0, 250));
  one.persist();
  CHECK(one.installs.empty());
  CHECK(one.notes.size() == 1);
}

TEST_CASE("while a snapshot is installed nothing else is appended, voted for or asked for", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.receive(2, 3, chunk(snapshot_to(40, 2), 0, 250));
  one.persist();
  one.clear();
  one.append(2, 3, 0, -1, {data_entry(0, 1)}, 0, 5);
  REQUIRE(one.sent<AppendResponse>(2).size() == 1);
  CHECK_FALSE(one.sent<AppendResponse>(2)[0].accepted);
  CHECK(one.sent<AppendResponse>(2)[0].round == 5);
  CHECK(one.unpersisted.empty());
  one.time_out();
  CHECK(one.node().role() == QuorumRole::follower);
  one.now += 1'000;
  one.receive(3, 9, VoteRequest{false, false, Offset{90}, LeaderEpoch{8}});
  one.persist();
  CHECK_FALSE(one.sent<VoteResponse>(3).back().granted);
}

TEST_CASE("a leader sends its snapshot to whom its log does not reach, one chunk at a time", "[quorum]") {
  auto one = leader_with_snapshot();
  take_snapshot(one, 11);
  REQUIRE(one.cuts == std::vector{Offset{11}});
  one.clear();
  one.receive(3, 1, AppendResponse{.base_offset = Offset{0}, .hint_end_offset = Offset{0}});
  for (std::size_t position = 0; position < content.size(); position += 100) {
    REQUIRE(one.snapshot_reads.size() == 1);
    CHECK(one.snapshot_reads[0].position == position);
    const auto read = one.snapshot_reads[0];
    one.clear();
    one.take(one.node().snapshot_read(read.token, content.slice(read.position, read.size), one.now));
    REQUIRE(one.sent<SnapshotRequest>(3).size() == 1);
    const auto sent = one.sent<SnapshotRequest>(3)[0];
    CHECK(sent.snapshot.voters == voters({1, 2, 3}));
    one.receive(3, 1, SnapshotResponse{sent.snapshot.end_offset, sent.snapshot.crc, position + sent.chunk.size()});
  }
  one.receive(3, 1, SnapshotResponse{Offset{11}, crc32c(content), content.size(), 0, true});
  REQUIRE(one.sent<AppendRequest>(3).size() == 1);
  CHECK(one.sent<AppendRequest>(3)[0].base_offset == Offset{11});
}

TEST_CASE("a chunk that is not answered is sent again, and one that is answered twice is not", "[quorum]") {
  auto one = leader_with_snapshot();
  take_snapshot(one, 11);
  one.clear();
  one.receive(3, 1, AppendResponse{.base_offset = Offset{0}, .hint_end_offset = Offset{0}});
  const auto serve = [&] {
    REQUIRE(one.snapshot_reads.size() == 1);
    const auto read = one.snapshot_reads[0];
    one.clear();
    one.take(one.node().snapshot_read(read.token, content.slice(read.position, read.size), one.now));
    return read.position;
  };
  CHECK(serve() == 0);
  for (int i = 0; i < 6; ++i) {
    one.pass(100);
    one.accept(2, 1, 11, 11);
  }
  CHECK(serve() == 0);
  one.receive(3, 1, SnapshotResponse{Offset{11}, crc32c(content), 100});
  CHECK(serve() == 100);
  one.receive(3, 1, SnapshotResponse{Offset{11}, crc32c(content), 100});
  CHECK(one.snapshot_reads.empty());
}

TEST_CASE("a snapshot that was replaced while it was sent makes room for the newer one", "[quorum]") {
  auto one = leader_with_snapshot();
  take_snapshot(one, 11);
  one.clear();
  one.receive(3, 1, AppendResponse{.base_offset = Offset{0}, .hint_end_offset = Offset{0}});
  const auto read = one.snapshot_reads.at(0);
  one.propose(5);
  one.persist();
  one.accept(2, 1, 16, 16);
  take_snapshot(one, 16);
  one.clear();
  one.take(one.node().snapshot_read(read.token, Error{Errc::not_found, "gone"}, one.now));
  REQUIRE(one.snapshot_reads.size() == 1);
  CHECK(one.snapshot_reads[0].snapshot.end_offset == Offset{16});
}

TEST_CASE("a snapshot is described only of what is applied, with the epoch and the voters of that place", "[quorum]") {
  auto one = leader_with_snapshot();
  one.propose(5);
  CHECK_FALSE(one.node().describe_snapshot(Offset{16}));
  CHECK_FALSE(one.node().describe_snapshot(Offset{0}));
  const auto meta = one.node().describe_snapshot(Offset{11});
  REQUIRE(meta);
  CHECK(meta->epoch == LeaderEpoch{1});
  CHECK(meta->voters == voters({1, 2, 3}));
}

TEST_CASE("a leader keeps in its log what a follower that is near still needs", "[quorum]") {
  QuorumOptions options;
  options.cut_lag_records_max = 20;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2, 3});
  for (int i = 0; i < 3; ++i) one.propose(10);
  one.persist();
  one.accept(2, 1, 31, 31);
  one.accept(3, 1, 11, 11);
  take_snapshot(one, 31);
  CHECK(one.cuts == std::vector{Offset{11}});
  one.propose(10);
  one.persist();
  one.accept(2, 1, 41, 41);
  take_snapshot(one, 41);  // 30 records behind is too far
  CHECK(one.cuts == std::vector{Offset{11}, Offset{41}});
}

TEST_CASE("a crash between snapshot and log leaves a log that is thrown away at the start", "[quorum]") {
  const auto started = [](std::vector<LogEntry> entries) {
    ReplicaFixture one{voters({1, 2, 3})};
    one.with_log(std::move(entries), 3);
    one.disk.snapshot = snapshot_to(40, 2);
    one.start();
    return one;
  };
  SECTION("because it ends before the snapshot") {
    auto one = started({data_entry(0, 1, 20)});
    REQUIRE(one.unpersisted.size() == 1);
    CHECK(one.unpersisted[0].reset_to == Offset{40});
    CHECK(one.end() == 40);
  }
  SECTION("because it is another one") {
    auto one = started({data_entry(0, 1, 60)});
    CHECK(one.unpersisted.at(0).reset_to == Offset{40});
    CHECK(one.end() == 40);
  }
  SECTION("and one that goes on from the snapshot is kept") {
    auto one = started({data_entry(0, 1, 20), data_entry(20, 2, 20), data_entry(40, 3, 5)});
    CHECK(one.unpersisted.empty());
    CHECK(one.end() == 45);
    CHECK(one.node().high_watermark() == Offset{40});
  }
}

TEST_CASE("a log that begins behind its snapshot is not used", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(50, 3, 10)}, 3);
  one.disk.snapshot = snapshot_to(40, 2);
  one.start();
  REQUIRE(one.failure);
  CHECK(one.failure->code == Errc::corrupt_message);
}

TEST_CASE("what became of a proposal under another leader's snapshot nobody can tell", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = one.propose(4);
  one.persist();
  one.receive(2, 3, chunk(snapshot_to(40, 2), 0, 250));
  one.persist();
  one.take(one.node().persisted(one.installs.at(0).token, one.now));
  CHECK(one.refused(token) == Errc::request_timed_out);
}
