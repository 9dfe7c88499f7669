#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/schema.hpp"

namespace troupe::runtime {

/// A file of settings, read. Nothing in it is used when there are problems.
struct TomlFile {
  struct Entry {
    const Setting* setting = nullptr;
    SettingValue value = {};
    std::string where = {};  ///< "troupe.toml:3"
  };
  std::vector<Entry> entries = {};
  std::vector<std::string> problems = {};  ///< one sentence each, beginning with file, line and column
};

inline constexpr std::size_t toml_file_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t toml_line_bytes_max = std::size_t{64} << 10;

/// Reads TOML 1.0. All that is wrong with the settings is found at once; of broken syntax only the first place.
TomlFile parse_toml(std::string_view content, const std::string& file_name);

/// The same from the disk; a pipe is as good as a file.
TomlFile read_toml_file(const std::string& path);

}  // namespace troupe::runtime
