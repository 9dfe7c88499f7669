#include "storage/paths.hpp"

namespace troupe::storage {

std::string parent_path(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

Status create_directories_durably(FileSystem& file_system, const std::string& path) {
  TROUPE_TRY_ASSIGN(const bool there, file_system.exists(path));
  if (there) return ok();
  const auto parent = parent_path(path);
  if (parent != path && parent != ".") TROUPE_TRY(create_directories_durably(file_system, parent));
  TROUPE_TRY(file_system.create_directories(path));
  auto synced = file_system.sync_directory(parent);
  // Or the next call finds it there and takes its entry for durable.
  if (!synced) (void)file_system.remove(path);
  return synced;
}

}  // namespace troupe::storage
