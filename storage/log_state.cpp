#include "storage/log_state.hpp"

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "storage/segment.hpp"

namespace troupe::storage {
namespace {

constexpr std::uint32_t state_magic = 0x544c'5354;  // "TLST"
constexpr std::uint32_t state_version = 1;
constexpr std::uint64_t state_bytes_max = std::uint64_t{256} << 20;

Error corrupt(const std::string& path, const char* what) { return {Errc::corrupt_message, path + ": " + what}; }

}  // namespace

Status save_log_state(FileSystem& file_system, const std::string& directory, Offset offset, const LogState& state) {
  ByteBuffer bytes;
  ByteWriter out{bytes};
  out.integer(state_magic);
  out.integer(std::uint32_t{0});  // checksum, below
  out.integer(state_version);
  out.integer(offset.value());
  out.integer(static_cast<std::uint32_t>(state.epochs.entries().size()));
  for (const auto& entry : state.epochs.entries()) {
    out.integer(entry.epoch.value());
    out.integer(entry.start_offset.value());
  }
  out.bytes(state.producers.encode());
  store_big_endian(bytes.data() + 4, crc32c(ByteView{bytes}.subspan(8)));

  const auto path = directory + "/" + segment_file_name(offset, state_extension);
  TROUPE_TRY_ASSIGN(const auto file, file_system.open(path, OpenMode::create));
  TROUPE_TRY(file->truncate(0));
  return file->write_at(0, bytes);
}

Result<LogState> load_log_state(FileSystem& file_system, const std::string& directory, Offset offset) {
  const auto path = directory + "/" + segment_file_name(offset, state_extension);
  TROUPE_TRY_ASSIGN(const auto file, file_system.open(path, OpenMode::read));
  TROUPE_TRY_ASSIGN(const auto size, file->size());
  if (size > state_bytes_max) return corrupt(path, "too large");
  ByteBuffer bytes(static_cast<std::size_t>(size));
  TROUPE_TRY_ASSIGN(const auto got, file->read_at(0, bytes));
  bytes.resize(got);

  ByteReader in{bytes};
  const auto magic = in.integer<std::uint32_t>();
  const auto crc = in.integer<std::uint32_t>();
  const auto version = in.integer<std::uint32_t>();
  const auto of = in.integer<std::int64_t>();
  const auto count = in.integer<std::uint32_t>();
  if (!count || *magic != state_magic) return corrupt(path, "no log state");
  if (*crc != crc32c(ByteView{bytes}.subspan(8))) return corrupt(path, "wrong checksum");
  if (*version != state_version) return corrupt(path, "unknown version");
  if (*of != offset.value()) return corrupt(path, "of another offset");
  if (*count > in.remaining() / 12) return corrupt(path, "more epochs than bytes");
  std::vector<record::LeaderEpochCache::Entry> entries;
  entries.reserve(*count);
  for (std::uint32_t i = 0; i < *count; ++i) {
    const LeaderEpoch epoch{*in.integer<std::int32_t>()};
    entries.push_back({epoch, Offset{*in.integer<std::int64_t>()}});
  }
  auto epochs = record::LeaderEpochCache::from_entries(std::move(entries));
  if (!epochs) return corrupt(path, "epochs do not ascend");
  TROUPE_TRY_ASSIGN(auto producers, record::ProducerStates::decode(in.rest()));
  return LogState{std::move(*epochs), std::move(producers)};
}

}  // namespace troupe::storage
