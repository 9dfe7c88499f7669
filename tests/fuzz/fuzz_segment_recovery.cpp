#include <algorithm>

#include "core/record/batch_builder.hpp"
#include "storage/partition_log.hpp"
#include "tests/fuzz/fuzz_disk.hpp"

/// Bytes as the files of a log: whatever stands there, opening ends, what is served is whole and dense, a log that may be
/// appended to takes an append, and opening it again gives the same log.
///
///   input = flags u8, second base u8, recovery point u8, promised above it u8, log start u8, three lengths u16 each,
///           first segment, its index, a state, second segment (the rest)

using namespace troupe;
using namespace troupe::fuzz;
using namespace troupe::storage;

namespace {

constexpr std::uint8_t seal_flag = 1, second_flag = 2, index_flag = 4, state_flag = 8, written_flag = 16;
constexpr LogConfig config{.segment_bytes_max = 4096, .index_interval_bytes = 256};
const LogLocation location{"/log", "/quarantine"};

std::unique_ptr<PartitionLog> open_log(test::FaultyFileSystem& disk, const LogExpectation& expectation) {
  auto files = std::make_shared<OpenFiles>(disk, std::move(*disk.open_barrier("/")), 8);
  // No disk failed, so there is no reason not to open: damage is a state of a log, not an error.
  return must(PartitionLog::open(std::move(files), location, config, expectation));
}

PlacedBatch batch_at_end(const PartitionLog& log) {
  record::RecordBatchBuilder builder;
  builder.add({.value = as_bytes("appended")});
  return {log.log_end_offset(), log.state().epochs.latest_epoch().value_or(LeaderEpoch{0}),
          Bytes::adopt(builder.build().value())};
}

bool same_state(const LogState& a, const LogState& b) {
  return a.epochs.entries() == b.epochs.entries() && a.producers == b.producers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  silence_logs();
  ByteBuffer input(size);
  if (size > 0) std::memcpy(input.data(), data, size);
  ByteReader in{input};
  const auto flags = in.integer<std::uint8_t>();
  const auto second_base = in.integer<std::uint8_t>();
  const auto recovery_point = in.integer<std::uint8_t>();
  const auto promised = in.integer<std::uint8_t>();
  const auto log_start = in.integer<std::uint8_t>();
  std::size_t lengths[3] = {};
  for (auto& length : lengths) length = in.integer<std::uint16_t>().value_or(0);
  if (in.failed()) return 0;
  const auto part = [&](std::size_t length) {
    const auto bytes = *in.bytes(std::min(length, in.remaining()));
    return MutableByteView{const_cast<std::byte*>(bytes.data()), bytes.size()};
  };
  const auto first = part(lengths[0]);
  const auto index = part(lengths[1]);
  const auto state = part(lengths[2]);
  const auto second = part(in.remaining());

  test::FaultyFileSystem disk;
  TROUPE_ASSERT(disk.create_directories("/log").has_value());
  if ((*flags & seal_flag) != 0) {
    seal_batches(first);
    seal_batches(second);
  }
  const auto path = [](std::int64_t offset, std::string_view extension) {
    return "/log/" + segment_file_name(Offset{offset}, extension);
  };
  write_file(disk, path(0, log_extension), first);
  if ((*flags & index_flag) != 0) write_file(disk, path(0, index_extension), index);
  if ((*flags & state_flag) != 0) write_file(disk, path(*second_base, state_extension), state);
  if ((*flags & second_flag) != 0 && *second_base > 0) write_file(disk, path(*second_base, log_extension), second);

  LogExpectation expectation;
  expectation.recovery_point = Offset{*recovery_point};
  expectation.durable_end = Offset{*recovery_point + *promised};
  expectation.log_start_offset = Offset{*log_start};
  expectation.was_written = (*flags & written_flag) != 0;
  const auto log = open_log(disk, expectation);
  const auto before = read_back(log->view());
  const bool may_append = log->health().can_append();
  // Damage that opening did not see lies where an index was believed.
  TROUPE_ASSERT(before.complete || !may_append || (*flags & index_flag) != 0);

  if (log->log_end_offset() > Offset{std::int64_t{1} << 62}) return 0;
  const auto end = log->log_end_offset();
  const auto batch = batch_at_end(*log);
  const auto appended = log->append(std::span{&batch, 1});
  TROUPE_ASSERT(appended.has_value() == may_append);
  if (!may_append) {
    TROUPE_ASSERT(appended.error().code == Errc::log_offline);
    const auto again = open_log(disk, expectation);
    TROUPE_ASSERT(again->health().kind == log->health().kind && again->log_end_offset() == end);
    TROUPE_ASSERT(equal_bytes(read_back(again->view()).bytes, before.bytes));
    return 0;
  }
  TROUPE_ASSERT(log->log_end_offset() == end + 1 && log->sync().has_value());
  const auto after = read_back(log->view());
  TROUPE_ASSERT(after.complete == before.complete && after.bytes.size() >= before.bytes.size());

  expectation.recovery_point = expectation.durable_end = log->recovery_point();
  expectation.was_written = true;
  const auto again = open_log(disk, expectation);
  if (!before.complete) return 0;  // what the index hid may be found now
  TROUPE_ASSERT(again->health().kind == LogHealth::Kind::good);
  TROUPE_ASSERT(again->log_start_offset() == log->log_start_offset() && again->log_end_offset() == log->log_end_offset());
  TROUPE_ASSERT(equal_bytes(read_back(again->view()).bytes, after.bytes));
  TROUPE_ASSERT(same_state(again->state(), log->state()));
  return 0;
}
