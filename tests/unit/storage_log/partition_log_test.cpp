#include "tests/unit/storage_log/log_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::LogHealth;

TEST_CASE("an empty log has no files and begins at offset 0", "[log]") {
  LogFixture fixture;
  CHECK(fixture.log->log_end_offset() == Offset{0});
  CHECK(fixture.disk.files().empty());
  CHECK(fixture.log->view().read(Offset{0}, 100)->batches.empty());
}

TEST_CASE("appended batches are read back at their offsets, over segments and in slices of any size", "[log]") {
  LogFixture fixture;
  fixture.append_batches(100, 3);
  CHECK(fixture.log->segment_count() >= 3);
  fixture.check_holds(Offset{0}, Offset{300});
  for (const std::size_t bytes_max : {1U, 100U, 500U, 5000U}) {
    CHECK(read_log(fixture.log->view(), Offset{17}, bytes_max) == expected_records(Offset{17}, Offset{300}));
  }
}

TEST_CASE("batches carry the offset and the leader epoch of their place, not those that they came with", "[log]") {
  LogFixture fixture;
  fixture.append(5, {.epoch = LeaderEpoch{7}});
  fixture.append(5, {.epoch = LeaderEpoch{9}});
  const auto slice = fixture.log->view().read(Offset{5}, 1);
  const auto batch = record::parse_batch(slice->batches);
  CHECK(batch->header.base_offset == Offset{5});
  CHECK(batch->header.leader_epoch == LeaderEpoch{9});
}

TEST_CASE("a read never returns a batch that reaches the given bound", "[log]") {
  LogFixture fixture;
  fixture.append_batches(10, 10);
  const auto view = fixture.log->view();
  CHECK(view.read(Offset{0}, 1 << 20, Offset{50})->next_offset == Offset{50});
  CHECK(view.read(Offset{0}, 1 << 20, Offset{55})->next_offset == Offset{50});
  CHECK(view.read(Offset{50}, 1 << 20, Offset{55})->batches.empty());
}

TEST_CASE("reads outside the log are refused with its bounds", "[log]") {
  LogFixture fixture;
  fixture.append(5);
  CHECK(fixture.log->view().read(Offset{5}, 100)->batches.empty());
  const auto above = fixture.log->view().read(Offset{6}, 100);
  REQUIRE_FALSE(above);
  CHECK(above.error().code == Errc::offset_out_of_range);
  CHECK(above.error().message == "offset 6 is outside the log's 0 to 5");
  REQUIRE(fixture.log->advance_log_start(Offset{3}));
  CHECK(fixture.log->view().read(Offset{2}, 100).error().code == Errc::offset_out_of_range);
}

TEST_CASE("an append at another offset or of an older epoch is refused and changes nothing", "[log]") {
  LogFixture fixture;
  fixture.append(5, {.epoch = LeaderEpoch{3}});
  for (const auto& batch :
       {make_batch(Offset{4}, {.epoch = LeaderEpoch{3}}), make_batch(Offset{6}, {.epoch = LeaderEpoch{3}}),
        make_batch(Offset{5}, {.epoch = LeaderEpoch{2}})}) {
    CHECK(fixture.log->append(std::span{&batch, 1}).error().code == Errc::invalid_argument);
  }
  fixture.check_holds(Offset{0}, Offset{5});
}

TEST_CASE("a view does not see what is appended after it", "[log]") {
  LogFixture fixture;
  fixture.append(5);
  const auto view = fixture.log->view();
  fixture.append_batches(50);
  CHECK(view.log_end_offset() == Offset{5});
  CHECK(read_log(view, Offset{0}) == expected_records(Offset{0}, Offset{5}));
}

TEST_CASE("records are found by time, also where timestamps go back", "[log]") {
  LogFixture fixture;
  const TimestampMs start{1'000'000};
  for (int i = 0; i < 60; ++i) fixture.append(2, {.timestamp = start + 100 * (i % 2 == 0 ? i : i - 2)});
  const auto view = fixture.log->view();
  CHECK(view.find(start)->value().offset == Offset{0});
  CHECK_FALSE(view.find(start + 100 * 60)->has_value());
  for (int i = 0; i < 58; ++i) {
    const auto wanted = start + 100 * i;
    std::optional<Offset> expected;
    for (const auto& slice_from : {Offset{0}}) {
      // The naive answer: the first record at or after the time.
      for (auto offset = slice_from; offset < Offset{120} && !expected; ++offset) {
        const auto batch = offset.value() / 2;
        const auto base = start + 100 * (batch % 2 == 0 ? batch : batch - 2);
        if (base + offset.value() % 2 >= wanted) expected = offset;
      }
    }
    CAPTURE(i);
    CHECK(view.find(wanted)->value().offset == expected.value());
  }
}

TEST_CASE("truncation cuts at a batch boundary in any segment, and the log goes on from there", "[log]") {
  LogFixture fixture;
  fixture.append_batches(100, 3);
  const auto before = fixture.log->view();
  REQUIRE(fixture.log->truncate_to(Offset{120}));
  fixture.check_holds(Offset{0}, Offset{120});
  fixture.append(7, {.value = "new"});
  CHECK(fixture.records(Offset{120}) == expected_records(Offset{120}, Offset{127}, "new"));
  CHECK(fixture.log->truncate_to(Offset{121}).error().code == Errc::invalid_argument);
  CHECK(fixture.log->truncate_to(Offset{500}));
  SECTION("a view from before reads what was cut as stale, and what stays as it is") {
    CHECK(before.read(Offset{130}, 100).error().code == Errc::stale_log_view);
    CHECK(read_all(before.read(Offset{0}, 1)->batches) == expected_records(Offset{0}, Offset{3}));
  }
  SECTION("it survives a power cut") {
    fixture.expectation.recovery_point = fixture.log->recovery_point();
    KeepSynced keep_nothing;
    fixture.disk = fixture.disk.power_cut(keep_nothing);
    fixture.open();
    fixture.check_holds(Offset{0}, Offset{120});
  }
}

TEST_CASE("a segment that is cut and filled again is found by its new index, not by the one that was read before", "[log]") {
  LogFixture fixture;
  fixture.append_batches(60, 3);
  REQUIRE(fixture.log->segment_count() >= 2);
  CHECK(fixture.log->view().read(Offset{30}, 1));  // the index of the first segment, now closed, is in memory
  REQUIRE(fixture.log->truncate_to(Offset{6}));
  fixture.append_batches(60, 2);
  REQUIRE(fixture.log->segment_count() >= 2);
  for (auto offset = Offset{0}; offset < fixture.log->log_end_offset(); ++offset) {
    CHECK(read_log(fixture.log->view(), offset, 1) == expected_records(offset, fixture.log->log_end_offset()));
  }
}

TEST_CASE("leader epochs and producers are those of the log after restart and truncation", "[log]") {
  LogFixture fixture;
  const auto append = [&](int epoch, std::int32_t sequence) {
    fixture.append(2, {.epoch = LeaderEpoch{epoch},
                       .producer_id = ProducerId{4},
                       .producer_epoch = ProducerEpoch{0},
                       .base_sequence = SequenceNumber{sequence}});
  };
  for (int i = 0; i < 60; ++i) append(i / 10, i * 2);
  const auto state = fixture.log->state();
  fixture.restart();
  CHECK(fixture.log->state().producers == state.producers);
  CHECK(fixture.log->state().epochs.entries() == state.epochs.entries());
  REQUIRE(fixture.log->truncate_to(Offset{50}));
  CHECK(fixture.log->state().epochs.latest_epoch() == LeaderEpoch{2});
  CHECK(fixture.log->state().producers.find(ProducerId{4})->batches.back().last_offset == Offset{49});
}

TEST_CASE("a torn last batch is cut off, whatever is left of it", "[log][recovery]") {
  LogFixture whole;
  whole.append_batches(5, 3);
  const auto path = whole.disk.files().back();
  const auto size = whole.disk.content(path)->size();
  whole.append(3);
  const auto longer = whole.disk.content(path)->size();
  for (auto cut = size; cut < longer; ++cut) {
    CAPTURE(cut);
    LogFixture fixture;
    fixture.append_batches(6, 3);
    REQUIRE(fixture.disk.open(path, storage::OpenMode::read_write).value()->truncate(cut));
    fixture.restart();
    fixture.check_holds(Offset{0}, Offset{15});
    CHECK(fixture.log->health().kind == LogHealth::Kind::good);
    fixture.append(2);
    fixture.check_holds(Offset{0}, Offset{17});
  }
}

TEST_CASE("damage below the promised end is never cut off: reads below go on, appends are refused", "[log][recovery]") {
  LogFixture fixture;
  fixture.append_batches(6, 3);
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{18};
  fixture.expectation.was_written = true;
  const auto path = fixture.disk.files().back();
  const auto size = fixture.disk.content(path)->size();
  REQUIRE(fixture.disk.flip_bit(path, size / 2, 3));
  fixture.restart();
  CHECK(fixture.log->health().kind == LogHealth::Kind::damaged);
  const auto from = fixture.log->health().from;
  CHECK(fixture.log->health().reason.find(path) != std::string::npos);
  CHECK(read_log(fixture.log->view(), Offset{0}) == expected_records(Offset{0}, from));
  CHECK(fixture.log->view().read(from, 100).error().code == Errc::corrupt_message);
  const auto batch = make_batch(fixture.log->log_end_offset());
  CHECK(fixture.log->append(std::span{&batch, 1}).error().code == Errc::log_offline);
  CHECK(fixture.disk.content(path)->size() == size);
  SECTION("a reset starts it anew") {
    REQUIRE(fixture.log->reset_to(Offset{18}));
    fixture.append(2);
    CHECK(fixture.records() == expected_records(Offset{18}, Offset{20}));
  }
}

TEST_CASE("intact batches behind a hole that nobody was promised go to quarantine", "[log][recovery]") {
  LogFixture fixture;
  fixture.append_batches(6, 3);
  const auto path = fixture.disk.files().back();
  const auto size = fixture.disk.content(path)->size();
  REQUIRE(fixture.disk.flip_bit(path, size / 2, 3));
  fixture.restart();
  CHECK(fixture.log->health().kind == LogHealth::Kind::unclean);
  CHECK(fixture.log->log_end_offset() == fixture.log->health().from);
  const auto quarantined = fixture.disk.files().back();
  CHECK(quarantined.find("/data/quarantine/") == 0);
  CHECK(fixture.disk.content(quarantined)->size() + fixture.disk.content(path)->size() == size);
  fixture.append(1);
  fixture.check_holds(Offset{0}, fixture.log->log_end_offset());
}

TEST_CASE("a segment that is missing in the middle is damage, with the offsets in the reason", "[log][recovery]") {
  LogFixture fixture;
  fixture.append_batches(100, 3);
  REQUIRE(fixture.log->close());
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{300};
  std::vector<std::string> segments;
  for (const auto& path : fixture.disk.files()) {
    if (path.ends_with(".log")) segments.push_back(path);
  }
  REQUIRE(fixture.disk.remove(segments[1]));
  fixture.restart();
  CHECK(fixture.log->health().kind == LogHealth::Kind::damaged);
  CHECK(fixture.log->health().reason.find("the next one begins at") != std::string::npos);
}

TEST_CASE("a roll that failed half-way leaves no hole when the log went on in the segment before", "[log][recovery]") {
  LogFixture fixture;
  fixture.append(1, {.value = std::string(1000, 'x')});
  fixture.disk.fail({.kind = OperationKind::stat, .path_contains = ".log", .error = ENOSPC});
  const auto large = make_batch(Offset{1}, {.value = std::string(3500, 'y')});
  CHECK(fixture.log->append(std::span{&large, 1}).error().code == Errc::storage_full);
  fixture.disk.clear_faults();
  fixture.append(1, {.value = "small"});                 // fits behind the first one
  fixture.append(1, {.value = std::string(3500, 'z')});  // rolls, at another offset than the roll that failed
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{3};
  fixture.restart();
  CHECK(fixture.log->health().kind == LogHealth::Kind::good);
  CHECK(fixture.records().size() == 3);
}

TEST_CASE("a lost directory is damage, not an empty log", "[log][recovery]") {
  LogFixture fixture;
  fixture.expectation.was_written = true;
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{10};
  fixture.open();
  CHECK(fixture.log->health().kind == LogHealth::Kind::damaged);
}

TEST_CASE("after a clean close nothing is scanned, and derived files may all be missing", "[log][recovery]") {
  LogFixture fixture;
  fixture.append_batches(
      100, 3, {.producer_id = ProducerId{1}, .producer_epoch = ProducerEpoch{0}, .base_sequence = SequenceNumber{0}});
  const auto producers = fixture.log->state().producers;
  REQUIRE(fixture.log->close());
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{300};
  const auto reads_before = fixture.disk.operation_count(OperationKind::read);
  fixture.open();
  const auto reads = fixture.disk.operation_count(OperationKind::read) - reads_before;
  fixture.check_holds(Offset{0}, Offset{300});
  for (const auto& path : fixture.disk.files()) {
    if (!path.ends_with(".log")) REQUIRE(fixture.disk.remove(path));
  }
  fixture.restart();
  fixture.check_holds(Offset{0}, Offset{300});
  CHECK(fixture.log->state().producers == producers);
  CHECK(reads < 60);
}

TEST_CASE("a full disk refuses the batch and keeps the log; with space it goes on", "[log]") {
  LogFixture fixture;
  fixture.append_batches(3, 3);
  fixture.disk.set_capacity(8192);
  const auto batch = make_batch(Offset{9}, {.records = 3, .value = std::string(5000, 'x')});
  CHECK(fixture.log->append(std::span{&batch, 1}).error().code == Errc::storage_full);
  fixture.check_holds(Offset{0}, Offset{9});
  CHECK(fixture.log->health().can_append());
  fixture.disk.set_capacity(1 << 20);
  REQUIRE(fixture.log->append(std::span{&batch, 1}));
  CHECK(fixture.log->log_end_offset() == Offset{12});
}

TEST_CASE("a write error takes the log offline: reads go on, nothing is appended any more", "[log]") {
  LogFixture fixture;
  fixture.append_batches(3, 3);
  fixture.disk.fail({.kind = OperationKind::write, .error = EIO});
  const auto batch = make_batch(Offset{9});
  CHECK(fixture.log->append(std::span{&batch, 1}).error().code == Errc::storage_error);
  CHECK(fixture.log->append(std::span{&batch, 1}).error().code == Errc::log_offline);
  CHECK(fixture.records() == expected_records(Offset{0}, Offset{9}));
}

TEST_CASE("after a failed sync no later sync makes the log good again", "[log]") {
  LogFixture fixture;
  fixture.append(3);
  fixture.disk.fail({.kind = OperationKind::sync, .error = EIO});
  CHECK(fixture.log->sync().error().code == Errc::storage_error);
  CHECK(fixture.log->sync().error().code == Errc::log_offline);
  CHECK(fixture.log->recovery_point() == Offset{0});
}

TEST_CASE("a read error is an error, never the end of the log", "[log]") {
  LogFixture fixture;
  fixture.append_batches(3, 3);
  const auto view = fixture.log->view();
  fixture.disk.fail({.kind = OperationKind::read, .error = EIO});
  CHECK(view.read(Offset{0}, 100).error().code == Errc::storage_error);
  CHECK(read_log(view, Offset{0}).size() == 9);
}

TEST_CASE("a bit that flipped in a segment at rest is seen by the read, and reads before it go on", "[log]") {
  LogFixture fixture;
  fixture.append_batches(3, 3);
  const auto view = fixture.log->view();
  const auto path = fixture.disk.files().back();
  REQUIRE(fixture.disk.flip_bit(path, fixture.disk.content(path)->size() - 5, 0));
  CHECK(view.read(Offset{0}, 1 << 20)->next_offset == Offset{6});
  const auto damaged = view.read(Offset{6}, 1 << 20);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == Errc::corrupt_message);
  CHECK(damaged.error().message.find(path) != std::string::npos);
}

TEST_CASE("retention removes whole segments; a view that reads them keeps them", "[log]") {
  LogFixture fixture;
  fixture.append_batches(100, 3);
  auto config = fixture.config;
  config.retention_records = 100;
  fixture.log->set_config(config);
  auto view = std::make_unique<storage::LogView>(fixture.log->view());
  CHECK(fixture.log->apply_retention(Offset{300}, std::nullopt).value());
  const auto start = fixture.log->log_start_offset();
  CHECK(start > Offset{100});
  CHECK(start <= Offset{200});
  CHECK(read_log(*view, Offset{0}) == expected_records(Offset{0}, Offset{300}));
  view.reset();
  for (const auto& path : fixture.disk.files()) CHECK_FALSE(path.ends_with(".deleted"));
  fixture.expectation.log_start_offset = start;
  fixture.restart();
  CHECK(fixture.log->log_start_offset() == start);
  CHECK(fixture.records() == expected_records(start, Offset{300}));
}

TEST_CASE("unknown files in a log's directory are left alone", "[log][recovery]") {
  LogFixture fixture;
  fixture.append(3);
  REQUIRE(fixture.disk.open("/data/log/zzz.log", storage::OpenMode::create));
  REQUIRE(fixture.disk.create_directories("/data/log/00000000000000000007.log"));
  fixture.restart();
  fixture.check_holds(Offset{0}, Offset{3});
  CHECK(fixture.disk.exists("/data/log/zzz.log").value());
}

TEST_CASE("a damaged header that points past the log end, or past the batch, is an error and no empty answer",
          "[log_view]") {
  // Goal: S8. Found by fuzz_segment_recovery: last offset delta and base offset decide what is passed over, unread.
  const auto position =
      GENERATE(std::uint64_t{7} /* base offset */, std::uint64_t{24}, std::uint64_t{26} /* last offset delta */);
  const auto batch = GENERATE(0, 1, 2);
  LogFixture fixture;
  fixture.append_batches(3, 5);
  const auto path = "/data/log/00000000000000000000.log";
  const auto bytes = fixture.disk.content(path)->size() / 3;
  REQUIRE(fixture.disk.flip_bit(path, static_cast<std::uint64_t>(batch) * bytes + position, 4));

  const auto view = fixture.log->view();
  for (auto from = Offset{batch * 5}; from < Offset{batch * 5 + 5}; ++from) {
    CAPTURE(position, batch, from.value());
    const auto slice = view.read(from, 4096);
    REQUIRE_FALSE(slice);
    CHECK(slice.error().code == Errc::corrupt_message);
  }
  if (batch > 0) CHECK(read_all(view.read(Offset{0}, 1)->batches).size() == 5);
}

TEST_CASE("a damaged header that an index hid from recovery makes a damaged log, not one that cannot be opened",
          "[partition_log]") {
  // Goal: S3, S4. Found by fuzz_segment_recovery: state is rebuilt by headers, and the first of them was zeros.
  LogFixture fixture;
  fixture.append_batches(3, 5);
  REQUIRE(fixture.log->close());
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{15};
  fixture.expectation.was_written = true;
  REQUIRE(fixture.disk.remove("/data/log/00000000000000000015.state"));
  const auto path = "/data/log/00000000000000000000.log";
  const auto second_batch = fixture.disk.content(path)->size() / 3;
  REQUIRE(fixture.disk.overwrite(path, second_batch, ByteBuffer(16, std::byte{0})));

  fixture.restart();

  CHECK(fixture.log->health().kind == LogHealth::Kind::damaged);
  CHECK(fixture.log->health().from == Offset{5});
  CHECK(fixture.log->log_end_offset() == Offset{5});
  CHECK(fixture.records() == expected_records(Offset{0}, Offset{5}));
}

TEST_CASE("a log whose end a power cut took to below its log start goes on at the log start", "[partition_log]") {
  // Goal: S1. Found by fuzz_segment_recovery: the next batch was put behind older ones, and the start after that called it damage.
  LogFixture fixture;
  fixture.append_batches(3, 5);
  fixture.expectation.log_start_offset = Offset{100};
  fixture.expectation.was_written = true;

  fixture.restart();
  CHECK(fixture.log->log_start_offset() == Offset{100});
  CHECK(fixture.log->log_end_offset() == Offset{100});
  fixture.append(2);
  REQUIRE(fixture.log->sync());
  fixture.expectation.recovery_point = fixture.expectation.durable_end = Offset{102};

  fixture.restart();
  CHECK(fixture.log->health().kind == LogHealth::Kind::good);
  fixture.check_holds(Offset{100}, Offset{102});
}
