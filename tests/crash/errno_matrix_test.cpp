#include <cerrno>
#include <cstdio>

#include "storage/paths.hpp"
#include "tests/crash/oracle.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using storage::DataDirectory;
using storage::FlushPolicy;

namespace {

constexpr OperationKind all_kinds[] = {
    OperationKind::open,     OperationKind::read,   OperationKind::write,         OperationKind::sync,
    OperationKind::truncate, OperationKind::stat,   OperationKind::list,          OperationKind::create_directories,
    OperationKind::rename,   OperationKind::remove, OperationKind::sync_directory};
constexpr int all_errors[] = {EIO, ENOSPC, EDQUOT, EMFILE, EROFS};

/// What may fail without a word: files that are derived or on their way out.
bool tolerated(const std::string& path) {
  for (const auto* part : {".index", ".state", ".deleted", ".tmp", "quarantine"}) {
    if (path.find(part) != std::string::npos) return true;
  }
  return false;
}

/// A writer that keeps count of what it was promised while calls fail.
struct Writer {
  FaultyFileSystem disk;
  Oracle oracle;
  std::unique_ptr<DataDirectory> directory;
  std::vector<TopicIdPartition> ids;
  Prng random;
  MonotonicMs now{0};
  std::string errors;
  std::optional<std::string> wrong;

  explicit Writer(std::uint64_t seed) : random(seed) {
    oracle.options = {.path = "/data",
                      .cluster_id = Uuid{{7}},
                      .node_id = BrokerId{1},
                      .open_files_max = 2,
                      .dirty_files_max = random.chance(1, 3) ? std::size_t{1} : std::size_t{64},
                      .commit_file_bytes = 16 << 10,
                      .commit_grow_bytes = 4 << 10};
    for (int i = 0; i < 3; ++i) {
      PartitionOracle partition;
      partition.config = {.flush = i == 2 ? FlushPolicy::interval : FlushPolicy::fsync,
                          .flush_interval_ms = 50,
                          .segment_bytes_max = 4096,
                          .index_interval_bytes = 256};
      ids.push_back({TopicId{{9, 9}}, PartitionId{i}});
      oracle.partitions.emplace(ids.back(), std::move(partition));
    }
    directory = std::move(DataDirectory::open(disk, oracle.options)->directory);
    for (const auto& id : ids) (void)directory->log(id, oracle.partitions.at(id).config);
  }

  bool note(const Status& status) {
    if (!status) errors += status.error().message + "\n";
    return status.has_value();
  }

  storage::PartitionLog* log(const TopicIdPartition& id) {
    auto log = directory->log(id, oracle.partitions.at(id).config);
    return log ? *log : nullptr;
  }

  bool append(const TopicIdPartition& id) {
    auto& partition = oracle.partitions.at(id);
    auto* before = log(id);
    if (before == nullptr || !before->health().can_append()) return false;
    const auto batch = random_batch(partition.log.end(), partition.epoch, random);
    const auto appended = note(directory->append(id, std::span{&batch, 1}, now));
    // "Nothing was appended", or the log is offline and recovery tells.
    if (appended || !log(id)->health().can_append()) partition.log.batches.push_back(stored(batch));
    return appended;
  }

  bool commit() {
    now = now + Millis{10};
    if (!note(directory->commit(now))) return false;
    for (auto& [id, partition] : oracle.partitions) {
      if (partition.config.flush == FlushPolicy::fsync && log(id)->health().can_append())
        partition.log.end_min = partition.log.end();
    }
    return true;
  }

  void step() {
    const auto& id = ids[random.below(ids.size())];
    auto& partition = oracle.partitions.at(id);
    switch (random.below(12)) {
      case 0: {
        const auto& batches = partition.log.batches;
        if (batches.empty()) return;
        const auto offset = batches[random.below(batches.size())]->base;
        const auto promised = partition.log.end_min;
        partition.log.end_min = std::min(partition.log.end_min, offset);
        if (note(directory->truncate(id, offset))) {
          partition.log.cut(offset);
        } else if (log(id)->health().can_append()) {
          partition.log.end_min = promised;  // refused: nothing was changed
        }
        return;
      }
      case 1:
        if (note(directory->checkpoint())) {
          for (auto& [other, its] : oracle.partitions) {
            if (log(other)->health().can_append()) its.log.end_min = its.log.end();
          }
        }
        return;
      case 2:
        now = now + Millis{60};
        if (note(directory->on_deadline(now)) && log(ids[2])->health().can_append())
          oracle.partitions.at(ids[2]).log.end_min = oracle.partitions.at(ids[2]).log.end();
        return;
      case 3:
      case 4:
      case 5: commit(); return;
      case 6: read(id); return;
      default: append(id);
    }
  }

  /// S8: right bytes or an error.
  void read(const TopicIdPartition& id) {
    const auto* its = log(id);
    if (its == nullptr) return;
    auto batch = oracle.partitions.at(id).log.batches.begin();
    const auto end = oracle.partitions.at(id).log.batches.end();
    for (auto from = Offset{0}; from < its->log_end_offset();) {
      const auto slice = its->view().read(from, 2048);
      if (!slice) {
        errors += slice.error().message + "\n";
        return;
      }
      if (slice->next_offset <= from) wrong = "a read at " + to_string(from) + " below the end gives nothing and no error";
      for (auto bytes = slice->batches.view(); !bytes.empty() && !wrong; ++batch) {
        if (batch == end || bytes.size() < (*batch)->bytes.size() ||
            !std::equal((*batch)->bytes.begin(), (*batch)->bytes.end(), bytes.begin())) {
          wrong = "a read at " + to_string(from) + " gives wrong bytes";
        } else {
          bytes = bytes.subspan((*batch)->bytes.size());
        }
      }
      if (wrong) return;
      from = slice->next_offset;
    }
  }
};

}  // namespace

TEST_CASE("whatever call fails with whatever error: no false promise, no silence, no loss after a restart", "[crash]") {
  const auto seed = seed_or(77);
  QuietLog quiet;
  Prng random{seed};
  std::size_t cases = 0;
  std::size_t hits = 0;
  for (std::size_t round = 0; round < 3 * crash_factor(); ++round) {
    for (const auto kind : all_kinds) {
      for (const auto error : all_errors) {
        for (int when = 0; when < 5; ++when) {
          const bool always = when == 4;
          const std::size_t nth = when == 0 ? 1 : when == 1 ? 2 : when == 2 ? 5 : 1 + random.below(60);
          const auto case_seed = random.next();
          Writer writer{case_seed};
          for (int i = 0; i < 10; ++i) writer.step();
          quiet.take();
          std::string injected;
          std::size_t seen = 0;
          writer.disk.on_operation([&](const Operation& operation) {
            if (operation.kind != kind) return;
            ++seen;
            if ((always ? seen >= nth : seen == nth) && injected.empty()) injected = operation.path;
          });
          writer.disk.fail({.kind = kind, .nth = nth, .error = error, .always = always, .bytes_written = random.below(300)});
          for (int i = 0; i < 60 && !writer.wrong; ++i) writer.step();
          for (const auto& id : writer.ids) writer.read(id);
          writer.disk.on_operation({});
          writer.disk.clear_faults();
          ++cases;
          hits += injected.empty() ? 0 : 1;
          CAPTURE(seed, case_seed, to_string(kind), error, nth, always, injected);
          if (writer.wrong) FAIL(*writer.wrong);
          if (!injected.empty() && !tolerated(injected)) {
            const auto said = writer.errors + quiet.take();
            const auto name = injected.substr(0, injected.find(" -> "));
            if (said.find(storage::file_name(name)) == std::string::npos)
              FAIL("nobody said a word about the error; said: " + said);
          }
          // Not when even overwriting fails: then nothing says any more what the commit log holds.
          if (kind == OperationKind::write && !always && (error == ENOSPC || error == EDQUOT)) {
            // S7: when there is space again, it goes on without a restart.
            for (const auto& id : writer.ids) {
              const bool goes_on = writer.append(id) && writer.commit();
              if (!goes_on) FAIL("a full disk was not only a refusal: " + writer.errors);
            }
          }
          // A process that was killed, and one that goes on in the same boot with the same cache (S2).
          const Follow follow{.rounds = 1};
          KeepSynced synced;
          if (auto lost = check_image(writer.disk.power_cut(synced), writer.oracle, random, follow))
            FAIL(*lost + " (power cut)");
          if (auto lost = check_image(writer.disk.clone(), writer.oracle, random, follow)) FAIL(*lost + " (restart)");
        }
      }
    }
  }
  std::printf("CRASH: errno matrix: %zu cases, %zu errors injected, seed %llu\n", cases, hits,
              static_cast<unsigned long long>(seed));
  CHECK(cases >= 825 * crash_factor());
  CHECK(hits > cases / 3);
}

TEST_CASE("a sync of the file system that failed once is never believed again", "[crash]") {
  QuietLog quiet;
  Writer writer{1};
  writer.oracle.options.dirty_files_max = 0;
  writer.directory.reset();
  writer.directory = std::move(DataDirectory::open(writer.disk, writer.oracle.options)->directory);
  for (const auto& id : writer.ids) REQUIRE(writer.append(id));
  REQUIRE(writer.commit());
  // Two logs have let go of their descriptors and wait for the same sync; the first one is told of the error.
  writer.disk.fail({.kind = OperationKind::sync, .path_contains = "/data"});
  CHECK_FALSE(writer.log(writer.ids[0])->sync());
  CHECK_FALSE(writer.log(writer.ids[1])->sync());
  CHECK_FALSE(writer.directory->checkpoint());
  CHECK_FALSE(writer.append(writer.ids[2]));
  writer.directory.reset();
  Prng random{1};
  if (auto lost = check_image(writer.disk.clone(), writer.oracle, random, {.rounds = 1})) FAIL(*lost);
}
