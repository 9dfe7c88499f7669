#include "tests/support/compaction.hpp"
#include "tests/unit/storage_log/directory_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::DataDirectory;
using storage::LogHealth;

namespace {

/// Two partitions that are compacted, 0 with the latest of two keys, and what was appended to it.
struct CompactedDirectory : DirectoryFixture {
  RecordTexts appended;

  CompactedDirectory() {
    config.segment_bytes_max = 4096;
    config.compact = true;
    config.min_dirty_permille = 0;
  }
  void add(int number, int batches) {
    for (int i = 0; i < batches; ++i) {
      const auto offset = log(number).log_end_offset();
      const auto key = offset.value() % 2 == 0 ? "a" : "b";
      if (number == 0) appended[offset] = std::string(key) + "=value-" + to_string(offset);
      const auto batch = make_batch(offset, {.records = 1, .keys = {key}});
      REQUIRE(directory().append(partition(number), std::span{&batch, 1}, now));
    }
    REQUIRE(directory().commit(now));
    directory().set_high_watermark(partition(number), log(number).log_end_offset());
  }
  /// One plan, to its end.
  TopicIdPartition clean() {
    auto plan = directory().next_cleaning(std::nullopt);
    REQUIRE(plan);
    REQUIRE(*plan);
    const auto id = (*plan)->partition;
    storage::LogCleaning cleaning{std::move(**plan), {}};
    for (bool done = false; !done;) {
      auto step = cleaning.step(1000);
      REQUIRE(step);
      done = step->done;
      if (step->swap) REQUIRE(directory().replace(id, *step->swap));
    }
    return id;
  }
  bool anything_to_clean() {
    const auto plan = directory().next_cleaning(std::nullopt);
    REQUIRE(plan);
    return plan->has_value();
  }
  void check_compacted() {
    CHECK(log(0).health().kind == LogHealth::Kind::good);
    if (const auto wrong = wrong_compaction(appended, records_of(log(0).view()), false)) FAIL(*wrong);
  }
};

}  // namespace

TEST_CASE("what the commit log still holds of records that were compacted is not put back", "[data_directory][cleaning]") {
  CompactedDirectory fixture;
  fixture.add(0, 200);
  fixture.clean();
  const auto size = fixture.log(0).size_bytes();
  CHECK(records_of(fixture.log(0).view()).size() < 100);
  SECTION("after a kill") { fixture.restart(); }
  SECTION("after a power cut") { fixture.power_cut(); }
  CHECK(fixture.log(0).log_end_offset() == Offset{200});
  CHECK(fixture.log(0).size_bytes() == size);
  CHECK(fixture.opened.repaired_batches < 100);  // of the active segment at most
  fixture.check_compacted();
}

TEST_CASE("the log that needs it most is compacted first, and none twice for the same records",
          "[data_directory][cleaning]") {
  CompactedDirectory fixture;
  CHECK_FALSE(fixture.anything_to_clean());
  fixture.add(0, 200);
  fixture.clean();
  CHECK_FALSE(fixture.anything_to_clean());
  fixture.add(1, 200);
  fixture.add(0, 100);
  CHECK(fixture.clean() == partition(1));
  CHECK(fixture.clean() == partition(0));
  CHECK_FALSE(fixture.anything_to_clean());
  REQUIRE(fixture.directory().checkpoint());
  fixture.restart();
  (void)fixture.log(0);
  (void)fixture.log(1);
  CHECK_FALSE(fixture.anything_to_clean());  // it was written down
  fixture.check_compacted();
  // Without that file all is compacted once more, and nothing else is different.
  fixture.disk.process_kill();
  REQUIRE(fixture.disk.remove("/data/cleaned-offsets"));
  fixture.open();
  (void)fixture.log(0);
  CHECK(fixture.anything_to_clean());
  fixture.clean();
  fixture.check_compacted();
}

TEST_CASE("only what is known to be committed is compacted", "[data_directory][cleaning]") {
  CompactedDirectory fixture;
  fixture.add(0, 200);
  fixture.directory().set_high_watermark(partition(0), Offset{10});
  CHECK_FALSE(fixture.anything_to_clean());
}

TEST_CASE("a compacted log can be cut inside of a gap, whenever the power goes", "[data_directory][cleaning]") {
  CompactedDirectory fixture;
  fixture.add(0, 200);
  fixture.clean();
  std::size_t images = 0;
  std::optional<std::string> wrong;
  fixture.disk.on_operation([&](const Operation& operation) {
    if (!operation.changes_disk || wrong) return;
    KeepSynced synced;
    KeepEverything everything;
    for (Choices* choices : {static_cast<Choices*>(&synced), static_cast<Choices*>(&everything)}) {
      auto image = fixture.disk.power_cut(*choices);
      auto opened = DataDirectory::open(image, fixture.options);
      ++images;
      if (!opened) {
        wrong = to_string(opened.error());
        return;
      }
      const auto log = opened->directory->log(partition(0), fixture.config);
      if (!log || !(*log)->health().can_append()) wrong = log ? (*log)->health().reason : to_string(log.error());
    }
  });
  REQUIRE(fixture.directory().truncate(partition(0), Offset{20}));
  fixture.disk.on_operation({});
  if (wrong) FAIL(*wrong);
  CHECK(images > 4);
  CHECK(fixture.log(0).log_end_offset() == Offset{20});
  CHECK(records_of(fixture.log(0).view()).empty());  // what is left of the log was compacted away
  fixture.appended.clear();
  fixture.add(0, 30);
  fixture.restart();
  CHECK(fixture.log(0).log_end_offset() == Offset{50});
  fixture.check_compacted();
}

TEST_CASE("a log that is removed, reset or set aside forgets that it was compacted", "[data_directory][cleaning]") {
  CompactedDirectory fixture;
  fixture.add(0, 200);
  fixture.clean();
  SECTION("reset") { REQUIRE(fixture.directory().reset(partition(0), Offset{0})); }
  SECTION("set aside") { REQUIRE(fixture.directory().set_aside(partition(0))); }
  SECTION("removed") { REQUIRE(fixture.directory().remove(partition(0), DataDirectory::Removal::for_now)); }
  fixture.appended.clear();
  fixture.add(0, 100);
  CHECK(fixture.anything_to_clean());
  fixture.clean();
  fixture.check_compacted();
}

TEST_CASE("a gap whose leader epoch has rotted takes its own log out of service and no other",
          "[data_directory][cleaning]") {
  CompactedDirectory fixture;
  fixture.add(1, 5);
  fixture.add(0, 30);
  REQUIRE(fixture.directory().checkpoint());  // the commit log begins in the middle of what becomes a gap
  fixture.add(0, 170);
  fixture.clean();
  fixture.disk.process_kill();
  const auto path = "/data/partitions/" + to_string(partition(0)) + "/" + storage::segment_file_name(Offset{0}, ".log");
  const auto gap = record::parse_batch_header(*fixture.disk.content(path));
  REQUIRE(gap);
  REQUIRE(record::is_gap(*gap));
  REQUIRE(gap->next_offset() > Offset{31});
  REQUIRE(fixture.disk.flip_bit(path, 15, 0));  // the lowest bit of the epoch, which no checksum covers
  fixture.open();
  CHECK_FALSE(fixture.log(0).health().can_append());
  CHECK(fixture.log(1).log_end_offset() == Offset{5});
  fixture.add(1, 1);
  fixture.restart();
  CHECK_FALSE(fixture.log(0).health().can_append());  // and it stays so
}
