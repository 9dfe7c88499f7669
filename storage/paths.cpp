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

Status remove_tree(FileSystem& file_system, const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto entries, file_system.list(path));
  for (const auto& entry : entries) {
    const auto inner = path + "/" + entry.name;
    if (entry.type == EntryType::directory) {
      TROUPE_TRY(remove_tree(file_system, inner));
    } else {
      TROUPE_TRY(file_system.remove(inner));
    }
  }
  return file_system.remove(path);
}

}  // namespace troupe::storage
