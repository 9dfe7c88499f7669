#pragma once

#include <string>
#include <string_view>

#include "storage/file_system.hpp"

namespace troupe::storage {

/// Everything before the last '/'; "." when there is none.
std::string parent_path(std::string_view path);
/// Everything after the last '/'.
std::string_view file_name(std::string_view path);

/// Creates `path` with its parents; each new entry is synced into its parent.
Status create_directories_durably(FileSystem& file_system, const std::string& path);

/// Removes a directory with all that is in it.
Status remove_tree(FileSystem& file_system, const std::string& path);

}  // namespace troupe::storage
