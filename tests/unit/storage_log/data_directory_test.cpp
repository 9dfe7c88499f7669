#include "tests/unit/storage_log/directory_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::DataDirectory;
using storage::FlushPolicy;
using storage::LogHealth;

TEST_CASE("what a turn committed survives a power cut with one sync for all partitions", "[data_directory]") {
  DirectoryFixture fixture;
  for (int i = 0; i < 20; ++i) REQUIRE(fixture.append(i, 3));
  REQUIRE(fixture.directory().commit(fixture.now));
  for (int i = 0; i < 20; ++i) REQUIRE(fixture.append(i, 2));
  const auto syncs = fixture.disk.operation_count(OperationKind::sync);
  REQUIRE(fixture.directory().commit(fixture.now));
  CHECK(fixture.disk.operation_count(OperationKind::sync) == syncs + 1);
  fixture.power_cut();
  for (int i = 0; i < 20; ++i) fixture.check_holds(i, Offset{5});
  CHECK(fixture.opened.repaired_batches == 40);
}

TEST_CASE("what was not committed under fsync may be lost, but nothing else is", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  REQUIRE(fixture.append(0, 5));
  fixture.power_cut();
  fixture.check_holds(0, Offset{5});
}

TEST_CASE("under flush interval the deadline syncs, and a power cut loses no more than an interval", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.config.flush = FlushPolicy::interval;
  fixture.config.flush_interval_ms = 100;
  fixture.append_and_commit(0, 5);
  CHECK(fixture.directory().next_deadline() == MonotonicMs{100});
  REQUIRE(fixture.directory().on_deadline(MonotonicMs{100}));
  CHECK_FALSE(fixture.directory().next_deadline());
  fixture.append_and_commit(0, 5);
  fixture.power_cut();
  fixture.check_holds(0, Offset{5});
}

TEST_CASE("commit-log files are used again once the segments are synced", "[data_directory]") {
  DirectoryFixture fixture;
  for (int i = 0; i < 300; ++i) fixture.append_and_commit(i % 7, 10);
  std::size_t commit_files = 0;
  for (const auto& path : fixture.disk.files()) commit_files += path.find("/commit/") != std::string::npos ? 1 : 0;
  CHECK(commit_files <= 4);
  fixture.power_cut();
  for (int i = 0; i < 7; ++i) fixture.check_holds(i, Offset{(300 / 7 + (i < 300 % 7 ? 1 : 0)) * 10});
}

TEST_CASE("a commit-log file that filled up while an older one was settled is not given up with it", "[data_directory]") {
  // Goal: partition 2 is in file 2 alone, and was not on the list that was made when file 1 was full.
  DirectoryFixture fixture;
  const std::string large(28'000, 'l');
  REQUIRE(fixture.append(0, 1, large));
  REQUIRE(fixture.append(1, 1, large));
  REQUIRE(fixture.directory().commit(fixture.now));  // file 1
  REQUIRE(fixture.append(2, 1, std::string(10'000, 's')));
  REQUIRE(fixture.directory().commit(fixture.now));  // file 2 is not full enough to hurry: 1 still waits for its sync
  REQUIRE(fixture.append(3, 2, large));
  REQUIRE(fixture.directory().commit(fixture.now));  // file 3, and all of the list is settled
  fixture.power_cut();
  for (int i = 0; i < 3; ++i) {
    CHECK(fixture.log(i).log_end_offset() == Offset{1});
    CHECK(fixture.log(i).health().kind == LogHealth::Kind::good);
  }
  CHECK(fixture.log(3).log_end_offset() == Offset{2});
}

TEST_CASE("after a clean close nothing is restored and nothing is lost", "[data_directory]") {
  DirectoryFixture fixture;
  for (int i = 0; i < 50; ++i) fixture.append_and_commit(i % 3, 4);
  fixture.directory().set_high_watermark(partition(1), Offset{17});
  REQUIRE(fixture.directory().close());
  fixture.power_cut();
  CHECK(fixture.opened.repaired_batches == 0);
  CHECK(fixture.opened.findings.empty());
  CHECK(fixture.directory().partitions().size() == 3);
  CHECK(fixture.directory().high_watermark(partition(1)) == Offset{17});
  for (int i = 0; i < 3; ++i) fixture.check_holds(i, Offset{(50 / 3 + (i < 2 ? 1 : 0)) * 4});
}

TEST_CASE("a damaged batch that the commit log still holds is repaired", "[data_directory][recovery]") {
  DirectoryFixture fixture;
  for (int i = 0; i < 5; ++i) fixture.append_and_commit(0, 4);
  std::string segment;
  for (const auto& path : fixture.disk.files()) {
    if (path.ends_with(".log")) segment = path;
  }
  REQUIRE(fixture.disk.flip_bit(segment, 150, 2));
  fixture.restart();
  fixture.check_holds(0, Offset{20});
}

TEST_CASE("a second process is refused, and told who holds the directory", "[data_directory]") {
  DirectoryFixture fixture;
  const auto second = DataDirectory::open(fixture.disk, fixture.options);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::wrong_owner);
  CHECK(second.error().message.find("pid ") != std::string::npos);
}

TEST_CASE("a directory of another node or cluster is refused with both names", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.opened.directory.reset();
  auto other = fixture.options;
  other.node_id = BrokerId{2};
  auto refused = DataDirectory::open(fixture.disk, other);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::wrong_owner);
  CHECK(refused.error().message == "/data belongs to node 1, this is node 2");
  other = fixture.options;
  other.cluster_id = Uuid{{8}};
  refused = DataDirectory::open(fixture.disk, other);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find(to_string(Uuid{{7}})) != std::string::npos);
  CHECK(refused.error().message.find(to_string(Uuid{{8}})) != std::string::npos);
}

TEST_CASE("a removed partition stays removed, also when the power went in between", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  fixture.append_and_commit(1, 5);
  REQUIRE(fixture.directory().remove(partition(0)));
  fixture.power_cut();
  CHECK(fixture.directory().partitions() == std::vector{partition(1)});
  for (const auto& path : fixture.disk.files()) CHECK(path.find(to_string(partition(0))) == std::string::npos);
  fixture.check_holds(1, Offset{5});
}

TEST_CASE("a quarantined partition keeps its files", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  REQUIRE(fixture.directory().quarantine(partition(0)));
  fixture.power_cut();
  CHECK(fixture.directory().partitions().empty());
  std::size_t kept = 0;
  for (const auto& path : fixture.disk.files())
    kept += path.find("/quarantine/") != std::string::npos && path.ends_with(".log");
  CHECK(kept == 1);
}

TEST_CASE("a partition that was removed for now begins empty when it is wanted again, whatever the commit log still holds",
          "[data_directory]") {
  DirectoryFixture fixture;
  const bool set_aside = GENERATE(false, true);
  CAPTURE(set_aside);
  fixture.append_and_commit(0, 5);
  fixture.append_and_commit(1, 5);
  const auto old_view = fixture.log(0).view();
  if (set_aside) {
    const auto where = fixture.directory().set_aside(partition(0));
    REQUIRE(where);
    CHECK(where->ends_with(".set-aside"));
    CHECK(old_view.read(Offset{0}, 1'000).error().code == Errc::stale_log_view);
  } else {
    REQUIRE(fixture.directory().remove(partition(0), DataDirectory::Removal::for_now));
  }
  CHECK(fixture.directory().partitions() == std::vector{partition(1)});
  SECTION("and not wanted before the power goes") {
    fixture.power_cut();
    CHECK(fixture.directory().partitions() == std::vector{partition(1)});
    CHECK(fixture.log(0).log_end_offset() == Offset{0});
  }
  SECTION("empty when the power goes") {
    CHECK(fixture.log(0).log_end_offset() == Offset{0});
    fixture.power_cut();
    CHECK(fixture.log(0).log_end_offset() == Offset{0});
    CHECK(fixture.log(0).health().can_append());
  }
  SECTION("with other records") {
    fixture.append_and_commit(0, 3);
    fixture.check_holds(0, Offset{3});
    fixture.power_cut();
    fixture.check_holds(0, Offset{3});
    fixture.append_and_commit(0, 4);
    fixture.restart();
    fixture.check_holds(0, Offset{7});
  }
  SECTION("not on a full disk, but when there is space") {
    fixture.disk.set_capacity(0);
    CHECK_FALSE(fixture.directory().log(partition(0), fixture.config));
    CHECK_FALSE(fixture.directory().failure());
    fixture.disk.set_capacity(std::uint64_t{1} << 30);
    fixture.append_and_commit(0, 2);
    fixture.power_cut();
    fixture.check_holds(0, Offset{2});
  }
  fixture.check_holds(1, Offset{5});
}

TEST_CASE("of the logs of a partition that were set aside the last two are kept", "[data_directory]") {
  DirectoryFixture fixture;
  for (int life = 1; life <= 4; ++life) {
    fixture.append_and_commit(0, life);
    REQUIRE(fixture.directory().set_aside(partition(0)));
    fixture.check_holds(0, Offset{0});
  }
  fixture.power_cut();
  std::vector<std::string> kept;
  for (const auto& path : fixture.disk.files()) {
    if (path.find("/quarantine/") != std::string::npos && path.ends_with(".log")) kept.push_back(path);
  }
  CHECK(kept.size() == 2);
  CHECK(fixture.log(0).health().can_append());
}

TEST_CASE("whenever the power goes while a partition leaves and comes back: it is as it was, or empty, and others are whole",
          "[data_directory]") {
  enum class Stage { here, gone, back, written };
  std::size_t cuts = 0;
  for (const bool aside : {false, true}) {
    for (std::size_t nth = 1;; ++nth) {
      CAPTURE(aside, nth);
      DirectoryFixture fixture;
      fixture.append_and_commit(0, 5);
      fixture.append_and_commit(1, 5);
      auto stage = Stage::here;
      std::optional<std::pair<FaultyFileSystem, Stage>> cut;
      std::size_t operations = 0;
      fixture.disk.on_operation([&](const Operation&) {
        KeepSynced choices;
        if (++operations == nth) cut.emplace(fixture.disk.power_cut(choices), stage);
      });
      if (aside) {
        REQUIRE(fixture.directory().set_aside(partition(0)));
      } else {
        REQUIRE(fixture.directory().remove(partition(0), DataDirectory::Removal::for_now));
      }
      stage = Stage::gone;
      REQUIRE(fixture.log(0).log_end_offset() == Offset{0});
      stage = Stage::back;
      fixture.append_and_commit(0, 2);
      stage = Stage::written;
      REQUIRE(fixture.directory().checkpoint());
      fixture.disk.on_operation(nullptr);
      if (!cut) break;
      ++cuts;
      fixture.disk = std::move(cut->first);
      fixture.open();
      fixture.check_holds(1, Offset{5});
      const auto end = fixture.log(0).log_end_offset();
      switch (cut->second) {
        case Stage::here: CHECK((end == Offset{0} || end == Offset{5})); break;
        case Stage::gone: CHECK(end == Offset{0}); break;
        case Stage::back: CHECK((end == Offset{0} || end == Offset{2})); break;
        case Stage::written: CHECK(end == Offset{2}); break;
      }
      fixture.check_holds(0, end);
    }
  }
  CHECK(cuts > 40);
}

TEST_CASE("a log whose disk fails keeps what it promised, and the others go on, for as long as the commit log has room",
          "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  fixture.append_and_commit(1, 5);
  fixture.disk.fail(
      {.kind = OperationKind::write, .path_contains = "/partitions/" + to_string(partition(0)), .bytes_written = 40});
  CHECK_FALSE(fixture.append(0, 3));
  CHECK(fixture.directory().failed_logs() == std::vector{partition(0)});
  for (int turn = 0; turn < 40; ++turn) fixture.append_and_commit(1, 1);
  CHECK_FALSE(fixture.directory().failure());
  SECTION("the power goes") {
    fixture.power_cut();
    fixture.check_holds(0, Offset{5});
    fixture.check_holds(1, Offset{45});
  }
  SECTION("it is closed in order") {
    REQUIRE(fixture.directory().close());
    fixture.open();
    fixture.check_holds(0, Offset{5});
    fixture.check_holds(1, Offset{45});
  }
  SECTION("others stand in") {
    REQUIRE(fixture.directory().set_aside(partition(0)));
    CHECK(fixture.directory().failed_logs().empty());
    fixture.append_and_commit(0, 2);
    for (int turn = 0; turn < 200; ++turn) fixture.append_and_commit(1, 1);
    fixture.power_cut();
    fixture.check_holds(0, Offset{2});
    fixture.check_holds(1, Offset{245});
  }
  SECTION("nobody decides") {
    std::int64_t committed = 45;
    for (; committed < 1'000; ++committed) {
      REQUIRE(fixture.append(1, 1));
      if (!fixture.directory().commit(fixture.now)) break;
    }
    CHECK(committed < 500);
    CHECK(fixture.directory().failure());
    fixture.restart();
    fixture.check_holds(0, Offset{5});
    CHECK(fixture.log(1).log_end_offset() >= Offset{committed});
  }
}

TEST_CASE("a log whose sync fails at its deadline keeps what it promised while it was flushed by turns",
          "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  fixture.append_and_commit(1, 5);
  const auto by_turns = fixture.config;
  fixture.config.flush = FlushPolicy::interval;
  fixture.config.flush_interval_ms = 100;
  fixture.log(0).set_config(fixture.config);
  fixture.append_and_commit(0, 2);
  fixture.config = by_turns;
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/partitions/" + to_string(partition(0))});
  REQUIRE(fixture.directory().on_deadline(MonotonicMs{100}));
  CHECK(fixture.directory().failed_logs() == std::vector{partition(0)});
  CHECK_FALSE(fixture.directory().next_deadline());
  for (int turn = 0; turn < 40; ++turn) fixture.append_and_commit(1, 1);
  fixture.power_cut();
  CHECK(fixture.log(0).log_end_offset() >= Offset{5});
  fixture.check_holds(0, fixture.log(0).log_end_offset());
  fixture.check_holds(1, Offset{45});
}

TEST_CASE("truncation and reset survive a power cut at once", "[data_directory]") {
  DirectoryFixture fixture;
  for (int i = 0; i < 30; ++i) fixture.append_and_commit(0, 10);
  REQUIRE(fixture.directory().truncate(partition(0), Offset{120}));
  fixture.power_cut();
  fixture.check_holds(0, Offset{120});
  fixture.append_and_commit(0, 5);
  fixture.power_cut();
  fixture.check_holds(0, Offset{125});
  REQUIRE(fixture.directory().reset(partition(0), Offset{1000}));
  fixture.append_and_commit(0, 5);
  fixture.power_cut();
  CHECK(read_log(fixture.log(0).view(), Offset{1000}) == expected_records(Offset{1000}, Offset{1005}));
  CHECK(fixture.log(0).log_start_offset() == Offset{1000});
}

TEST_CASE("a failed sync of the commit log takes the directory offline: no later commit, reads go on", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/commit/", .error = EIO});
  REQUIRE(fixture.append(0, 5));
  CHECK(fixture.directory().commit(fixture.now).error().code == Errc::storage_error);
  CHECK(fixture.append(0, 5).error().code == Errc::log_offline);
  CHECK(fixture.directory().failure());
  CHECK(read_log(fixture.log(0).view(), Offset{0}).size() == 10);
  fixture.disk.clear_faults();
  fixture.restart();
  CHECK(fixture.log(0).log_end_offset() >= Offset{5});
  CHECK(fixture.log(0).health().can_append());
}

TEST_CASE("a full disk: nothing is acknowledged wrongly, and writes go on when there is space", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.append_and_commit(0, 5);
  fixture.disk.set_capacity(80 << 10);
  bool refused = false;
  Offset committed{5};
  for (int i = 0; i < 100 && !refused; ++i) {
    auto status = fixture.append(0, 10, "value");
    if (status) status = fixture.directory().commit(fixture.now);
    if (status) committed = fixture.log(0).log_end_offset();
    refused = !status;
    if (refused) CHECK(status.error().code == Errc::storage_full);
  }
  CHECK(refused);
  CHECK(read_log(fixture.log(0).view(), Offset{0}) == expected_records(Offset{0}, fixture.log(0).log_end_offset()));
  fixture.disk.set_capacity(10 << 20);
  fixture.append_and_commit(0, 5);
  committed = fixture.log(0).log_end_offset();
  fixture.power_cut();
  fixture.check_holds(0, committed);
}

TEST_CASE("each derived file of the directory may be missing or damaged", "[data_directory][recovery]") {
  for (const std::string name : {"recovery-points", "log-start-offsets", "high-watermarks", "manifest"}) {
    for (const bool missing : {true, false}) {
      CAPTURE(name, missing);
      DirectoryFixture fixture;
      for (int i = 0; i < 20; ++i) fixture.append_and_commit(i % 2, 4);
      fixture.directory().set_high_watermark(partition(0), Offset{40});
      REQUIRE(fixture.directory().close());
      if (missing) {
        REQUIRE(fixture.disk.remove("/data/" + name));
      } else {
        REQUIRE(fixture.disk.flip_bit("/data/" + name, 20, 1));
      }
      fixture.restart();
      fixture.check_holds(0, Offset{40});
      fixture.check_holds(1, Offset{40});
      fixture.append_and_commit(0, 1);
      fixture.power_cut();
      fixture.check_holds(0, Offset{41});
    }
  }
}

TEST_CASE("many partitions need few descriptors", "[data_directory]") {
  DirectoryFixture fixture;
  fixture.options.open_files_max = 16;
  fixture.options.dirty_files_max = 16;
  fixture.opened.directory.reset();
  fixture.open();
  for (int i = 0; i < 300; ++i) REQUIRE(fixture.append(i, 1));
  REQUIRE(fixture.directory().commit(fixture.now));
  CHECK(fixture.directory().open_files() <= 16);
  fixture.power_cut();
  for (int i = 0; i < 300; i += 37) fixture.check_holds(i, Offset{1});
}
