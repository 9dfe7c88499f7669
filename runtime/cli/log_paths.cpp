#include "runtime/cli/log_paths.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/byte_codec.hpp"
#include "storage/checkpoints.hpp"
#include "storage/commit_log_format.hpp"
#include "storage/log_state.hpp"
#include "storage/paths.hpp"
#include "storage/segment.hpp"

namespace troupe::cli {
namespace {

constexpr std::uint32_t index_magic = 0x54494458;  // "TIDX"
constexpr std::uint32_t state_magic = 0x544c5354;  // "TLST"

bool has(const std::vector<storage::DirectoryEntry>& entries, std::string_view name, storage::EntryType type) {
  return std::ranges::any_of(entries, [&](const auto& entry) { return entry.name == name && entry.type == type; });
}

PathKind kind_of_directory(const std::vector<storage::DirectoryEntry>& entries) {
  using storage::EntryType;
  if (has(entries, "owner", EntryType::file) || has(entries, "manifest", EntryType::file)) return PathKind::data_directory;
  const bool segments = std::ranges::any_of(entries, [](const auto& entry) {
    return storage::parse_segment_file_name(entry.name, storage::log_extension).has_value();
  });
  return segments ? PathKind::partition_directory : PathKind::other_directory;
}

PathKind kind_of_name(std::string_view name) {
  for (const std::string_view suffix : {".deleted", ".spare"}) {
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
  }
  const auto is = [name](std::string_view extension) {
    return storage::parse_segment_file_name(name, extension).has_value();
  };
  if (is(storage::log_extension)) return PathKind::segment;
  if (is(storage::index_extension)) return PathKind::index;
  if (is(storage::state_extension)) return PathKind::state;
  if (is(storage::commit_log_format::commit_extension)) return PathKind::commit_log_file;
  if (name == "manifest") return PathKind::manifest;
  for (const std::string_view checkpoint : {"owner", "recovery-points", "log-start-offsets", "high-watermarks"}) {
    if (name == checkpoint) return PathKind::checkpoint;
  }
  return PathKind::unknown;
}

PathKind kind_of_bytes(ByteView head) {
  constexpr std::size_t magic_at = 16;
  if (head.size() >= 4) {
    const auto magic = load_big_endian<std::uint32_t>(head.data());
    switch (magic) {
      case index_magic: return PathKind::index;
      case state_magic: return PathKind::state;
      case storage::commit_log_format::turn_magic: return PathKind::commit_log_file;
      case owner_magic:
      case static_cast<std::uint32_t>(storage::CheckpointMagic::recovery_points):
      case static_cast<std::uint32_t>(storage::CheckpointMagic::high_watermarks):
      case static_cast<std::uint32_t>(storage::CheckpointMagic::log_start_offsets): return PathKind::checkpoint;
      default: break;
    }
  }
  // A piece of a segment that recovery put aside has another name.
  return head.size() > magic_at && head[magic_at] == std::byte{2} ? PathKind::segment : PathKind::unknown;
}

}  // namespace

Result<std::string> resolve(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    const auto code = errno == ENOENT || errno == ENOTDIR ? Errc::not_found : Errc::storage_error;
    return Error{code, path + ": " + std::strerror(errno)};
  }
  if (::access(path.c_str(), S_ISDIR(status.st_mode) ? R_OK | X_OK : R_OK) != 0) {
    return Error{Errc::storage_error, path + ": " + std::strerror(errno) + " (run as the user that owns the data)"};
  }
  if (struct stat link{}; ::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) {
    const std::unique_ptr<char, void (*)(void*)> real{::realpath(path.c_str(), nullptr), std::free};
    if (real) return std::string(real.get());
  }
  auto end = path.size();
  while (end > 1 && path[end - 1] == '/') --end;
  return path.substr(0, end);
}

Result<PathKind> kind_of(storage::FileSystem& files, const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Error{Errc::storage_error, path + ": " + std::strerror(errno)};
  if (S_ISDIR(status.st_mode)) {
    TROUPE_TRY_ASSIGN(const auto entries, files.list(path));
    return kind_of_directory(entries);
  }
  if (const auto kind = kind_of_name(storage::file_name(path)); kind != PathKind::unknown) return kind;
  TROUPE_TRY_ASSIGN(const auto file, files.open(path, storage::OpenMode::read));
  ByteBuffer head(20);
  TROUPE_TRY_ASSIGN(const auto got, file->read_at(0, head));
  return kind_of_bytes(ByteView{head}.first(got));
}

Result<std::vector<storage::DirectoryEntry>> list_sorted(storage::FileSystem& files, const std::string& path) {
  auto entries = files.list(path);
  if (entries) std::ranges::sort(*entries, {}, &storage::DirectoryEntry::name);
  return entries;
}

Result<ByteBuffer> read_whole(storage::FileSystem& files, const std::string& path, std::uint64_t bytes_max) {
  TROUPE_TRY_ASSIGN(const auto file, files.open(path, storage::OpenMode::read));
  TROUPE_TRY_ASSIGN(const auto size, file->size());
  if (size > bytes_max) {
    return Error{Errc::message_too_large,
                 path + " has " + std::to_string(size) + " bytes, at most " + std::to_string(bytes_max) + " make sense"};
  }
  ByteBuffer bytes(static_cast<std::size_t>(size));
  TROUPE_TRY_ASSIGN(const auto got, file->read_at(0, bytes));
  bytes.resize(got);
  return bytes;
}

}  // namespace troupe::cli
