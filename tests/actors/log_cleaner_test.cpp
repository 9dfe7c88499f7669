#include "actors/log_cleaner.hpp"

#include <vector>

#include "core/record/batch_compaction.hpp"
#include "tests/actors/replica_fixture.hpp"
#include "tests/support/compaction.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// A wall clock that goes with the scheduler's time, so that it is trusted after a minute.
struct MovingClock final : Clock {
  MonotonicMs monotonic_now() const override { return MonotonicMs{1}; }
  TimestampMs wall_now() const override { return TimestampMs{1'764'000'000'000} + passed; }
  Millis passed = 0;
};

/// Three nodes and a compacted topic with one partition, led by 1. Each node that `clean`s has a cleaner.
struct CleanerFixture : ReplicaFixture {
  metadata::TopicPtr topic;
  TopicIdPartition id;
  RecordTexts written;
  MovingClock wall;
  std::map<int, std::shared_ptr<actors::LogCleanerCounts>> counts;
  std::vector<caf::actor> cleaners;

  explicit CleanerFixture(std::map<std::string, std::string> more = {}) : ReplicaFixture(3) {
    std::map<std::string, std::string> config{{"cleanup.policy", "compact"},
                                              {"min.insync.replicas", "2"},
                                              {"segment.bytes", "4096"},
                                              {"min.cleanable.dirty.ratio", "0.01"}};
    config.merge(more);
    topic = controller->create("t", {brokers({1, 2, 3})}, config);
    id = {topic->id, PartitionId{0}};
    scheduler.advance(300);
  }

  /// The cleaners go first: they use what is declared here.
  ~CleanerFixture() {
    for (auto& cleaner : cleaners) caf::anon_send_exit(std::exchange(cleaner, nullptr), caf::exit_reason::kill);
    scheduler.run();
  }

  void clean(int at, std::size_t bytes_per_second = 1 << 20, std::size_t step_bytes = 1'500) {
    counts[at] = std::make_shared<actors::LogCleanerCounts>();
    auto& one = node(at);
    cleaners.push_back(actors::spawn_log_cleaner(scheduler.system(), actors::SpawnMode::scheduled,
                                                 {.disk_worker = [&one] { return one.worker.get(); },
                                                  .partition_manager = [&one] { return one.manager->get(); },
                                                  .clock = &wall,
                                                  .counts = counts[at],
                                                  .look_ms = 1'000,
                                                  .bytes_per_second = bytes_per_second,
                                                  .step_bytes = step_bytes},
                                                 std::make_shared<actors::ActorRow>("log_cleaner", "log_cleaner")));
  }
  void pass(Millis ms) {
    for (; ms > 0; ms -= 1'000) {
      scheduler.advance(1'000);
      wall.passed += 1'000;
    }
  }

  /// What it leads it reads from the disk then, and no longer from its memory.
  void restart_leader() {
    caf::anon_send_exit(node(1).directory.find(id)->leader, caf::exit_reason::kill);
    pass(5'000);
  }

  Result<ProducedRecord> write(const std::string& key, std::optional<std::string> value,
                               std::optional<IdempotenceKey> idempotence = {}) {
    ProduceRequest request{.topic = controller->topic(id.topic_id), .idempotence = std::move(idempotence)};
    request.memory = Bytes::copy_of(as_bytes(key + value.value_or("")));
    request.records.push_back({.key = request.memory.view().first(key.size()), .partition = PartitionId{0}});
    if (value) request.records.back().value = request.memory.view().subspan(key.size());
    auto [answer, reply] = expect<ProduceResponse>();
    node(1).broker->produce(std::move(request), std::move(reply));
    for (int i = 0; i < 300 && !answer->has_value(); ++i) scheduler.advance(30);
    auto record = record_of(answer);
    if (record) written[record->offset] = value ? key + "=" + *value : key;
    return record;
  }
  /// `count` records over three keys, some 230 bytes each.
  void fill(int count) {
    for (int i = 0; i < count; ++i)
      REQUIRE(write("k" + std::to_string(i % 3), std::string(150, static_cast<char>('a' + i % 26))));
  }

  /// What a consumer at `at` reads of the partition, from its beginning on.
  RecordTexts consumed(int at, Offset from = Offset{0}) {
    RecordTexts all;
    for (;;) {
      const auto response = fetch(at, id, from);
      REQUIRE(response);
      if (response->batches.empty()) return all;
      add_records(all, response->batches, from);
      REQUIRE(response->next_offset > from);
      from = response->next_offset;
    }
  }
  void check_compacted(int at) {
    CAPTURE(at);
    const auto found = records_of(log(at, id).view);
    if (const auto wrong = wrong_compaction(written, found, true)) FAIL(*wrong);
    CHECK(log(at, id).view.log_end_offset() == std::prev(written.end())->first + 1);
  }
};

}  // namespace

TEST_CASE("each replica compacts its own log, and readers see the latest of each key", "[actors][cleaning]") {
  CleanerFixture cluster;
  for (const int at : {1, 2, 3}) cluster.clean(at);
  cluster.fill(60);
  cluster.pass(70'000);  // until the watermarks were kept, and then the views renewed
  for (const int at : {1, 2, 3}) {
    cluster.check_compacted(at);
    CHECK(records_of(cluster.log(at, cluster.id).view).size() < 30);
    CHECK(cluster.counts.at(at)->rounds > 0);
    CHECK(cluster.counts.at(at)->records_removed > 30);
    CHECK(cluster.counts.at(at)->failures == 0);
    // Nobody holds the old segments any more.
    const auto files = cluster.node(at).disk.files();
    CHECK(std::ranges::none_of(files,
                               [](const auto& file) { return file.ends_with(".deleted") || file.ends_with(".cleaned"); }));
  }
  cluster.restart_leader();
  const auto found = cluster.consumed(1);
  CHECK((found == records_of(cluster.log(1, cluster.id).view)));
  // From an offset whose record is gone, what comes behind it is read.
  CHECK((cluster.consumed(1, Offset{7}) == found));
  // The log goes on.
  cluster.fill(5);
  cluster.check_compacted(1);
  CHECK((cluster.consumed(1) == records_of(cluster.log(1, cluster.id).view)));
}

TEST_CASE("a follower that was away copies a log that was compacted meanwhile, and may lead then", "[actors][cleaning]") {
  CleanerFixture cluster;
  cluster.fill(10);
  auto disk = cluster.stop(BrokerId{3});
  cluster.clean(1);
  cluster.fill(60);
  cluster.pass(40'000);
  cluster.restart_leader();
  // Its log ends between records that are gone.
  const auto across = record::parse_batch_header(cluster.log(1, cluster.id).view.read(Offset{10}, 1)->batches);
  REQUIRE(record::is_gap(*across));
  REQUIRE(across->base_offset < Offset{10});
  cluster.start(BrokerId{3}, std::move(disk));
  cluster.pass(10'000);
  CHECK(cluster.controller->partition(cluster.id).isr.size() == 3);
  cluster.check_compacted(3);
  const auto state = cluster.log(1, cluster.id).state;
  CHECK(cluster.log(3, cluster.id).state->producers == state->producers);
  CHECK(cluster.log(3, cluster.id).state->epochs.entries() == state->epochs.entries());
}

TEST_CASE("a new replica copies a compacted log from its beginning", "[actors][cleaning]") {
  CleanerFixture cluster;
  cluster.clean(1);
  cluster.fill(60);
  cluster.pass(40'000);
  (void)cluster.stop(BrokerId{3});
  cluster.pass(4'000);
  cluster.restart_leader();
  cluster.start(BrokerId{3}, {});
  cluster.pass(10'000);
  cluster.check_same_logs({1, 3}, cluster.id);
  cluster.check_compacted(3);
}

TEST_CASE("a retry is recognised although its record was superseded", "[actors][cleaning]") {
  CleanerFixture cluster;
  cluster.clean(1);
  const IdempotenceKey key{.client_id = "c", .sequence = 1};
  const auto first = cluster.write("k0", "once", key);
  REQUIRE(first);
  cluster.fill(60);
  cluster.pass(70'000);
  const auto found = records_of(cluster.log(1, cluster.id).view);
  REQUIRE(found.size() < 30);
  CHECK(found.contains(first->offset));
  // Its leader begins anew and learns the claims from the log.
  cluster.restart_leader();
  const auto again = cluster.write("k0", "once", key);
  REQUIRE(again);
  CHECK(again->duplicate);
  CHECK(again->offset == first->offset);
  // A day later nobody asks any more.
  cluster.wall.passed += Millis{25} * 3600 * 1000;
  cluster.fill(40);
  cluster.pass(70'000);
  CHECK_FALSE(records_of(cluster.log(1, cluster.id).view).contains(first->offset));
}

TEST_CASE("tombstones go when their time has passed by a clock that can be trusted", "[actors][cleaning]") {
  CleanerFixture cluster{std::map<std::string, std::string>{{"delete.retention.ms", "100000"}}};
  cluster.clean(1);
  const auto gone = cluster.write("gone", "x");
  const auto tombstone = cluster.write("gone", std::nullopt);
  REQUIRE(tombstone);
  cluster.pass(65'000);
  cluster.fill(60);
  cluster.pass(40'000);
  auto found = records_of(cluster.log(1, cluster.id).view);
  CHECK_FALSE(found.contains(gone->offset));
  CHECK(found.contains(tombstone->offset));
  cluster.pass(100'000);
  cluster.fill(30);
  cluster.pass(40'000);
  found = records_of(cluster.log(1, cluster.id).view);
  CHECK_FALSE(found.contains(tombstone->offset));
  cluster.check_compacted(1);
}

TEST_CASE("a log that cannot be compacted is left alone for a while", "[actors][cleaning]") {
  CleanerFixture cluster;
  cluster.fill(60);
  cluster.pass(40'000);
  cluster.node(2).disk.fail(
      {.kind = OperationKind::write, .path_contains = ".cleaned", .nth = 1, .error = ENOSPC, .always = true});
  cluster.clean(2);
  cluster.pass(60'000);
  CHECK(cluster.counts.at(2)->failures == 1);
  CHECK(cluster.counts.at(2)->rounds == 0);
  CHECK(records_of(cluster.log(2, cluster.id).view) == cluster.written);
  cluster.node(2).disk.clear_faults();
  cluster.pass(300'000);
  CHECK(cluster.counts.at(2)->rounds == 1);
  cluster.check_compacted(2);
}

TEST_CASE("the cleaner rests as long as its bytes take", "[actors][cleaning]") {
  CleanerFixture cluster;
  cluster.fill(60);
  cluster.pass(40'000);
  cluster.clean(1, 1'000, 1);
  const auto worked = [&] { return cluster.counts[1]->bytes_read + cluster.counts[1]->bytes_written; };
  cluster.pass(11'000);
  CHECK(worked() > 5'000);
  CHECK(worked() < 11'000);
  CHECK(cluster.counts[1]->rounds == 0);
  cluster.pass(40'000);
  CHECK(cluster.counts[1]->rounds == 1);
  cluster.check_compacted(1);
}
