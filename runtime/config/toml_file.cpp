#include "runtime/config/toml_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace {
/// An assertion of toml++ did not hold: 3.3 meets some broken syntax ("[#") with one, and must not end the process with it.
struct BrokenAssumption {};
[[noreturn]] void give_up() { throw BrokenAssumption{}; }
}  // namespace

// One file uses it, and its errors come as values: nothing to link.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ASSERT(expression) ((expression) ? static_cast<void>(0) : give_up())
#include <toml++/toml.h>

#include "runtime/config/value_text.hpp"

namespace troupe::runtime {
namespace {

std::string position(const std::string& file_name, const toml::source_region& region) {
  return file_name + ":" + std::to_string(region.begin.line) + ":" + std::to_string(region.begin.column) + ": ";
}

/// What stands there, for a message.
std::string found(const toml::node& node) {
  if (const auto text = node.value_exact<std::string_view>()) return "the string " + quote(*text);
  if (const auto number = node.value_exact<std::int64_t>()) return "the integer " + std::to_string(*number);
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::floating_point: return "a floating-point number";
    case toml::node_type::boolean: return *node.value_exact<bool>() ? "true" : "false";
    default: return "a date or time";
  }
}

Error wrong(const Setting& setting, const toml::node& node) {
  auto wanted = expected(setting);
  if (setting.kind == SettingKind::text_list) wanted = "an array of strings";
  if (setting.kind == SettingKind::text || setting.kind == SettingKind::endpoint || setting.kind == SettingKind::choice) {
    wanted += ", in quotes";
  }
  return {Errc::invalid_config, "got " + found(node) + ", expected " + wanted};
}

Result<SettingValue> read_value(const Setting& setting, const toml::node& node) {
  const auto text = node.value_exact<std::string_view>();
  const auto number = node.value_exact<std::int64_t>();
  switch (setting.kind) {
    case SettingKind::boolean:
      if (const auto flag = node.value_exact<bool>()) return SettingValue{*flag};
      break;
    case SettingKind::integer:
    case SettingKind::size:
    case SettingKind::duration:
      if (text && setting.kind != SettingKind::integer) return parse_value(setting, *text);
      if (number) {
        TROUPE_TRY(check_value(setting, *number));
        return SettingValue{*number};
      }
      break;
    case SettingKind::text:
    case SettingKind::endpoint:
    case SettingKind::choice:
      if (text) return parse_value(setting, *text);
      break;
    case SettingKind::text_list: {
      const auto* array = node.as_array();
      if (array == nullptr) break;
      std::vector<std::string> strings;
      for (const auto& element : *array) {
        const auto string = element.value_exact<std::string>();
        if (!string) return wrong(setting, element);
        strings.push_back(*string);
      }
      SettingValue value = std::move(strings);
      TROUPE_TRY(check_value(setting, value));
      return value;
    }
  }
  return wrong(setting, node);
}

struct Reader {
  const std::string& file_name;
  TomlFile file = {};

  void add(const std::string& name, const toml::key& key, const toml::node& node) {
    const auto* setting = find_setting(name);
    if (setting == nullptr) {
      file.problems.push_back(position(file_name, key.source()) + unknown_setting(name));
      return;
    }
    auto value = read_value(*setting, node);
    if (value) {
      file.entries.push_back({setting, std::move(*value), file_name + ":" + std::to_string(key.source().begin.line)});
    } else {
      file.problems.push_back(position(file_name, node.source()) + name + ": " + value.error().message);
    }
  }

  void add_all(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const auto section = std::string(key.str());
      const auto* table = node.as_table();
      if (table == nullptr && !section_description(section).empty()) {
        file.problems.push_back(position(file_name, key.source()) + "got " + found(node) + ", expected the table [" +
                                section + "]");
      } else if (table == nullptr || (table->empty() && section_description(section).empty())) {
        file.problems.push_back(position(file_name, key.source()) + unknown_setting(section));
      } else {
        for (const auto& [inner, value] : *table) add(section + "." + std::string(inner.str()), inner, value);
      }
    }
  }
};

/// What the parser need not see, or says less well. nullopt: nothing.
std::optional<std::string> refuse_early(std::string_view content) {
  std::size_t line = 1;
  for (std::size_t begin = 0; begin < content.size(); ++line) {
    const auto end = std::min(content.find('\n', begin), content.size());
    const auto nul = content.substr(begin, end - begin).find('\0');
    const auto where = std::to_string(line) + ":";
    if (nul != std::string_view::npos) return where + std::to_string(nul + 1) + ": a NUL byte: this is no text file";
    if (end - begin > toml_line_bytes_max) {
      return where + std::to_string(toml_line_bytes_max) + ": the line is longer than " +
             format_size(std::int64_t{toml_line_bytes_max});
    }
    begin = end + 1;
  }
  return std::nullopt;
}

/// nullopt: the parser gave up on its own assumptions.
std::optional<toml::parse_result> parse_guarded(std::string_view content) {
  try {
    return toml::parse(content);
  } catch (const BrokenAssumption&) {
    return std::nullopt;
  }
}

/// The line at which the parser gives up: it reads from front to end, so it does not with fewer lines.
std::size_t line_given_up(std::string_view content) {
  std::vector<std::size_t> ends;
  for (std::size_t at = content.find('\n'); at != std::string_view::npos; at = content.find('\n', at + 1))
    ends.push_back(at);
  const auto first = std::partition_point(
      ends.begin(), ends.end(), [&](std::size_t end) { return parse_guarded(content.substr(0, end)).has_value(); });
  return static_cast<std::size_t>(first - ends.begin()) + 1;
}

std::string too_large(const std::string& file_name) {
  return file_name + ": larger than " + format_size(std::int64_t{toml_file_bytes_max}) + ": this is no configuration";
}

}  // namespace

TomlFile parse_toml(std::string_view content, const std::string& file_name) {
  Reader reader{file_name};
  if (content.size() > toml_file_bytes_max) {
    reader.file.problems.push_back(too_large(file_name));
    return std::move(reader.file);
  }
  if (const auto refused = refuse_early(content)) {
    reader.file.problems.push_back(file_name + ":" + *refused);
    return std::move(reader.file);
  }
  const auto parsed = parse_guarded(content);
  if (!parsed) {
    reader.file.problems.push_back(file_name + ":" + std::to_string(line_given_up(content)) + ":1: broken syntax");
  } else if (*parsed) {
    reader.add_all(parsed->table());
  } else {
    const auto& error = parsed->error();
    reader.file.problems.push_back(position(file_name, error.source()) + std::string(error.description()));
  }
  return std::move(reader.file);
}

TomlFile read_toml_file(const std::string& path) {
  const auto failed = [&](int error) { return TomlFile{.problems = {path + ": " + std::strerror(error)}}; };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed(errno);
  std::string content;
  char chunk[16'384];
  while (content.size() <= toml_file_bytes_max) {
    const auto size = ::read(file, chunk, sizeof chunk);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      const int error = errno;
      ::close(file);
      return failed(error);
    }
    if (size == 0) break;
    content.append(chunk, static_cast<std::size_t>(size));
  }
  ::close(file);
  return parse_toml(content, path);
}

}  // namespace troupe::runtime
