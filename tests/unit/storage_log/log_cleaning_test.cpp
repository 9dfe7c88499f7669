#include "storage/log_cleaning.hpp"

#include <set>

#include "storage/paths.hpp"
#include "tests/support/compaction.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/storage_log/log_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::LogCleaning;

namespace {

constexpr TimestampMs t0{1'700'000'000'000};

/// A log that is compacted, and what was appended to it.
struct CleaningFixture : LogFixture {
  RecordTexts appended;
  Offset first_dirty{0};
  LogCleaning::Options options;

  CleaningFixture() {
    config = {.segment_bytes_max = 4096, .index_interval_bytes = 256, .compact = true, .min_dirty_permille = 0};
    log->set_config(config);
  }

  /// One batch; a key that begins with '-' is a tombstone.
  void add(std::vector<std::string> keys, BatchSpec spec = {}) {
    spec.records = static_cast<int>(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto offset = log->log_end_offset() + static_cast<std::int64_t>(i);
      const bool tombstone = keys[i].starts_with('-');
      appended[offset] = tombstone ? keys[i].substr(1) : keys[i] + "=" + spec.value + "-" + to_string(offset);
    }
    spec.keys = std::move(keys);
    const auto batch = make_batch(log->log_end_offset(), spec);
    const auto status = log->append(std::span{&batch, 1});
    if (!status) FAIL(to_string(status.error()));
  }

  void roll() { REQUIRE(log->roll()); }

  int clean(std::size_t step_bytes = 1000) {
    const auto plans = compact(*log, first_dirty, log->log_end_offset(), options, step_bytes);
    if (!plans) FAIL(to_string(plans.error()));
    return *plans;
  }

  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (const auto& [offset, text] : records_of(log->view())) all.push_back(to_string(offset) + ":" + text);
    return all;
  }

  void remove_derived_files() {
    for (const auto& path : disk.files()) {
      if (path.ends_with(".index") || path.ends_with(".state")) REQUIRE(disk.remove(path));
    }
  }

  bool has_file(const std::string& part) {
    const auto files = disk.files();
    return std::ranges::any_of(files, [&](const auto& path) { return path.find(part) != std::string::npos; });
  }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("compaction keeps the latest record of each key where it was", "[cleaning]") {
  CleaningFixture fixture;
  fixture.add({"a", "b"});
  fixture.add({"c"});
  fixture.add({"a"});
  fixture.roll();
  fixture.add({"b", "d", "a"});
  fixture.roll();
  fixture.add({"c"});  // in the active segment: not looked at
  CHECK(fixture.clean() == 1);
  CHECK(fixture.texts() == Texts{"2:c=value-2", "4:b=value-4", "5:d=value-5", "6:a=value-6", "7:c=value-7"});
  CHECK(fixture.log->log_start_offset() == Offset{0});
  CHECK(fixture.log->log_end_offset() == Offset{8});
  CHECK(fixture.log->segment_count() == 2);  // what fits into one segment becomes one
  CHECK(fixture.first_dirty == Offset{7});
  CHECK(fixture.clean() == 0);

  // From any offset on, also of a record that is gone.
  for (Offset from{0}; from < Offset{8}; ++from) {
    const auto slice = fixture.log->view().read(from, 1);
    REQUIRE(slice);
    const auto header = record::parse_batch_header(slice->batches);
    CHECK((header->base_offset <= from && header->next_offset() > from));
  }
  const auto before = fixture.texts();
  fixture.restart();
  CHECK(fixture.texts() == before);
  CHECK(fixture.log->health().kind == storage::LogHealth::Kind::good);
  CHECK_FALSE(fixture.has_file(".deleted"));
}

TEST_CASE("what is not committed is not compacted", "[cleaning]") {
  CleaningFixture fixture;
  fixture.add({"a"});
  fixture.roll();
  fixture.add({"a"});
  fixture.roll();
  const auto plans = compact(*fixture.log, fixture.first_dirty, Offset{1});
  REQUIRE(plans);
  CHECK(fixture.first_dirty == Offset{1});
  CHECK(fixture.texts() == Texts{"0:a=value-0", "1:a=value-1"});
}

TEST_CASE("a reader goes on with what it saw, and meets what came of it with its next view", "[cleaning]") {
  CleaningFixture fixture;
  for (int i = 0; i < 40; ++i) fixture.add({"k" + std::to_string(i % 4)});
  fixture.roll();
  const auto view = fixture.log->view();
  const auto hint = view.read(Offset{10}, 200)->position;
  fixture.clean();
  for (int i = 0; i < 20; ++i) fixture.add({"k" + std::to_string(i % 4)});
  fixture.roll();
  fixture.clean();  // both old segments of this name are still held
  CHECK(records_of(view) == RecordTexts(fixture.appended.begin(), fixture.appended.find(Offset{40})));
  // A position of the old segment says nothing in the one of the same name.
  const auto read = fixture.log->view().read(hint.offset, 200, Offset::max(), hint);
  REQUIRE(read);
  CHECK(fixture.texts().size() == 4);
}

TEST_CASE("tombstones stay alone for their time, and then go", "[cleaning]") {
  CleaningFixture fixture;
  fixture.config.delete_retention_ms = 1'000;
  fixture.log->set_config(fixture.config);
  fixture.options.now = t0;
  fixture.add({"a", "b", "-a"});
  fixture.roll();
  fixture.clean();
  CHECK(fixture.texts() == Texts{"1:b=value-1", "2:a"});
  fixture.options.now = t0 + Millis{1'000};
  fixture.add({"c"});
  fixture.roll();
  fixture.clean();
  CHECK(fixture.texts() == Texts{"1:b=value-1", "2:a", "3:c=value-3"});
  fixture.restart();  // the horizon is in the batch
  fixture.options.now = t0 + Millis{1'001};
  fixture.add({"d"});
  fixture.roll();
  fixture.clean();
  CHECK(fixture.texts() == Texts{"1:b=value-1", "3:c=value-3", "4:d=value-4"});
}

TEST_CASE("records without a key, and those that the caller wants kept, stay", "[cleaning]") {
  CleaningFixture fixture;
  fixture.append(2);
  fixture.add({"a", "b"});
  fixture.add({"a", "b"});
  fixture.roll();
  fixture.options.keep = [](const record::RecordView& record) { return as_text(*record.key) == "b"; };
  fixture.clean();
  CHECK(fixture.texts() == Texts{"0:=value-0", "1:=value-1", "3:b=value-3", "4:a=value-4", "5:b=value-5"});
}

TEST_CASE("records of transactions stay, and take the place of none", "[cleaning]") {
  CleaningFixture fixture;
  fixture.add({"a"});
  record::RecordBatchBuilder builder{{.producer_id = ProducerId{7},
                                      .producer_epoch = ProducerEpoch{0},
                                      .base_sequence = SequenceNumber{0},
                                      .transactional = true}};
  builder.add({.timestamp = t0, .key = as_bytes("a"), .value = as_bytes("aborted")});
  const auto append = [&](ByteBuffer bytes) {
    const storage::PlacedBatch batch{fixture.log->log_end_offset(), LeaderEpoch{0}, Bytes::adopt(std::move(bytes))};
    REQUIRE(fixture.log->append(std::span{&batch, 1}));
  };
  append(*builder.build());
  append(record::build_transaction_marker(record::ControlRecordType::abort, Offset{2}, LeaderEpoch{0}, ProducerId{7},
                                          ProducerEpoch{0}, 1, t0));
  fixture.roll();
  const auto size = fixture.log->size_bytes();
  fixture.clean();
  CHECK(fixture.log->size_bytes() == size);
  CHECK(records_of(fixture.log->view()).size() == 3);
}

TEST_CASE("keys that do not fit into the map are left for the next round", "[cleaning]") {
  CleaningFixture fixture;
  fixture.config.segment_bytes_max = 1 << 20;
  fixture.log->set_config(fixture.config);
  fixture.options.map_bytes_max = 0;  // as little as it takes: 768 keys
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2'000; i += 4) {
      std::vector<std::string> keys;
      for (int j = 0; j < 4; ++j) keys.push_back("key-" + std::to_string(i + j));
      fixture.add(keys);
    }
  }
  fixture.roll();
  CHECK(fixture.clean(1 << 16) > 2);
  const auto found = records_of(fixture.log->view());
  CHECK(found.size() == 2'000);
  CHECK(found.begin()->first == Offset{2'000});
}

TEST_CASE("producers and leader epochs are as if nothing had been taken away", "[cleaning]") {
  CleaningFixture fixture;
  for (int i = 0; i < 60; ++i) {
    BatchSpec spec{.epoch = LeaderEpoch{i / 7}};
    if (i % 3 != 0) {
      spec.producer_id = ProducerId{i % 3};
      spec.producer_epoch = ProducerEpoch{static_cast<std::int16_t>(i / 40)};
      spec.base_sequence = SequenceNumber{i * 2};
    }
    fixture.add({"x", "y"}, spec);
    if (i % 10 == 9) fixture.roll();
  }
  const auto epochs = fixture.log->state().epochs.entries();
  const auto producers = fixture.log->state().producers;
  fixture.clean();
  CHECK(records_of(fixture.log->view()).size() == 2);
  REQUIRE(fixture.log->sync());
  std::size_t states = 0;
  for (const auto& path : fixture.disk.files()) {
    const auto of = storage::parse_segment_file_name(storage::file_name(path), ".state");
    if (!of) continue;
    ++states;
    CHECK(*of >= fixture.first_dirty);  // one from between could not be told from the log any more
  }
  CHECK(states > 0);
  fixture.remove_derived_files();
  fixture.restart();
  CHECK(fixture.log->state().epochs.entries() == epochs);
  CHECK(fixture.log->state().producers == producers);
}

TEST_CASE("a compaction that was overtaken changes nothing", "[cleaning]") {
  CleaningFixture fixture;
  const auto fill = [&] {
    for (int i = 0; i < 30; ++i) {
      fixture.add({"a", "b"});
      if (i % 10 == 9) fixture.roll();
    }
    REQUIRE(fixture.log->sync());
  };
  fill();
  auto plan = fixture.log->plan_cleaning(Offset{0}, Offset{60}, std::nullopt);
  REQUIRE(plan);
  LogCleaning cleaning{std::move(*plan), {}};
  std::optional<storage::CleanedSegment> swap;
  const auto run = [&] {
    for (;;) {
      auto step = cleaning.step(1 << 20);
      if (!step) return Status{step.error()};
      if (step->swap) {
        swap = std::move(step->swap);
        return ok();
      }
    }
  };
  SECTION("by a truncation, while it reads") {
    REQUIRE(cleaning.step(1));
    REQUIRE(fixture.log->truncate_to(Offset{22}));
    const auto failed = run();
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == Errc::stale_log_view);
  }
  SECTION("by a truncation, before the log took it") {
    REQUIRE(run());
    REQUIRE(fixture.log->truncate_to(Offset{22}));
  }
  SECTION("by a reset") {
    REQUIRE(run());
    REQUIRE(fixture.log->reset_to(Offset{5}));
  }
  SECTION("by retention") {
    REQUIRE(run());
    REQUIRE(fixture.log->advance_log_start(Offset{25}));
  }
  const auto before = fixture.texts();
  if (swap) {
    const auto refused = fixture.log->replace(*swap);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::stale_log_view);
    CHECK_FALSE(fixture.has_file(".cleaned"));
  }
  CHECK(fixture.texts() == before);
  CHECK(fixture.log->health().can_append());
}

TEST_CASE("a segment from which nothing goes is not written again", "[cleaning]") {
  CleaningFixture fixture;
  fixture.add({"a", "b", "c"});
  fixture.roll();
  REQUIRE(fixture.log->sync());
  const auto renames = fixture.disk.operation_count(OperationKind::rename);
  CHECK(fixture.clean() == 1);
  CHECK(fixture.first_dirty == Offset{3});
  CHECK(fixture.disk.operation_count(OperationKind::rename) == renames);
  CHECK_FALSE(fixture.has_file(".cleaned"));
}

TEST_CASE("a damaged log is not compacted over its damage", "[cleaning]") {
  CleaningFixture fixture;
  for (int i = 0; i < 10; ++i) fixture.add({"a", "b"});
  fixture.roll();
  REQUIRE(fixture.log->sync());
  REQUIRE(fixture.disk.flip_bit("/data/log/" + storage::segment_file_name(Offset{0}, ".log"), 200, 3));
  const auto failed = compact(*fixture.log, fixture.first_dirty, Offset{20});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Errc::corrupt_message);
  CHECK_FALSE(fixture.has_file(".cleaned"));
  CHECK(fixture.log->segment_count() == 2);
}

TEST_CASE("random logs, compacted again and again, keep the latest of each key and all that is not for compaction",
          "[cleaning]") {
  const auto seed = seed_or(4'711);
  for (std::uint64_t round = 0; round < 40; ++round) {
    INFO("TROUPE_SEED=" << seed + round);
    Prng random{seed + round};
    CleaningFixture fixture;
    fixture.options.map_bytes_max = random.chance(1, 3) ? 0 : 1 << 20;
    fixture.config.delete_retention_ms = random.chance(1, 2) ? 0 : 50;
    fixture.log->set_config(fixture.config);
    const auto keys = random.between(2, random.chance(1, 4) ? 2'000 : 40);
    TimestampMs now = t0;
    LeaderEpoch epoch{0};
    for (int step = 0; step < 120; ++step) {
      if (random.chance(1, 10)) epoch = epoch + 1;
      BatchSpec spec{.epoch = epoch,
                     .codec = static_cast<record::CompressionCodec>(random.chance(1, 2) ? 0 : random.below(5))};
      spec.value = std::string(random.below(60), 'v');
      if (random.chance(1, 3)) {
        spec.producer_id = ProducerId{random.between(1, 4)};
        spec.producer_epoch = ProducerEpoch{0};
        spec.base_sequence = SequenceNumber{step * 10};
      }
      std::vector<std::string> batch;
      for (auto records = random.between(1, 6); records > 0; --records)
        batch.push_back((random.chance(1, 8) ? "-" : "") + std::to_string(random.below(static_cast<std::uint64_t>(keys))));
      fixture.add(batch, spec);
      if (!random.chance(1, 15)) continue;
      now = now + Millis{random.between(0, 100)};
      fixture.options.now = random.chance(1, 4) ? std::nullopt : std::optional{now};
      if (random.chance(1, 2)) fixture.roll();
      const auto epochs = fixture.log->state().epochs.entries();
      const auto producers = fixture.log->state().producers;
      const auto plans = compact(*fixture.log, fixture.first_dirty, fixture.log->log_end_offset(), fixture.options,
                                 1 + random.below(5'000));
      if (!plans) FAIL(to_string(plans.error()));
      if (random.chance(1, 2)) {
        if (random.chance(1, 2)) fixture.remove_derived_files();
        fixture.restart();
        CHECK(fixture.log->state().epochs.entries() == epochs);
        CHECK(fixture.log->state().producers == producers);
      }
      const auto found = records_of(fixture.log->view());
      const auto wrong = wrong_compaction(fixture.appended, found, true);
      if (wrong) FAIL(*wrong);
      // And nothing stays that should not: each key once below where all is compacted.
      std::set<std::string> seen;
      for (const auto& [offset, text] : found) {
        if (offset >= fixture.first_dirty || *plans == 0) break;
        const auto key = key_of(text);
        INFO(text);
        CHECK((!key || seen.insert(*key).second));
      }
      if (fixture.log->health().kind != storage::LogHealth::Kind::good) FAIL(fixture.log->health().reason);
    }
  }
}
