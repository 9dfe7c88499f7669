#include "tests/crash/oracle.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#include <unistd.h>

#include "core/record/batch_compaction.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/compaction.hpp"

namespace troupe::test {

using storage::DataDirectory;
using storage::LogHealth;

namespace {

std::string name_of(const TopicIdPartition& id) { return to_string(id).substr(0, 8) + "-" + to_string(id.partition); }

using Batches = std::vector<std::shared_ptr<const StoredBatch>>;

/// Whether compaction may have left the batch at the front of `found` for those from `batch` on, which it then steps over.
bool is_compacted(ByteView found, Batches::const_iterator& batch, Batches::const_iterator end, Offset compacted_max) {
  const auto left = record::parse_batch(found);
  if (!left || !record::crc_matches(*left)) return false;
  auto at = batch;
  while (at != end && (*at)->base < compacted_max && (*at)->next <= left->header.next_offset() &&
         record::may_be_compacted_form(left->header, *record::parse_batch_header((*at)->bytes)))
    ++at;
  if (at == batch || (*std::prev(at))->next != left->header.next_offset()) return false;
  batch = at;
  return true;
}

/// The reasons why `log` is not a prefix of `lineage`.
std::optional<std::string> compare(const storage::PartitionLog& log, const Lineage& lineage) {
  const auto start = log.log_start_offset();
  const auto end = log.log_end_offset();
  const auto range = "log [" + to_string(start) + ".." + to_string(end) + ") ";
  if (start < lineage.start_min || start > lineage.start_max) {
    return range + "starts outside what was asked: " + to_string(lineage.start_min) + ".." + to_string(lineage.start_max);
  }
  if (end < lineage.end_min) return range + "ends below what was promised: " + to_string(lineage.end_min);
  if (end > lineage.end() && end > start) return range + "ends above what was appended: " + to_string(lineage.end());
  if (end == start) return std::nullopt;

  auto batch = std::find_if(lineage.batches.begin(), lineage.batches.end(), [&](auto& b) { return b->next > start; });
  const auto view = log.view();
  storage::ReadPosition position;
  for (auto from = start; from < end;) {
    const auto slice = view.read(from, 64 << 10, Offset::max(), position);
    if (!slice) return range + "cannot be read at " + to_string(from) + ": " + to_string(slice.error());
    if (slice->next_offset <= from) return range + "answers nothing at " + to_string(from);
    for (auto bytes = slice->batches.view(); !bytes.empty();) {
      if (batch == lineage.batches.end()) return range + "has more batches than were appended";
      const auto& wanted = (*batch)->bytes;
      if (bytes.size() < wanted.size() || !std::equal(wanted.begin(), wanted.end(), bytes.begin())) {
        if (is_compacted(bytes, batch, lineage.batches.end(), lineage.compacted_max)) {
          bytes = bytes.subspan(record::parse_batch_header(bytes)->size_bytes());
          continue;
        }
        return range + "differs from the batch appended at " + to_string((*batch)->base);
      }
      bytes = bytes.subspan(wanted.size());
      ++batch;
    }
    from = slice->next_offset;
    position = slice->position;
  }
  if (end != (*std::prev(batch))->next) return range + "does not end where a batch ends";
  if (lineage.compacted_max <= start) return std::nullopt;
  RecordTexts appended;
  for (const auto& one : lineage.batches) {
    if (one->next > start && one->next <= end) add_records(appended, one->bytes, start);
  }
  return wrong_compaction(appended, records_of(view), false);
}

/// P4: the state that recovery found is the state that the records add up to.
std::optional<std::string> compare_state(const storage::PartitionLog& log, const Lineage& lineage) {
  storage::LogState wanted;
  for (const auto& batch : lineage.batches) {
    if (batch->next > log.log_start_offset() && batch->base < log.log_end_offset())
      wanted.apply(*record::parse_batch_header(batch->bytes));
  }
  wanted.epochs.truncate_to_start(log.log_start_offset());
  const auto& state = log.state();
  const bool records = log.log_end_offset() > log.log_start_offset();
  if (records && state.epochs.entries() != wanted.epochs.entries()) return "leader epochs are not those of the records";
  if (!records && log.log_start_offset() != lineage.base) return std::nullopt;
  // Producers of deleted records may still be remembered; all others must be what the records say.
  if (log.log_start_offset() == lineage.base) {
    if (!(state.producers == wanted.producers)) return "producers are not those of the records";
    return std::nullopt;
  }
  for (std::int64_t id = 1; id <= 3; ++id) {
    const auto* is = state.producers.find(ProducerId{id});
    const auto* should = wanted.producers.find(ProducerId{id});
    if (should == nullptr) continue;
    if (is == nullptr || is->epoch != should->epoch || is->batches_count < should->batches_count ||
        !std::equal(should->batches.begin(), should->batches.begin() + static_cast<std::ptrdiff_t>(should->batches_count),
                    is->batches.begin() + static_cast<std::ptrdiff_t>(is->batches_count - should->batches_count)))
      return "producer " + std::to_string(id) + " is not that of the records of [" + to_string(log.log_start_offset()) +
             ".." + to_string(log.log_end_offset()) +
             "): " + (is == nullptr ? "unknown" : std::to_string(is->batches_count)) + " instead of " +
             std::to_string(should->batches_count) + " batches";
  }
  return std::nullopt;
}

/// Recovers `image` and compares; on success `oracle` is told what is there.
std::optional<std::string> recover_and_compare(FaultyFileSystem& image, Oracle& oracle, DataDirectory::Opened& opened) {
  auto result = DataDirectory::open(image, oracle.options);
  if (!result) return "the directory does not open: " + to_string(result.error());
  opened = std::move(*result);
  auto& directory = *opened.directory;
  const auto there = directory.partitions();
  for (auto partition = oracle.partitions.begin(); partition != oracle.partitions.end();) {
    auto& [id, expected] = *partition;
    const bool listed = std::find(there.begin(), there.end(), id) != there.end();
    if (expected.may_be_gone && !listed) {
      // Recovery forgot it; a later one must not find it again.
      expected.may_be_there = false;
    }
    if (!expected.may_be_there) {
      if (listed) return name_of(id) + " was removed and is back";
      ++partition;
      continue;
    }
    const auto log = directory.log(id, expected.config);
    if (!log) return name_of(id) + " does not open: " + to_string(log.error());
    Lineage recovered;
    if (auto wrong = check_log(**log, expected, recovered)) return name_of(id) + ": " + *wrong;
    expected.log = std::move(recovered);
    expected.otherwise.reset();
    ++partition;
  }
  return std::nullopt;
}

std::optional<std::string> go_on(DataDirectory& directory, Oracle& oracle, Prng& random) {
  for (auto& [id, expected] : oracle.partitions) {
    if (!expected.may_be_there || expected.may_be_gone || random.chance(1, 2)) continue;
    const auto batch = random_batch(expected.log.end(), expected.epoch, random);
    if (auto appended = directory.append(id, std::span{&batch, 1}, MonotonicMs{0}); !appended)
      return name_of(id) + " takes no append after recovery: " + to_string(appended.error());
    expected.log.batches.push_back(stored(batch));
    if (expected.config.flush == storage::FlushPolicy::fsync) expected.log.end_min = expected.log.end();
  }
  if (auto committed = directory.commit(MonotonicMs{0}); !committed)
    return "no commit after recovery: " + to_string(committed.error());
  return std::nullopt;
}

/// The power goes while recovery changes the disk.
FaultyFileSystem cut_during_recovery(FaultyFileSystem image, const Oracle& oracle, Prng& random) {
  auto counted = image.clone();
  std::size_t changes = 0;
  counted.on_operation([&](const Operation& operation) { changes += operation.changes_disk ? 1 : 0; });
  { const auto opened = DataDirectory::open(counted, oracle.options); }
  counted.on_operation({});
  if (changes == 0) return image;
  std::optional<FaultyFileSystem> cut;
  auto left = 1 + random.below(changes);
  image.on_operation([&](const Operation& operation) {
    if (!operation.changes_disk || left == 0 || --left > 0) return;
    RandomChoices choices{random};
    cut.emplace(image.power_cut(choices));
  });
  { const auto opened = DataDirectory::open(image, oracle.options); }
  image.on_operation({});
  return cut ? std::move(*cut) : std::move(image);
}

}  // namespace

void Lineage::cut(Offset offset) {
  while (!batches.empty() && batches.back()->base >= offset) batches.pop_back();
  end_min = std::min(end_min, offset);
}

void Oracle::promise_acknowledged() {
  for (auto& [id, partition] : partitions) {
    if (partition.otherwise) continue;
    partition.log.end_min = partition.log.end();
  }
}

std::optional<std::string> check_log(const storage::PartitionLog& log, const PartitionOracle& oracle, Lineage& recovered) {
  if (!log.health().can_append()) {
    return "is " + std::string(to_string(log.health().kind)) + " from " + to_string(log.health().from) + ": " +
           log.health().reason;
  }
  const auto* lineage = &oracle.log;
  auto wrong = compare(log, oracle.log);
  if (!wrong) wrong = compare_state(log, oracle.log);
  if (wrong && oracle.otherwise) {
    lineage = &*oracle.otherwise;
    if (auto also = compare(log, *lineage)) return *wrong + "; nor: " + *also;
  } else if (wrong) {
    return wrong;
  }
  recovered = *lineage;
  while (!recovered.batches.empty() && recovered.batches.back()->next > log.log_end_offset()) recovered.batches.pop_back();
  if (recovered.end() < log.log_end_offset()) {
    // Everything below the log start is gone: the story begins anew.
    recovered.batches.clear();
    recovered.base = log.log_end_offset();
  }
  recovered.end_min = log.log_end_offset();
  recovered.start_min = recovered.start_max = log.log_start_offset();
  return std::nullopt;
}

std::optional<std::string> check_image(FaultyFileSystem image, Oracle oracle, Prng& random, const Follow& follow) {
  if (follow.cut_recovery) image = cut_during_recovery(std::move(image), oracle, random);
  for (int round = 0;; ++round) {
    DataDirectory::Opened opened;
    const auto prefix = round == 0 ? std::string() : "after recovery " + std::to_string(round) + ", an append and a cut: ";
    if (auto wrong = recover_and_compare(image, oracle, opened)) return prefix + *wrong;
    if (round == follow.rounds) return std::nullopt;
    if (auto wrong = go_on(*opened.directory, oracle, random)) return prefix + *wrong;
    RandomChoices some{random};
    KeepSynced synced;
    auto next = image.power_cut(random.chance(1, 2) ? static_cast<Choices&>(some) : static_cast<Choices&>(synced));
    opened.directory.reset();
    image = std::move(next);
  }
}

storage::PlacedBatch random_batch(Offset base, LeaderEpoch epoch, Prng& random) {
  BatchSpec spec{.records = static_cast<int>(random.between(1, 4)), .epoch = epoch};
  spec.value =
      std::string(random.chance(1, 10) ? random.below(1500) : random.below(120), static_cast<char>('a' + random.below(26)));
  for (int i = 0; i < spec.records; ++i)
    spec.keys.push_back((random.chance(1, 8) ? "-k" : "k") + std::to_string(random.below(12)));
  spec.timestamp = TimestampMs{1'700'000'000'000 + random.between(0, 100'000)};
  if (random.chance(2, 3)) {
    spec.producer_id = ProducerId{random.between(1, 3)};
    spec.producer_epoch = ProducerEpoch{static_cast<std::int16_t>(epoch.value() / 2)};
    spec.base_sequence = SequenceNumber{static_cast<std::int32_t>(random.between(0, 1'000'000))};
  }
  return make_batch(base, spec);
}

std::shared_ptr<const StoredBatch> stored(const storage::PlacedBatch& batch) {
  auto result = std::make_shared<StoredBatch>();
  result->bytes.assign(batch.batch.view().begin(), batch.batch.view().end());
  record::stamp_batch(result->bytes, batch.base_offset, batch.leader_epoch);
  result->base = batch.base_offset;
  result->next = record::parse_batch_header(result->bytes)->next_offset();
  return result;
}

QuietLog::QuietLog() : stderr_(::dup(STDERR_FILENO)), log_(::memfd_create("log", MFD_CLOEXEC)) {
  std::fflush(stderr);
  ::dup2(log_, STDERR_FILENO);
}

QuietLog::~QuietLog() {
  std::fflush(stderr);
  ::dup2(stderr_, STDERR_FILENO);
  ::close(stderr_);
  ::close(log_);
}

std::string QuietLog::take() {
  std::fflush(stderr);
  const auto size = ::lseek(log_, 0, SEEK_END);
  std::string text(static_cast<std::size_t>(size), '\0');
  if (::pread(log_, text.data(), text.size(), 0) != size || ::ftruncate(log_, 0) != 0) text.clear();
  ::lseek(log_, 0, SEEK_SET);
  return text;
}

std::size_t crash_factor() {
  const char* given = std::getenv("TROUPE_CRASH_FACTOR");
  const auto factor = given == nullptr ? 1UL : std::strtoul(given, nullptr, 10);
  return factor == 0 ? 1 : factor;
}

}  // namespace troupe::test
