#include "base/byte_codec.hpp"
#include "core/record/batch_builder.hpp"
#include "storage/checkpoints.hpp"
#include "storage/manifest.hpp"
#include "storage/partition_log.hpp"
#include "tests/fuzz/make_corpus.hpp"
#include "tests/support/faulty_file_system.hpp"

using namespace troupe;
using namespace troupe::storage;

namespace troupe::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr TimestampMs t0{1'700'000'000'000};
constexpr std::uint8_t seal = 1, second_segment = 2, with_index = 4, with_state = 8, was_written = 16;

PlacedBatch batch(Offset base_offset, int records, std::int64_t producer = -1) {
  record::BatchBuilderOptions options;
  if (producer >= 0) {
    options.producer_id = ProducerId{producer};
    options.producer_epoch = ProducerEpoch{0};
    options.base_sequence = SequenceNumber{static_cast<std::int32_t>(base_offset.value())};
  }
  record::RecordBatchBuilder builder{options};
  for (int i = 0; i < records; ++i) {
    const auto value = "v" + to_string(base_offset + i);
    builder.add({.timestamp = t0 + base_offset.value() + i, .value = as_bytes(value)});
  }
  return {base_offset, LeaderEpoch{base_offset.value() < 6 ? 1 : 3}, Bytes::adopt(builder.build().value())};
}

/// A log of two segments, [0..9] closed with index and state, [10..12] open.
void write_log(test::FaultyFileSystem& disk) {
  (void)disk.create_directories("/log");
  auto files = std::make_shared<OpenFiles>(disk, std::move(*disk.open_barrier("/")), 8);
  const LogConfig config{.index_interval_bytes = 100};
  const auto log = PartitionLog::open(std::move(files), {"/log", "/quarantine"}, config, {}).value();
  for (const int records : {1, 5, 2, 2}) {
    const auto next = batch(log->log_end_offset(), records, 9);
    TROUPE_ASSERT(log->append(std::span{&next, 1}).has_value());
  }
  TROUPE_ASSERT(log->roll().has_value());
  const auto last = batch(log->log_end_offset(), 3);
  TROUPE_ASSERT(log->append(std::span{&last, 1}).has_value());
}

ByteBuffer recovery_input(std::uint8_t flags, int recovery_point, int promised, ByteView first, ByteView index,
                          ByteView state, ByteView second) {
  ByteBuffer input;
  ByteWriter out{input};
  for (const int value : {int{flags}, 10, recovery_point, promised, 0}) out.integer(static_cast<std::uint8_t>(value));
  for (const auto part : {first, index, state}) out.integer(static_cast<std::uint16_t>(part.size()));
  for (const auto part : {first, index, state, second}) out.bytes(part);
  return input;
}

bool write_recovery_seeds(const fs::path& folder) {
  test::FaultyFileSystem disk;
  write_log(disk);
  const auto first = disk.content("/log/00000000000000000000.log").value();
  const auto index = disk.content("/log/00000000000000000000.index").value();
  const auto state = disk.content("/log/00000000000000000010.state").value();
  const auto second = disk.content("/log/00000000000000000010.log").value();
  const auto torn = ByteView{second}.first(second.size() / 2);
  auto flipped = first;
  flipped[200] ^= std::byte{4};
  constexpr std::uint8_t whole = second_segment | with_index | with_state | was_written;
  return write_seed(folder, "whole", recovery_input(whole, 13, 0, first, index, state, second)) &&
         write_seed(folder, "segments-only", recovery_input(second_segment | seal, 0, 0, first, {}, {}, second)) &&
         write_seed(folder, "one-segment", recovery_input(seal, 0, 0, first, {}, {}, {})) &&
         write_seed(folder, "empty", recovery_input(0, 0, 0, {}, {}, {}, {})) &&
         write_seed(folder, "torn", recovery_input(whole, 10, 0, first, index, state, torn)) &&
         write_seed(folder, "torn-promised", recovery_input(whole, 10, 3, first, index, state, torn)) &&
         write_seed(folder, "flipped-below", recovery_input(whole, 10, 0, flipped, index, state, second)) &&
         write_seed(folder, "flipped-unseen", recovery_input(whole & ~with_index, 0, 0, flipped, {}, state, second));
}

bool write_checkpoint_seeds(const fs::path& folder) {
  test::FaultyFileSystem disk;
  write_log(disk);
  const TopicIdPartition id{Uuid{{0xab}}, PartitionId{3}};
  TROUPE_ASSERT(write_offsets(disk, "/points", CheckpointMagic::recovery_points, {{id, Offset{42}}}).has_value());
  {
    auto manifest = Manifest::open(disk, "/manifest").value();
    TROUPE_ASSERT(manifest.note(id, Manifest::State::written).has_value());
    TROUPE_ASSERT(manifest.note({Uuid{{0xcd}}, PartitionId{0}}, Manifest::State::written).has_value());
    TROUPE_ASSERT(manifest.note(id, Manifest::State::removed).has_value());
  }
  const auto seed = [&](const char* name, std::uint8_t which, const char* path) {
    ByteBuffer input{std::byte{which}};
    append_bytes(input, disk.content(path).value());
    const bool plain = write_seed(folder, name, input);
    input[0] |= std::byte{0x80};
    return plain && write_seed(folder, std::string(name) + "-sealed", input);
  };
  return seed("recovery-points", 0, "/points") && seed("manifest", 1, "/manifest") &&
         seed("state", 2, "/log/00000000000000000010.state") && seed("index", 3, "/log/00000000000000000000.index");
}

bool write_commit_log_seeds(const fs::path& folder) {
  test::FaultyFileSystem disk;
  const TopicIdPartition a{Uuid{{0xab}}, PartitionId{0}}, b{Uuid{{0xab}}, PartitionId{1}};
  auto log = std::move(CommitLog::open(disk, {"/commit", 64 << 10, 4096}).value().log);
  const auto commit = [&] { TROUPE_ASSERT(log->commit().has_value()); };
  log->add(a, batch(Offset{0}, 2));
  log->add(b, batch(Offset{0}, 1));
  commit();
  log->add(a, batch(Offset{2}, 3));
  commit();
  log->add_truncation(a, Offset{2});
  commit();
  log->add_reset(b, Offset{5});
  log->add(b, batch(Offset{5}, 1));
  commit();
  const auto first = disk.content("/commit/00000000000000000001.commit").value();
  TROUPE_ASSERT(log->release_all().has_value());
  log->add(a, batch(Offset{2}, 1));
  commit();
  const auto second = disk.content("/commit/00000000000000000002.commit").value();
  const auto input = [&](std::uint8_t flags, ByteView one, ByteView two) {
    ByteBuffer bytes{std::byte{flags}, static_cast<std::byte>(one.size() / 4096)};
    append_bytes(bytes, one);
    append_bytes(bytes, two);
    return bytes;
  };
  const ByteView turns{first};
  ByteBuffer hole{first};
  hole[4096 + 100] ^= std::byte{1};
  return write_seed(folder, "two-files", input(0, first, second)) &&
         write_seed(folder, "two-files-sealed", input(seal, first, second)) &&
         write_seed(folder, "one-turn", input(seal, turns.first(4096), {})) &&
         write_seed(folder, "damaged-turn", input(0, hole, {})) &&
         write_seed(folder, "torn-turn", input(0, turns.first(4096), turns.subspan(4096, 60)));
}

}  // namespace

bool write_storage_seeds(const fs::path& corpus) {
  return write_recovery_seeds(corpus / "fuzz_segment_recovery") && write_checkpoint_seeds(corpus / "fuzz_checkpoint") &&
         write_commit_log_seeds(corpus / "fuzz_commit_log");
}

}  // namespace troupe::fuzz
