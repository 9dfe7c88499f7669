#include "actors/disk_worker.hpp"

#include "tests/actors/disk_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

TEST_CASE("a request sees a log whose earlier appends are durable and answered", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& writer = fixture.add_writer(0);
  for (int i = 0; i < 10; ++i) writer.append(3);
  const auto truncated = fixture.scheduler.ask<LogSnapshot>(fixture.worker, TruncateLog{partition(0), Offset{15}});
  REQUIRE(truncated);
  CHECK(writer.acknowledged == Offset{30});
  CHECK(truncated->view.log_end_offset() == Offset{15});
  REQUIRE(truncated->state);
  CHECK(read_log(truncated->view, Offset{0}) == expected_records(Offset{0}, Offset{15}));
  writer.next_offset = Offset{15};
  writer.append();
  fixture.scheduler.run();
  CHECK(writer.acknowledged == Offset{16});
  CHECK(fixture.open_log(0).view.log_end_offset() == Offset{16});
}

TEST_CASE("logs are reset, shortened, listed and removed by request", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto& writer = fixture.add_writer(0);
  auto& other = fixture.add_writer(1);
  writer.append(10);
  writer.append(10);
  other.append(1);
  fixture.scheduler.run();
  auto& scheduler = fixture.scheduler;

  const auto advanced = scheduler.ask<LogSnapshot>(fixture.worker, AdvanceLogStart{partition(0), Offset{10}});
  REQUIRE(advanced);
  CHECK(advanced->view.log_start_offset() == Offset{10});
  CHECK_FALSE(scheduler.ask<LogSnapshot>(fixture.worker, AdvanceLogStart{partition(0), Offset{100}}));

  const auto reset = scheduler.ask<LogSnapshot>(fixture.worker, ResetLog{partition(0), Offset{500}});
  REQUIRE(reset);
  CHECK(reset->view.log_start_offset() == Offset{500});
  CHECK(reset->view.log_end_offset() == Offset{500});

  caf::anon_send(fixture.worker, SetHighWatermark{partition(1), Offset{1}});
  scheduler.run();
  CHECK(fixture.open_log(1).high_watermark == Offset{1});

  auto contents = scheduler.ask<DirectoryContents>(fixture.worker, ListLogs{});
  REQUIRE(contents);
  CHECK(contents->partitions.size() == 2);
  REQUIRE(scheduler.ask<Done>(fixture.worker, RemoveLog{partition(0)}));
  REQUIRE(scheduler.ask<Done>(fixture.worker, QuarantineLog{partition(1)}));
  contents = scheduler.ask<DirectoryContents>(fixture.worker, ListLogs{});
  REQUIRE(contents);
  CHECK(contents->partitions.empty());
  const auto gone = scheduler.ask<LogSnapshot>(fixture.worker, OpenLog{partition(0), small_config()});
  REQUIRE_FALSE(gone);
  CHECK(from_caf_error(gone.error()).code == Errc::unknown_topic_or_partition);
}

TEST_CASE("retention by request removes whole segments below the high watermark", "[disk_worker]") {
  DiskFixture fixture;
  fixture.start();
  auto config = small_config();
  config.segment_bytes_max = 4'096;
  config.retention_bytes = 8'192;
  auto& writer = fixture.add_writer(0, config);
  writer.value = std::string(500, 'r');
  for (int i = 0; i < 60; ++i) writer.append();
  fixture.scheduler.run();
  const auto kept = fixture.scheduler.ask<LogSnapshot>(fixture.worker, ApplyRetention{partition(0), std::nullopt});
  REQUIRE(kept);
  CHECK(kept->view.log_start_offset() == Offset{0});
  caf::anon_send(fixture.worker, SetHighWatermark{partition(0), Offset{60}});
  const auto cut = fixture.scheduler.ask<LogSnapshot>(fixture.worker, ApplyRetention{partition(0), std::nullopt});
  REQUIRE(cut);
  CHECK(cut->view.log_start_offset() > Offset{30});
  CHECK(cut->size_bytes <= 12'288);
}

TEST_CASE("a directory of a cluster that is not known yet is opened when it is", "[disk_worker]") {
  DiskFixture fixture;
  const auto cluster = std::make_shared<std::optional<Uuid>>();
  fixture.configure = [cluster](DiskWorkerOptions& options) {
    options.directory.cluster_id.reset();
    options.cluster_id = [cluster] { return *cluster; };
  };
  fixture.start();
  const auto refused = fixture.scheduler.ask<LogSnapshot>(fixture.worker, OpenLog{partition(1), small_config()});
  REQUIRE_FALSE(refused);
  CHECK(from_caf_error(refused.error()).code == Errc::log_offline);
  fixture.scheduler.advance(1'000);
  CHECK(fixture.disk.files().empty());
  *cluster = Uuid{{1, 2, 3}};
  fixture.scheduler.advance(10);
  const auto contents = fixture.scheduler.ask<DirectoryContents>(fixture.worker, ListLogs{});
  REQUIRE(contents);
  CHECK(contents->cluster_id == Uuid{{1, 2, 3}});
  CHECK(fixture.open_log(1).view.log_end_offset() == Offset{0});
  CHECK(fixture.status().restarts == 0);
}

TEST_CASE("a worker that waits for its cluster can be stopped", "[disk_worker]") {
  DiskFixture fixture;
  fixture.configure = [](DiskWorkerOptions& options) {
    options.directory.cluster_id.reset();
    options.cluster_id = [] { return std::optional<Uuid>{}; };
  };
  fixture.start();
  fixture.scheduler.advance(100);
  const auto stopped = fixture.scheduler.ask<ChildrenStopped>(fixture.supervisor, StopChildren{1'000});
  REQUIRE(stopped);
  CHECK(stopped->killed.empty());
  CHECK(fixture.disk.files().empty());
}
