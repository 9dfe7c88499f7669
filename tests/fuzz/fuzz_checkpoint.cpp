#include <algorithm>

#include "storage/checkpoints.hpp"
#include "storage/log_state.hpp"
#include "storage/manifest.hpp"
#include "storage/segment.hpp"
#include "storage/segment_index.hpp"
#include "tests/fuzz/fuzz_disk.hpp"

/// Bytes as each of the small files beside a log: decoding ends, and what it accepts is what encoding writes.
///
///   input = which u8 (highest bit: mend the checksum), the file (the rest)

using namespace troupe;
using namespace troupe::fuzz;
using namespace troupe::storage;

namespace {

constexpr std::uint8_t seal_flag = 0x80;

void check_checkpoint(MutableByteView bytes, bool seal) {
  constexpr std::size_t header = 16;
  if (seal && bytes.size() >= header) {
    store_big_endian(bytes.data() + 8, static_cast<std::uint32_t>(bytes.size() - header));
    store_big_endian(bytes.data() + 12, crc32c(bytes.subspan(header), crc32c(bytes.first(12))));
  }
  test::FaultyFileSystem disk;
  write_file(disk, "/checkpoint", bytes);
  for (const auto magic :
       {CheckpointMagic::recovery_points, CheckpointMagic::high_watermarks, CheckpointMagic::log_start_offsets}) {
    const auto offsets = read_offsets(disk, "/checkpoint", magic);
    if (!offsets || !*offsets) continue;
    TROUPE_ASSERT(write_offsets(disk, "/again", magic, **offsets).has_value());
    TROUPE_ASSERT(equal_bytes(disk.content("/again").value(), bytes));
  }
}

void check_manifest(MutableByteView bytes, bool seal) {
  constexpr std::size_t record_bytes = 32;
  if (seal) {
    for (std::size_t at = 0; at + record_bytes <= bytes.size(); at += record_bytes)
      store_big_endian(bytes.data() + at, crc32c(bytes.subspan(at + 4, record_bytes - 4)));
  }
  test::FaultyFileSystem disk;
  write_file(disk, "/manifest", bytes);
  auto manifest = Manifest::open(disk, "/manifest").value();
  const TopicIdPartition id{Uuid{{0xee}}, PartitionId{0}};
  TROUPE_ASSERT(manifest.note(id, Manifest::State::written).has_value() && manifest.sync().has_value());
  const auto same = [&](const Manifest& other) {
    for (const auto state : {Manifest::State::written, Manifest::State::removed})
      TROUPE_ASSERT(manifest.with(state) == other.with(state));
  };
  const auto again = Manifest::open(disk, "/manifest").value();
  TROUPE_ASSERT(again.damaged() == manifest.damaged());
  same(again);
  TROUPE_ASSERT(manifest.rewrite().has_value());
  const auto rewritten = Manifest::open(disk, "/manifest").value();
  TROUPE_ASSERT(!rewritten.damaged());
  same(rewritten);
}

void seal_head(MutableByteView bytes) {
  if (bytes.size() >= 8) store_big_endian(bytes.data() + 4, crc32c(bytes.subspan(8)));
}

void check_state(MutableByteView bytes, bool seal) {
  if (seal && bytes.size() >= 24) {
    // The producers inside have a checksum of their own.
    const auto epochs = std::min<std::uint64_t>(load_big_endian<std::uint32_t>(bytes.data() + 20), (bytes.size() - 24) / 12);
    seal_head(bytes.subspan(24 + static_cast<std::size_t>(epochs) * 12));
    seal_head(bytes);
  }
  const auto offset = bytes.size() >= 20 ? load_big_endian<std::int64_t>(bytes.data() + 12) : 0;
  if (offset < 0) return;
  test::FaultyFileSystem disk;
  TROUPE_ASSERT(disk.create_directories("/again").has_value());
  const auto name = segment_file_name(Offset{offset}, state_extension);
  write_file(disk, "/" + name, bytes);
  const auto state = load_log_state(disk, "/", Offset{offset});
  if (!state) {
    TROUPE_ASSERT(state.error().code == Errc::corrupt_message);
    return;
  }
  TROUPE_ASSERT(save_log_state(disk, "/again", Offset{offset}, *state).has_value());
  TROUPE_ASSERT(equal_bytes(disk.content("/again/" + name).value(), bytes));
}

void check_index(MutableByteView bytes, bool seal) {
  if (seal) seal_head(bytes);
  const auto base = Offset{bytes.size() >= 20 ? load_big_endian<std::int64_t>(bytes.data() + 12) : 0};
  const auto index = SegmentIndex::decode(bytes, base);
  if (!index) {
    TROUPE_ASSERT(index.error().code == Errc::corrupt_message);
    return;
  }
  TROUPE_ASSERT(equal_bytes(index->encode(), bytes));
  for (const auto offset : {base, index->next_offset(), Offset::min(), Offset::max()}) {
    const auto entry = index->floor(offset);
    TROUPE_ASSERT(entry.offset <= offset || entry.position == 0);
  }
  for (const auto timestamp : {no_timestamp, index->max_timestamp(), TimestampMs::max()}) (void)index->floor(timestamp);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  silence_logs();
  if (size == 0) return 0;
  ByteBuffer bytes(size - 1);
  if (!bytes.empty()) std::memcpy(bytes.data(), data + 1, bytes.size());
  const bool seal = (data[0] & seal_flag) != 0;
  switch (data[0] & 3U) {
    case 0: check_checkpoint(bytes, seal); break;
    case 1: check_manifest(bytes, seal); break;
    case 2: check_state(bytes, seal); break;
    default: check_index(bytes, seal); break;
  }
  return 0;
}
