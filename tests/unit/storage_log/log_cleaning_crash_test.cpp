#include "tests/support/compaction.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/storage_log/log_fixture.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr Offset end{120};

/// A log of five closed segments and a started one, on stable storage, of which compaction leaves little.
struct FilledLog : LogFixture {
  RecordTexts appended;

  FilledLog() {
    config = {.segment_bytes_max = 700, .index_interval_bytes = 256, .compact = true, .min_dirty_permille = 0};
    log->set_config(config);
    while (log->log_end_offset() < end) {
      const auto offset = log->log_end_offset();
      const auto number = offset.value();
      BatchSpec spec{.records = 2, .keys = {"k" + std::to_string(number % 14), "k" + std::to_string(number % 6)}};
      if (number % 22 == 0) spec.keys[1].insert(0, "-");
      spec.epoch = LeaderEpoch{static_cast<std::int32_t>(number / 50)};
      if (number % 4 == 0) {
        spec.producer_id = ProducerId{1};
        spec.producer_epoch = ProducerEpoch{0};
        spec.base_sequence = SequenceNumber{static_cast<std::int32_t>(number)};
      }
      const auto batch = make_batch(offset, spec);
      REQUIRE(log->append(std::span{&batch, 1}));
    }
    REQUIRE(log->sync());
    config.segment_bytes_max = 1600;  // two become one
    log->set_config(config);
    expectation.recovery_point = expectation.durable_end = end;
    expectation.was_written = true;
    appended = records_of(log->view());
  }

  Status clean() {
    Offset first_dirty{0};
    const auto plans = compact(*log, first_dirty, end, {}, 700);
    return plans ? ok() : Status{plans.error()};
  }

  /// What is wrong with the log on `image`; nullopt: nothing.
  std::optional<std::string> wrong_after(FaultyFileSystem& image) const {
    auto files = std::make_shared<storage::OpenFiles>(image, std::move(*image.open_barrier("/data")), 8);
    const auto opened = storage::PartitionLog::open(files, {"/data/log", "/data/quarantine"}, config, expectation);
    if (!opened) return "does not open: " + to_string(opened.error());
    const auto& recovered = **opened;
    if (recovered.health().kind != storage::LogHealth::Kind::good) return recovered.health().reason;
    if (recovered.log_end_offset() != end) return "ends at " + to_string(recovered.log_end_offset());
    if (recovered.state().epochs.entries() != log->state().epochs.entries()) return "other leader epochs";
    if (!(recovered.state().producers == log->state().producers)) return "other producers";
    if (auto wrong = wrong_compaction(appended, records_of(recovered.view()), false)) return wrong;
    for (const auto& path : image.files()) {
      for (const auto* left : {".cleaned", ".swap", ".deleted"}) {
        if (path.find(left) != std::string::npos) return path + " is left";
      }
    }
    return std::nullopt;
  }
};

}  // namespace

TEST_CASE("whenever the power goes during a compaction, recovery finds each segment old or new", "[cleaning][crash]") {
  const auto seed = seed_or(22);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  FilledLog fixture;
  const auto segments = fixture.log->segment_count();
  const auto size = fixture.log->size_bytes();
  std::size_t images = 0;
  std::size_t points = 0;
  std::optional<std::string> failure;
  fixture.disk.on_operation([&](const Operation& operation) {
    if (!operation.changes_disk || failure) return;
    ++points;
    const PowerCutPlan plan{.options = {.torn_sectors = random.chance(1, 2)}, .exhaustive_units_max = 6, .random_images = 8};
    images += for_each_power_cut(fixture.disk, plan, random, [&](FaultyFileSystem& image, const std::string& choices) {
      if (failure) return;
      // And once more while that is repaired.
      std::optional<FaultyFileSystem> again;
      auto left = random.below(12);
      image.on_operation([&](const Operation& repair) {
        if (!repair.changes_disk || left-- != 0) return;
        RandomChoices some{random};
        again.emplace(image.power_cut(some));
      });
      auto wrong = fixture.wrong_after(image);
      image.on_operation({});
      if (!wrong && again) wrong = fixture.wrong_after(*again);
      if (wrong)
        failure = *wrong + ", point " + std::to_string(points) + " behind " + to_string(operation.kind) + " " +
                  operation.path + ", survivors " + choices;
    });
    auto killed = fixture.disk.clone();
    if (auto wrong = fixture.wrong_after(killed); wrong && !failure)
      failure = *wrong + ", killed at point " + std::to_string(points);
  });
  const auto cleaned = fixture.clean();
  fixture.disk.on_operation({});
  if (failure) FAIL(*failure);
  REQUIRE(cleaned);
  CHECK(fixture.log->size_bytes() < size / 2);
  CHECK(fixture.log->segment_count() > 2);
  CHECK(fixture.log->segment_count() < segments);
  CHECK(points > 20);
  CHECK(images > 100);
}

TEST_CASE("whatever fails during a compaction, the log loses nothing and says so", "[cleaning][crash]") {
  std::size_t operations = 0;
  {
    FilledLog counted;
    const auto before = counted.disk.operation_count();
    REQUIRE(counted.clean());
    operations = counted.disk.operation_count() - before;
  }
  for (const auto error : {EIO, ENOSPC}) {
    std::size_t refused = 0;
    for (const auto kind :
         {OperationKind::open, OperationKind::read, OperationKind::write, OperationKind::sync, OperationKind::truncate,
          OperationKind::list, OperationKind::rename, OperationKind::remove, OperationKind::sync_directory}) {
      for (std::size_t nth = 1; nth <= operations; ++nth) {
        FilledLog fixture;
        const auto before = fixture.disk.operation_count(kind);
        fixture.disk.fail({.kind = kind, .nth = nth, .error = error});
        const auto cleaned = fixture.clean();
        if (fixture.disk.operation_count(kind) - before < nth) break;
        INFO(to_string(kind) << " " << nth << ", errno " << error);
        fixture.disk.clear_faults();
        refused += cleaned ? 0 : 1;
        if (fixture.log->health().can_append()) {
          if (const auto wrong = wrong_compaction(fixture.appended, records_of(fixture.log->view()), false)) FAIL(*wrong);
          CHECK_FALSE((!cleaned && cleaned.error().code == Errc::corrupt_message));
        } else {
          CHECK_FALSE(cleaned);
        }
        fixture.disk.process_kill();
        auto image = fixture.disk.clone();
        if (const auto wrong = fixture.wrong_after(image)) FAIL(*wrong);
      }
    }
    CHECK(refused > 10);
  }
}
