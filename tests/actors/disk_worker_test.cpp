#include "actors/disk_worker.hpp"

#include "tests/actors/disk_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;
using storage::FlushPolicy;

TEST_CASE("appends that wait together share one sync and one completion a requester", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  for (int i = 0; i < 20; ++i) fixture.add_writer(i).append();
  fixture.scheduler.run();
  const auto syncs = fixture.disk.operation_count(OperationKind::sync);
  for (int round = 0; round < 10; ++round) {
    for (auto& writer : fixture.writers) writer->append(2);
  }
  fixture.scheduler.run();
  CHECK(fixture.disk.operation_count(OperationKind::sync) == syncs + 1);
  for (const auto& writer : fixture.writers) {
    CHECK(writer->errors.empty());
    CHECK(writer->answered == tokens(11));
    CHECK(writer->completions == 2);
    CHECK(writer->acknowledged == Offset{21});
    CHECK(read_log(*writer->view, Offset{0}) == expected_records(Offset{0}, Offset{21}));
  }
  fixture.check_promises_after_power_cut();
}

TEST_CASE("in any order of steps, an append is acknowledged only when it survives a power cut", "[disk_worker]") {
  const auto seed = seed_or(20'261'122);
  INFO("TROUPE_SEED=" << seed);
  DiskFixture fixture{seed};
  fixture.start();
  for (int i = 0; i < 12; ++i) {
    auto& writer = fixture.add_writer(i);
    writer.left = 15;
    writer.on_answer = [&](const Writer&) { fixture.check_promises_after_power_cut(); };
  }
  const auto syncs = fixture.disk.operation_count(OperationKind::sync);
  for (auto& writer : fixture.writers) {
    for (int i = 0; i < 3; ++i) writer->append();
  }
  fixture.scheduler.run();
  for (const auto& writer : fixture.writers) {
    CHECK(writer->errors.empty());
    CHECK(writer->answered == tokens(18));
    CHECK(writer->acknowledged == Offset{18});
  }
  // 216 appends; a sync for each would be one too many for most of them.
  CHECK(fixture.disk.operation_count(OperationKind::sync) - syncs < 100);
}

TEST_CASE("the same seed gives the same steps, another seed others", "[disk_worker]") {
  const auto trace_of = [](std::uint64_t seed) {
    DiskFixture fixture{seed};
    fixture.start();
    for (int i = 0; i < 5; ++i) fixture.add_writer(i).left = 10;
    for (auto& writer : fixture.writers) writer->append();
    fixture.scheduler.run();
    return fixture.scheduler.trace();
  };
  const auto trace = trace_of(5);
  CHECK(trace.size() > 100);
  CHECK(trace == trace_of(5));
  CHECK(trace != trace_of(6));
}

TEST_CASE("a turn ends early when it has taken its bytes", "[disk_worker]") {
  DiskFixture fixture;
  fixture.configure = [](DiskWorkerOptions& options) { options.turn_bytes_max = 1'000; };
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.value = std::string(200, 'x');
  for (int i = 0; i < 40; ++i) writer.append();
  fixture.scheduler.run();
  CHECK(writer.answered == tokens(40));
  CHECK(writer.errors.empty());
  CHECK(writer.completions == 10);  // four batches of some 270 bytes a turn
}

TEST_CASE("a batch that does not fit the log is refused in its place, and the others of the turn go on", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& good = fixture.add_writer(0);
  auto& bad = fixture.add_writer(1);
  good.append();
  bad.append();
  bad.next_offset += 7;
  bad.append();
  bad.next_offset = Offset{1};
  bad.append();
  good.append();
  fixture.scheduler.run();
  CHECK(good.errors.empty());
  CHECK(good.acknowledged == Offset{2});
  CHECK(bad.answered == tokens(3));
  CHECK(bad.count(Errc::invalid_argument) == 1);
  CHECK(bad.acknowledged == Offset{2});
}

TEST_CASE("an append to a log that is not open is refused", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.partition = partition(99);
  writer.append();
  fixture.scheduler.run();
  CHECK(writer.count(Errc::unknown_topic_or_partition) == 1);
  CHECK_FALSE(writer.view);
}

TEST_CASE("under flush = interval the clock brings appended records to the disk", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto config = small_config();
  config.flush = FlushPolicy::interval;
  config.flush_interval_ms = 1'000;
  auto& writer = fixture.add_writer(0, config);
  writer.append();
  fixture.scheduler.run();
  CHECK(writer.acknowledged == Offset{1});
  fixture.scheduler.advance(500);
  writer.append();
  fixture.scheduler.advance(490);
  CHECK(fixture.durable_end(0) == Offset{0});
  fixture.scheduler.advance(20);
  CHECK(fixture.durable_end(0) == Offset{2});
  // Nothing is dirty any more: nothing wakes the worker up.
  const auto handled = fixture.status().messages_handled;
  fixture.scheduler.advance(3'000);
  CHECK(fixture.status().messages_handled == handled);
}

TEST_CASE("an interval that was synced by something else leaves a timer that does nothing", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto config = small_config();
  config.flush = FlushPolicy::interval;
  auto& writer = fixture.add_writer(0, config);
  writer.append();
  REQUIRE(fixture.scheduler.ask<Done>(fixture.worker, Checkpoint{}));
  CHECK(fixture.durable_end(0) == Offset{1});
  fixture.scheduler.advance(600);
  writer.append();
  fixture.scheduler.advance(600);
  CHECK(fixture.durable_end(0) == Offset{1});  // its interval began with its own append
  fixture.scheduler.advance(500);
  CHECK(fixture.durable_end(0) == Offset{2});
}

TEST_CASE("the listener hears of the directory each time it is opened", "[disk_worker]") {
  auto heard = std::make_shared<std::vector<DirectoryOpened>>();
  DiskFixture fixture;
  const auto listener = [](caf::event_based_actor*,
                           const std::shared_ptr<std::vector<DirectoryOpened>>& into) -> caf::behavior {
    return {[into](const DirectoryOpened& opened) { into->push_back(opened); }};
  };
  const caf::actor actor = fixture.scheduler.own(fixture.scheduler.system().spawn(listener, heard));
  fixture.configure = [&](DiskWorkerOptions& options) { options.listener = actor; };
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.append();
  fixture.scheduler.run();
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/commit/"});
  writer.append();
  fixture.scheduler.advance(200);
  REQUIRE(heard->size() == 2);
  CHECK(heard->at(0).incarnation == 0);
  CHECK(heard->at(0).contents.cluster_id == Uuid{{7}});
  CHECK(heard->at(1).incarnation == 1);
  CHECK(heard->at(1).contents.partitions == std::vector{partition(0)});
  CHECK(heard->at(1).contents.directory_id == heard->at(0).contents.directory_id);
}
