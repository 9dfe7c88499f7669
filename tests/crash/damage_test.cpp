#include <cstdio>

#include "core/record/record_batch.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/crash/oracle.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::DataDirectory;
using storage::FlushPolicy;
using storage::LogHealth;

namespace {

/// A directory with three partitions of several segments each, left in one of two ways.
struct Specimen {
  FaultyFileSystem disk;
  Oracle oracle;
  std::vector<TopicIdPartition> ids;

  enum class Left { closed, killed };

  explicit Specimen(Left left, Prng random, int batches = 60) {
    oracle.options = {.path = "/data",
                      .cluster_id = Uuid{{7}},
                      .node_id = BrokerId{1},
                      .open_files_max = 8,
                      .commit_file_bytes = std::uint64_t{1} << 20,
                      .commit_grow_bytes = 4 << 10};
    for (int i = 0; i < 3; ++i) {
      PartitionOracle partition;
      partition.config = {.flush = i == 2 ? FlushPolicy::interval : FlushPolicy::fsync,
                          .segment_bytes_max = 4096,
                          .index_interval_bytes = 256};
      ids.push_back({TopicId{{9, 9}}, PartitionId{i}});
      oracle.partitions.emplace(ids.back(), std::move(partition));
    }
    auto directory = std::move(DataDirectory::open(disk, oracle.options)->directory);
    for (const auto& id : ids) REQUIRE(directory->log(id, oracle.partitions.at(id).config));
    for (int i = 0; i < batches; ++i) {
      const auto& id = ids[static_cast<std::size_t>(i) % 3];
      auto& partition = oracle.partitions.at(id);
      if (i % 17 == 0) partition.epoch = partition.epoch + 1;
      // Small ones at the end, whose every bit is tried.
      const auto batch = i + 12 < batches ? random_batch(partition.log.end(), partition.epoch, random)
                                          : make_batch(partition.log.end(), {.records = 2, .epoch = partition.epoch});
      REQUIRE(directory->append(id, std::span{&batch, 1}, MonotonicMs{0}));
      REQUIRE(directory->commit(MonotonicMs{0}));
      partition.log.batches.push_back(stored(batch));
      if (partition.config.flush == FlushPolicy::fsync) partition.log.end_min = partition.log.end();
      if (i == batches / 2 && left == Left::killed) {
        REQUIRE(directory->checkpoint());
        oracle.promise_acknowledged();
      }
    }
    if (left == Left::closed) {
      REQUIRE(directory->close());
      oracle.promise_acknowledged();
    }
    disk.process_kill();
  }

  std::string last_segment(std::size_t partition) const {
    std::string last;
    for (const auto& path : disk.files()) {
      if (path.find("/partitions/" + to_string(ids[partition]) + "/") != std::string::npos && path.ends_with(".log"))
        last = path;
    }
    return last;
  }
};

void cut_file(FaultyFileSystem& disk, const std::string& path, std::uint64_t size) {
  const auto file = disk.open(path, storage::OpenMode::read_write);
  REQUIRE(file);
  REQUIRE((*file)->truncate(size));
  REQUIRE((*file)->sync());
}

/// After damage: repaired, or refused by the stated rule. Never wrong bytes, and nothing promised is cut off unsaid.
std::optional<std::string> check_damaged(FaultyFileSystem& disk, const Oracle& oracle, bool rebooted = false) {
  std::vector<std::pair<std::string, std::size_t>> segments;
  for (const auto& path : disk.files()) {
    if (path.find("/partitions/") != std::string::npos && path.ends_with(".log"))
      segments.emplace_back(path, disk.content(path)->size());
  }
  auto opened = DataDirectory::open(disk, oracle.options);
  if (!opened) return "does not open: " + to_string(opened.error());
  for (const auto& [id, expected] : oracle.partitions) {
    auto log = opened->directory->log(id, expected.config);
    if (!log) return to_string(id) + " does not open: " + to_string(log.error());
    const auto& health = (*log)->health();
    const auto name = to_string(id.partition) + " is " + std::string(to_string(health.kind)) + ": " + health.reason + ": ";
    for (const auto& [path, size] : segments) {
      if (health.kind != LogHealth::Kind::damaged || path.find(to_string(id)) == std::string::npos) continue;
      const auto content = disk.content(path);
      if ((content ? content->size() : 0) != size) return name + "yet " + path + " was cut";
    }
    const auto end = (*log)->log_end_offset();
    if (health.can_append() && end < expected.log.end_min)
      return name + "promised records were cut off at " + to_string(end);
    if (end > expected.log.end()) return name + "has records that were never appended";
    auto batch = expected.log.batches.begin();
    auto from = (*log)->log_start_offset();
    if (from != Offset{0}) return name + "starts at " + to_string(from);
    while (from < end) {
      const auto slice = (*log)->view().read(from, 1024);
      // Refused: what stands before was read, and what follows nobody vouches for.
      if (!slice && slice.error().code == Errc::corrupt_message) break;
      if (!slice) return name + to_string(slice.error());
      if (slice->next_offset <= from) return name + "answers nothing at " + to_string(from);
      for (auto bytes = slice->batches.view(); !bytes.empty(); ++batch) {
        auto wanted = (*batch)->bytes;
        // Nothing covers the leader epoch of a batch in a closed segment: Kafka's format leaves it out of the checksum.
        if (bytes.size() >= 16) std::copy_n(bytes.begin() + 12, 4, wanted.begin() + 12);
        if (bytes.size() < wanted.size() || !std::equal(wanted.begin(), wanted.end(), bytes.begin()))
          return name + "serves wrong bytes at " + to_string((*batch)->base);
        bytes = bytes.subspan(wanted.size());
      }
      from = slice->next_offset;
    }
  }
  if (rebooted) return std::nullopt;
  opened->directory.reset();
  disk.process_kill();
  // It says the same the second time.
  if (auto wrong = check_damaged(disk, oracle, true)) return "at the next start " + *wrong;
  return std::nullopt;
}

}  // namespace

TEST_CASE("a last segment cut at any byte: whole batches stay, promised ones are repaired or missed aloud", "[crash]") {
  QuietLog quiet;
  std::size_t cases = 0;
  for (const auto left : {Specimen::Left::closed, Specimen::Left::killed}) {
    const Specimen specimen{left, Prng{seed_or(5)}};
    for (std::size_t partition = 0; partition < 3; ++partition) {
      const auto path = specimen.last_segment(partition);
      const auto size = specimen.disk.content(path)->size();
      const auto& log = specimen.oracle.partitions.at(specimen.ids[partition]).log;
      std::size_t tail = 0;
      for (std::size_t i = 0; i < 5; ++i) tail += log.batches[log.batches.size() - 1 - i]->bytes.size();
      for (auto at = size - std::min(size, tail); at < size; ++at) {
        auto disk = specimen.disk.clone();
        cut_file(disk, path, at);
        ++cases;
        CAPTURE(path, at, size);
        if (auto wrong = check_damaged(disk, specimen.oracle)) FAIL(*wrong);
        if (left == Specimen::Left::closed) continue;
        auto again = specimen.disk.clone();
        cut_file(again, path, at);
        Prng random{at};
        if (auto wrong = check_image(std::move(again), specimen.oracle, random, {.rounds = 1}); wrong && partition != 2)
          FAIL(*wrong);
      }
      quiet.take();
    }
  }
  std::printf("CRASH: truncated segments: %zu cases\n", cases);
  CHECK(cases > 1500);
}

TEST_CASE("a commit log cut at any byte of its last turns: the turns before are restored", "[crash]") {
  QuietLog quiet;
  Specimen specimen{Specimen::Left::killed, Prng{seed_or(6)}};
  KeepSynced synced;
  auto crashed = specimen.disk.power_cut(synced);
  std::string path;
  for (const auto& file : crashed.files())
    path = file.find("/commit/") != std::string::npos && file.ends_with(".commit") ? file : path;
  const auto content = *crashed.content(path);
  auto end = content.size();
  while (content[end - 1] == std::byte{0}) --end;
  // Three turns, one batch each: at 4 KiB boundaries. What they held is no longer promised.
  for (const auto& id : specimen.ids) {
    auto& log = specimen.oracle.partitions.at(id).log;
    log.end_min = Offset{0};
    for (std::size_t i = 0; i + 3 < log.batches.size(); ++i)
      if (specimen.oracle.partitions.at(id).config.flush == FlushPolicy::fsync) log.end_min = log.batches[i]->next;
  }
  std::size_t cases = 0;
  Prng random{1};
  for (auto at = end; at + 3 * 4096 > end; at -= at % 4096 < 700 ? 1 : 97) {
    auto disk = crashed.clone();
    cut_file(disk, path, at);
    ++cases;
    CAPTURE(at, end);
    if (auto wrong = check_image(std::move(disk), specimen.oracle, random, {.rounds = 1})) FAIL(*wrong);
  }
  std::printf("CRASH: truncated commit log: %zu cases\n", cases);
  CHECK(cases > 500);
}

TEST_CASE("a flipped bit anywhere is repaired or refused, and never served", "[crash]") {
  const auto seed = seed_or(8);
  QuietLog quiet;
  Prng random{seed};
  std::size_t cases = 0;
  for (const auto left : {Specimen::Left::closed, Specimen::Left::killed}) {
    const Specimen specimen{left, Prng{seed}};
    const auto files = specimen.disk.files();
    const auto damage = [&](const std::string& path, const std::function<void(FaultyFileSystem&)>& harm) {
      auto disk = specimen.disk.clone();
      harm(disk);
      ++cases;
      INFO("TROUPE_SEED=" << seed << " " << path);
      const auto wrong = check_damaged(disk, specimen.oracle);
      if (path.ends_with("/owner")) {
        // Its identity cannot be derived from anything.
        if (wrong && wrong->find("wrong_owner") == std::string::npos) FAIL(*wrong);
      } else if (wrong) {
        FAIL(*wrong);
      }
    };
    for (std::size_t partition = 0; partition < 3; ++partition) {
      const auto path = specimen.last_segment(partition);
      const auto size = specimen.disk.content(path)->size();
      const auto& batches = specimen.oracle.partitions.at(specimen.ids[partition]).log.batches;
      for (auto at = size - batches.back()->bytes.size(); at < size; ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
          CAPTURE(at, bit);
          damage(path, [&](auto& disk) { REQUIRE(disk.flip_bit(path, at, bit)); });
        }
      }
      quiet.take();
    }
    for (std::size_t i = 0; i < 3000 * crash_factor(); ++i) {
      const auto& path = files[random.below(files.size())];
      const auto size = specimen.disk.content(path)->size();
      if (size == 0 || path.ends_with("/lock")) continue;
      const auto at = random.below(size);
      const auto bit = static_cast<unsigned>(random.below(8));
      CAPTURE(at, bit);
      damage(path, [&](auto& disk) { REQUIRE(disk.flip_bit(path, at, bit)); });
      if (i % 100 == 0) quiet.take();
    }
    for (std::size_t i = 0; i < 300 * crash_factor(); ++i) {
      const auto& path = files[random.below(files.size())];
      const auto size = specimen.disk.content(path)->size();
      if (size == 0 || path.ends_with("/lock")) continue;
      const auto at = random.below(size);
      ByteBuffer garbage(std::min<std::size_t>(size - at, random.chance(1, 2) ? 512 : 4096));
      const bool zeros = random.chance(1, 3);
      for (auto& byte : garbage) byte = zeros ? std::byte{0} : static_cast<std::byte>(random.below(256));
      CAPTURE(at, garbage.size(), zeros);
      damage(path, [&](auto& disk) { REQUIRE(disk.overwrite(path, at, garbage)); });
    }
    // Without indexes recovery reads it all, and finds the damage itself.
    for (std::size_t i = 0; i < 500 * crash_factor(); ++i) {
      const auto& path = files[random.below(files.size())];
      if (!path.ends_with(".log")) continue;
      const auto at = random.below(specimen.disk.content(path)->size());
      damage(path, [&](auto& disk) {
        for (const auto& other : files) {
          if (other.ends_with(".index")) REQUIRE(disk.remove(other));
        }
        REQUIRE(disk.flip_bit(path, at, static_cast<unsigned>(random.below(8))));
      });
    }
    // Misdirected writes: two batches change places, and one lands in another partition.
    for (std::size_t partition = 0; partition < 3; ++partition) {
      const auto path =
          specimen.disk.content(specimen.last_segment(partition))->empty() ? "" : specimen.last_segment(partition);
      const auto content = *specimen.disk.content(path);
      const auto first = record::parse_batch(content);
      REQUIRE(first);
      const auto second = record::parse_batch(ByteView{content}.subspan(first->bytes.size()));
      if (!second) continue;
      ByteBuffer swapped(second->bytes.begin(), second->bytes.end());
      append_bytes(swapped, first->bytes);
      damage(path, [&](auto& disk) { REQUIRE(disk.overwrite(path, 0, swapped)); });
      const auto other = specimen.last_segment((partition + 1) % 3);
      const auto fits = std::min(specimen.disk.content(other)->size(), first->bytes.size());
      damage(other, [&](auto& disk) { REQUIRE(disk.overwrite(other, 0, first->bytes.first(fits))); });
    }
  }
  std::printf("CRASH: bit rot: %zu cases, seed %llu\n", cases, static_cast<unsigned long long>(seed));
  CHECK(cases >= 8000);
}

TEST_CASE("derived files may be missing or garbled, alone and in pairs, and every answer is the same", "[crash]") {
  QuietLog quiet;
  const Specimen specimen{Specimen::Left::closed, Prng{seed_or(9)}};
  std::vector<std::string> derived;
  for (const auto& path : specimen.disk.files()) {
    for (const auto* end : {".index", ".state", "/recovery-points", "/log-start-offsets", "/high-watermarks", "/manifest"})
      if (path.ends_with(end)) derived.push_back(path);
  }
  Prng random{1};
  const auto harm = [&](FaultyFileSystem& disk, const std::string& path, bool missing) {
    const auto size = disk.content(path) ? disk.content(path)->size() : 0;
    if (missing || size == 0) {
      (void)disk.remove(path);
    } else {
      for (int i = 0; i < 5; ++i) REQUIRE(disk.flip_bit(path, random.below(size), static_cast<unsigned>(random.below(8))));
    }
  };
  std::size_t cases = 0;
  for (std::size_t a = 0; a < derived.size(); ++a) {
    for (std::size_t b = a; b < derived.size(); ++b) {
      for (unsigned how = 0; how < 4; ++how) {
        auto disk = specimen.disk.clone();
        harm(disk, derived[a], (how & 1U) != 0);
        if (b != a) harm(disk, derived[b], (how & 2U) != 0);
        ++cases;
        CAPTURE(derived[a], derived[b], how);
        if (auto wrong = check_image(std::move(disk), specimen.oracle, random, {.rounds = random.chance(1, 8) ? 1 : 0}))
          FAIL(*wrong);
      }
    }
    quiet.take();
  }
  std::printf("CRASH: derived files: %zu cases with %zu files\n", cases, derived.size());
  CHECK(derived.size() >= 15);
}

TEST_CASE("a state saved for batches that a crash took away is not believed of those that come after", "[crash]") {
  QuietLog quiet;
  Specimen specimen{Specimen::Left::closed, Prng{seed_or(12)}, 200};
  const auto id = specimen.ids[2];
  auto& partition = specimen.oracle.partitions.at(id);
  // The crash: all segments but the first are lost, the states stay, and nobody was promised anything.
  const auto folder = "/data/partitions/" + to_string(id) + "/";
  const auto first = folder + storage::segment_file_name(Offset{0}, storage::log_extension);
  Offset last_state{0};
  for (const auto& path : specimen.disk.files()) {
    if (!path.starts_with(folder)) continue;
    if (path.ends_with(".log") && path != first) REQUIRE(specimen.disk.remove(path));
    const auto state = storage::parse_segment_file_name(path.substr(folder.size()), storage::state_extension);
    if (state) last_state = std::max(last_state, *state);
  }
  REQUIRE(specimen.disk.remove("/data/recovery-points"));
  partition.log.end_min = Offset{0};
  partition.config.segment_bytes_max = 1 << 20;  // no newer state is saved on the way
  Prng random{4};
  {
    auto opened = DataDirectory::open(specimen.disk, specimen.oracle.options);
    REQUIRE(opened);
    const auto log = opened->directory->log(id, partition.config);
    REQUIRE(log);
    Lineage recovered;
    if (auto wrong = check_log(**log, partition, recovered)) FAIL(*wrong);
    REQUIRE(recovered.end() < last_state);
    partition.log = std::move(recovered);
    while (partition.log.end() <= last_state + 10) {
      const auto batch = random_batch(partition.log.end(), partition.epoch, random);
      REQUIRE(opened->directory->append(id, std::span{&batch, 1}, MonotonicMs{0}));
      partition.log.batches.push_back(stored(batch));
    }
    REQUIRE(opened->directory->commit(MonotonicMs{0}));
  }
  specimen.disk.process_kill();
  if (auto wrong = check_image(specimen.disk.clone(), specimen.oracle, random, {.rounds = 1})) FAIL(*wrong);
}

TEST_CASE("an old copy of a directory opens as what it was", "[crash]") {
  QuietLog quiet;
  Prng random{3};
  const Specimen old{Specimen::Left::killed, Prng{seed_or(11)}, 30};
  auto copy = old.disk.clone();
  if (auto wrong = check_image(std::move(copy), old.oracle, random, {.rounds = 2})) FAIL(*wrong);
}

TEST_CASE("strange things in a log directory are refused or left alone", "[crash]") {
  QuietLog quiet;
  const TempDirectory temp;
  storage::PosixFileSystem files;
  const TopicIdPartition id{TopicId{{9, 9}}, PartitionId{0}};
  const DataDirectory::Options options{.path = temp / "data", .cluster_id = Uuid{{7}}, .node_id = BrokerId{1}};
  const storage::LogConfig config{.segment_bytes_max = 4096, .index_interval_bytes = 256};
  Prng random{1};
  Lineage lineage;
  const auto fill = [&](int batches) {
    auto opened = DataDirectory::open(files, options);
    REQUIRE(opened);
    REQUIRE(opened->directory->log(id, config));
    for (int i = 0; i < batches; ++i) {
      const auto batch = random_batch(lineage.end(), LeaderEpoch{0}, random);
      REQUIRE(opened->directory->append(id, std::span{&batch, 1}, MonotonicMs{0}));
      REQUIRE(opened->directory->commit(MonotonicMs{0}));
      lineage.batches.push_back(stored(batch));
      lineage.end_min = lineage.end();
    }
    REQUIRE(opened->directory->close());
  };
  const auto check = [&] {
    const auto opened = DataDirectory::open(files, options);
    REQUIRE(opened);
    const auto log = opened->directory->log(id, config);
    REQUIRE(log);
    Lineage recovered;
    if (auto wrong = check_log(**log, {.config = config, .log = lineage}, recovered)) FAIL(*wrong);
  };
  fill(40);
  const auto folder = options.path + "/partitions/" + to_string(id);
  std::string index;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".index") index = std::max(index, entry.path().string());
  REQUIRE_FALSE(index.empty());

  std::filesystem::resize_file(index, std::uintmax_t{10} << 30);
  check();
  std::filesystem::remove(index);
  std::filesystem::create_symlink("/dev/zero", index);
  check();
  std::filesystem::create_directory(folder + "/00000000000000999999.log");
  std::filesystem::create_directory(folder + "/somebody's notes");
  check();
  CHECK(std::filesystem::exists(folder + "/somebody's notes"));

  const auto held = DataDirectory::open(files, options);
  REQUIRE(held);
  const auto second = DataDirectory::open(files, options);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::wrong_owner);
}
