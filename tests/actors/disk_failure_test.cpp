#include "actors/disk_worker.hpp"

#include "tests/actors/disk_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

TEST_CASE("a full disk refuses the append and nothing else, and goes on when there is space", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.value = std::string(6'000, 'f');
  writer.append();
  fixture.scheduler.run();
  fixture.disk.set_capacity(0);
  writer.append();
  fixture.scheduler.run();
  CHECK(writer.count(Errc::storage_full) == 1);
  CHECK(fixture.open_log(0).view.log_end_offset() == Offset{1});
  fixture.disk.set_capacity(std::uint64_t{1} << 40);
  writer.next_offset = Offset{1};
  writer.append();
  fixture.scheduler.run();
  CHECK(writer.errors.size() == 1);
  CHECK(writer.acknowledged == Offset{2});
  CHECK(fixture.status().restarts == 0);
  fixture.check_promises_after_power_cut();
}

TEST_CASE("a failed sync fails what waits for it; the worker comes back after a pause with all that was promised",
          "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  for (int i = 0; i < 5; ++i) {
    auto& writer = fixture.add_writer(i);
    writer.append(4);
  }
  fixture.scheduler.run();
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/commit/"});
  for (auto& writer : fixture.writers) writer->append(3);
  fixture.scheduler.run();
  for (const auto& writer : fixture.writers) {
    CHECK(writer->acknowledged == Offset{4});
    CHECK(writer->answered == tokens(2));
    CHECK(writer->count(Errc::storage_error) == 1);
    CHECK_FALSE(writer->view->log_end_offset() > Offset{4});
  }
  CHECK(fixture.status().state == ActorState::waiting_restart);
  CHECK(fixture.status().last_error->find("storage_error") == 0);
  fixture.resolve();
  CHECK_FALSE(fixture.worker);

  fixture.scheduler.advance(90);
  CHECK(fixture.status().state == ActorState::waiting_restart);
  fixture.scheduler.advance(20);
  CHECK(fixture.status().state == ActorState::running);
  CHECK(fixture.status().restarts == 1);
  fixture.resolve();
  REQUIRE(fixture.worker);
  for (auto& writer : fixture.writers) {
    const auto end = fixture.open_log(writer->partition.partition.value()).view.log_end_offset();
    CHECK(end >= writer->acknowledged);
    writer->next_offset = end;
    writer->append();
  }
  fixture.scheduler.run();
  for (const auto& writer : fixture.writers) CHECK(writer->acknowledged == writer->next_offset);
  fixture.check_promises_after_power_cut();
}

TEST_CASE("a log whose write fails takes its worker down, after the turn of the others was made durable", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& bad = fixture.add_writer(0);
  auto& good = fixture.add_writer(1);
  good.append();
  bad.append();
  fixture.scheduler.run();
  fixture.disk.fail({.kind = OperationKind::write, .path_contains = to_string(partition(0)), .bytes_written = 40});
  good.append();
  bad.append();
  fixture.scheduler.run();
  CHECK(good.acknowledged == Offset{2});
  CHECK(bad.count(Errc::storage_error) == 1);
  CHECK(fixture.status().state == ActorState::waiting_restart);
  fixture.check_promises_after_power_cut();
  fixture.scheduler.advance(100);
  fixture.resolve();
  CHECK(fixture.open_log(0).health.can_append());
  CHECK(fixture.open_log(0).view.log_end_offset() == Offset{1});
}

TEST_CASE("whatever was sent before the worker ended over a failed directory is answered", "[disk_worker]") {
  const auto seed = seed_or(77);
  INFO("TROUPE_SEED=" << seed);
  DiskFixture fixture{seed};
  // Small turns, so that the failure comes while much still waits.
  fixture.configure = [](DiskWorkerOptions& options) { options.turn_bytes_max = 200; };
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.append();
  fixture.scheduler.run();
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/commit/"});
  for (int i = 0; i < 30; ++i) writer.append();
  const auto listed = fixture.scheduler.start_asking<DirectoryContents>(fixture.worker, ListLogs{});
  fixture.scheduler.run();
  CHECK(writer.answered == tokens(31));
  CHECK(writer.count(Errc::storage_error) + writer.count(Errc::log_offline) == 30);
  CHECK(writer.count(Errc::log_offline) > 20);
  CHECK(listed->has_value());
}

TEST_CASE("random faults of the disk never lose what was acknowledged", "[disk_worker]") {
  const auto first_seed = seed_or(1'000);
  for (auto seed = first_seed; seed < first_seed + 40; ++seed) {
    INFO("TROUPE_SEED=" << seed);
    Prng random{seed};
    DiskFixture fixture{seed};
    fixture.restart.restarts_max = 1'000;
    fixture.start();
    for (int i = 0; i < 4; ++i) fixture.add_writer(i);
    for (int round = 0; round < 12; ++round) {
      constexpr OperationKind kinds[] = {OperationKind::sync, OperationKind::write, OperationKind::sync_directory};
      if (random.chance(1, 3)) {
        fixture.disk.fail({.kind = kinds[random.below(3)], .nth = 1 + random.below(3), .bytes_written = random.below(100)});
      }
      for (auto& writer : fixture.writers) {
        for (auto appends = random.below(4); appends > 0; --appends) writer->append();
      }
      for (auto steps = random.below(30); steps > 0; --steps) fixture.scheduler.step();
      fixture.check_promises_after_power_cut();
      fixture.scheduler.run();
      for (const auto& writer : fixture.writers) REQUIRE(writer->answered == tokens(writer->next_token));
      fixture.check_promises_after_power_cut();
      fixture.disk.clear_faults();
      fixture.scheduler.advance(1'100);
      fixture.resolve();
      REQUIRE(fixture.worker);
      for (auto& writer : fixture.writers) {
        const auto opened = fixture.open_log(writer->partition.partition.value());
        REQUIRE(opened.health.can_append());
        writer->next_offset = opened.view.log_end_offset();
      }
    }
  }
}

TEST_CASE("a directory that cannot be opened is tried again, and given up in the end", "[disk_worker]") {
  DiskFixture fixture;
  fixture.disk.fail({.kind = OperationKind::open, .path_contains = "/data/", .always = true});
  fixture.start();
  auto ended = std::make_shared<std::optional<caf::error>>();
  const auto parent = [](caf::event_based_actor* self, const Supervisor& child,
                         const std::shared_ptr<std::optional<caf::error>>& reason) -> caf::behavior {
    self->monitor(child);
    self->set_down_handler([reason](const caf::down_msg& message) { *reason = message.reason; });
    return {[](int) {}};
  };
  fixture.scheduler.own(fixture.scheduler.system().spawn(parent, fixture.supervisor, ended));
  fixture.scheduler.advance(350);
  CHECK(fixture.status().restarts == 2);
  CHECK_FALSE(ended->has_value());
  fixture.scheduler.advance(400);
  REQUIRE(ended->has_value());
  CHECK(from_caf_error(**ended).code == Errc::storage_error);
  CHECK(fixture.status().state == ActorState::failed);
  CHECK(fixture.status().restarts == 3);
}

TEST_CASE("a worker that is told to stop answers what it was sent and leaves a clean directory", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  for (int i = 0; i < 3; ++i) fixture.add_writer(i);
  for (int round = 0; round < 5; ++round) {
    for (auto& writer : fixture.writers) writer->append();
  }
  const auto opened = fixture.scheduler.start_asking<LogSnapshot>(fixture.worker, OpenLog{partition(8), small_config()});
  while (!opened->has_value()) REQUIRE(fixture.scheduler.step());
  for (auto& writer : fixture.writers) writer->append();
  const auto stopped = fixture.scheduler.ask<ChildrenStopped>(fixture.supervisor, StopChildren{});
  REQUIRE(stopped);
  CHECK(stopped->killed.empty());
  for (const auto& writer : fixture.writers) {
    CHECK(writer->errors.empty());
    CHECK(writer->answered == tokens(6));
  }
  CHECK(fixture.status().state == ActorState::stopped);
  auto again = storage::DataDirectory::open(fixture.disk, small_directory("/data"));
  REQUIRE(again);
  CHECK(again->repaired_batches == 0);
  CHECK(again->findings.empty());
  fixture.check_promises_after_power_cut();
}

TEST_CASE("a worker that is killed tells those who wait that it does not know", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.append();
  REQUIRE(fixture.scheduler.step());  // appended, and not synced
  caf::anon_send_exit(fixture.worker, caf::exit_reason::kill);
  fixture.scheduler.run();
  CHECK(writer.answered == tokens(1));
  CHECK(writer.count(Errc::storage_error) == 1);
  CHECK(fixture.status().state == ActorState::waiting_restart);
}

TEST_CASE("a log that was new when its worker was killed survives a power cut after the next run", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  fixture.add_writer(0).append(3);
  fixture.scheduler.run();
  caf::anon_send_exit(fixture.worker, caf::exit_reason::kill);
  fixture.scheduler.advance(200);
  fixture.resolve();
  REQUIRE(fixture.worker);
  REQUIRE(fixture.scheduler.ask<Done>(fixture.worker, Checkpoint{}));
  CHECK(fixture.durable_end(0) == Offset{3});
}

TEST_CASE("a directory that was closed by request refuses what comes after, and is not opened again", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& writer = fixture.add_writer(0);
  writer.append();
  const auto closed = fixture.scheduler.start_asking<Done>(fixture.worker, CloseDirectory{});
  while (!closed->has_value()) REQUIRE(fixture.scheduler.step());
  CHECK(*closed);
  fixture.scheduler.advance(5'000);
  CHECK(writer.acknowledged == Offset{1});
  CHECK(fixture.status().state == ActorState::stopped);
  const auto late = fixture.scheduler.ask<Done>(fixture.worker, Checkpoint{});
  REQUIRE_FALSE(late);
  CHECK(from_caf_error(late.error()).code == Errc::request_timed_out);
}
