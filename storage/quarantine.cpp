#include "storage/quarantine.hpp"

#include <algorithm>

#include "storage/paths.hpp"

namespace troupe::storage {
namespace {

constexpr int names_max = 10'000;

Result<std::string> free_path(FileSystem& file_system, const std::string& directory, const std::string& name) {
  TROUPE_TRY(create_directories_durably(file_system, directory));
  for (int i = 0; i < names_max; ++i) {
    auto path = directory + "/" + name;
    if (i > 0) path += "." + std::to_string(i);
    TROUPE_TRY_ASSIGN(const bool taken, file_system.exists(path));
    if (!taken) return path;
  }
  return Error{Errc::storage_error, directory + " holds " + std::to_string(names_max) + " files named " + name};
}

}  // namespace

Status quarantine_bytes(FileSystem& file_system, const File& file, std::uint64_t from, std::uint64_t to,
                        const std::string& directory, const std::string& name) {
  TROUPE_TRY_ASSIGN(const auto path, free_path(file_system, directory, name));
  TROUPE_TRY_ASSIGN(const auto copy, file_system.open(path, OpenMode::create_exclusive));
  ByteBuffer buffer(std::size_t{1} << 20);
  for (auto position = from; position < to;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), to - position));
    TROUPE_TRY_ASSIGN(const auto got, file.read_at(position, MutableByteView{buffer}.first(size)));
    if (got == 0) break;
    TROUPE_TRY(copy->write_at(position - from, ByteView{buffer}.first(got)));
    position += got;
  }
  TROUPE_TRY(copy->sync());
  return file_system.sync_directory(directory);
}

Status quarantine_path(FileSystem& file_system, const std::string& path, const std::string& directory,
                       const std::string& name) {
  TROUPE_TRY_ASSIGN(const auto to, free_path(file_system, directory, name));
  TROUPE_TRY(file_system.rename(path, to));
  TROUPE_TRY(file_system.sync_directory(directory));
  return file_system.sync_directory(parent_path(path));
}

}  // namespace troupe::storage
