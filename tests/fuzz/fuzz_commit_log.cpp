#include <algorithm>

#include "core/record/batch_builder.hpp"
#include "storage/commit_log_format.hpp"
#include "storage/data_directory.hpp"
#include "storage/segment.hpp"
#include "tests/fuzz/fuzz_disk.hpp"

/// Bytes as commit-log files: opening ends, what they give back are whole batches in order, a turn that is committed afterwards
/// is there at the next start, and a data directory starts over them.
///
///   input = flags u8, pages of the first file u8, first file, second file (the rest)

using namespace troupe;
using namespace troupe::fuzz;
using namespace troupe::storage;
namespace format = troupe::storage::commit_log_format;

namespace {

constexpr std::uint8_t seal_flag = 1;
const TopicIdPartition own_id{Uuid{{0xee}}, PartitionId{0}};

/// Mends the checksums of every turn of file `number`, as far as its lengths lead.
void seal_turns(std::uint64_t number, MutableByteView file) {
  for (std::size_t at = 0; at + format::turn_head_bytes <= file.size(); at += format::turn_alignment) {
    const auto turn = file.subspan(at);
    if (load_big_endian<std::uint32_t>(turn.data()) != format::turn_magic) continue;
    const auto entries = load_big_endian<std::uint32_t>(turn.data() + 20);
    if (entries > (turn.size() - format::turn_head_bytes) / format::entry_head_bytes) continue;
    const auto heads = format::turn_head_bytes + entries * format::entry_head_bytes;
    auto body = heads;
    for (std::size_t i = 0; i < entries; ++i) {
      auto* sizes = turn.data() + format::turn_head_bytes + (i + 1) * format::entry_head_bytes - 8;
      const auto size = load_big_endian<std::uint32_t>(sizes);
      if (size > turn.size() - body) break;
      const auto batch = turn.subspan(body, size);
      seal_batches(batch);
      if (size >= record::batch_header_bytes) {
        store_big_endian(sizes + 4, load_big_endian<std::uint32_t>(batch.data() + 17));
      }
      body += size;
    }
    std::byte name[8];
    store_big_endian(name, number);
    store_big_endian(turn.data() + 4, crc32c(turn.subspan(8, heads - 8), crc32c(name)));
  }
}

PlacedBatch own_batch(Offset base_offset) {
  record::RecordBatchBuilder builder;
  builder.add({.value = as_bytes("own")});
  return {base_offset, LeaderEpoch{0}, Bytes::adopt(builder.build().value())};
}

void check_tails(const CommittedTails& tails) {
  for (const auto& [id, tail] : tails) {
    auto next_min = Offset::min();
    for (const auto& placed : tail.batches) {
      const auto batch = record::parse_batch(placed.batch);
      TROUPE_ASSERT(batch.has_value() && batch->bytes.size() == placed.batch.size() && record::crc_matches(*batch));
      TROUPE_ASSERT(batch->header.base_offset == placed.base_offset && placed.base_offset >= next_min);
      TROUPE_ASSERT(batch->header.leader_epoch == placed.leader_epoch);
      next_min = placed.base_offset + 1;
    }
  }
}

void check_commit_log(test::FaultyFileSystem& disk) {
  const CommitLog::Options options{"/data/commit", 64 << 10, 16 << 10};
  auto opened = must(CommitLog::open(disk, options));
  check_tails(opened.tails);
  if (opened.tails.contains(own_id)) return;
  opened.log->add(own_id, own_batch(Offset{7}));
  TROUPE_ASSERT(opened.log->commit().has_value());

  auto again = must(CommitLog::open(disk, options));
  TROUPE_ASSERT(again.turns == opened.turns + 1 && again.tails.size() == opened.tails.size() + 1);
  TROUPE_ASSERT(again.tails.at(own_id).batches.size() == 1);
  TROUPE_ASSERT(again.damage.has_value() == opened.damage.has_value());
}

void check_directory(test::FaultyFileSystem& disk) {
  const DataDirectory::Options options{.path = "/data",
                                       .cluster_id = Uuid{{7}},
                                       .node_id = BrokerId{1},
                                       .commit_file_bytes = 64 << 10,
                                       .commit_grow_bytes = 16 << 10};
  std::vector<ByteBuffer> contents;
  std::vector<TopicIdPartition> ids;
  for (int start = 0; start < 2; ++start) {
    auto opened = must(DataDirectory::open(disk, options));
    auto& directory = *opened.directory;
    if (start == 0) ids = directory.partitions();
    TROUPE_ASSERT(std::ranges::includes(directory.partitions(), ids));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto* log = directory.log(ids[i], {}).value();
      auto read = read_back(log->view());
      if (start == 0) {
        contents.push_back(std::move(read.bytes));
      } else {
        TROUPE_ASSERT(equal_bytes(read.bytes, contents[i]));
      }
    }
    if (std::ranges::binary_search(ids, own_id)) return;
    const auto end = directory.log(own_id, {}).value()->log_end_offset();
    TROUPE_ASSERT(end == Offset{start});
    const auto batch = own_batch(end);
    TROUPE_ASSERT(directory.append(own_id, std::span{&batch, 1}, MonotonicMs{0}).has_value());
    TROUPE_ASSERT(directory.commit(MonotonicMs{0}).has_value());
    if (start == 0) {
      opened.directory.reset();
      test::KeepSynced choices;
      disk = disk.power_cut(choices);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  silence_logs();
  if (size < 2) return 0;
  ByteBuffer files(size - 2);
  if (!files.empty()) std::memcpy(files.data(), data + 2, files.size());
  const MutableByteView all{files};
  const auto first = all.first(std::min(all.size(), std::size_t{data[1]} * format::turn_alignment));
  const auto second = all.subspan(first.size());
  if ((data[0] & seal_flag) != 0) {
    seal_turns(1, first);
    seal_turns(2, second);
  }
  test::FaultyFileSystem disk;
  TROUPE_ASSERT(disk.create_directories("/data/commit").has_value());
  for (const auto& directory : {"/", "/data", "/data/commit"}) TROUPE_ASSERT(disk.sync_directory(directory).has_value());
  const auto path = [](std::int64_t number) {
    return "/data/commit/" + segment_file_name(Offset{number}, format::commit_extension);
  };
  write_file(disk, path(1), first);
  if (!second.empty()) write_file(disk, path(2), second);
  TROUPE_ASSERT(disk.sync_directory("/data/commit").has_value());
  auto copy = disk.clone();
  check_commit_log(copy);
  check_directory(disk);
  return 0;
}
