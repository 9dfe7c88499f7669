#include "runtime/client/json_slice.hpp"

#include <algorithm>

namespace troupe::client {
namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

/// Position behind the string that begins at `text[at]`.
std::size_t behind_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(text.size(), at + 1);
}

/// The parts between the brackets of an object or array, divided by its own commas.
std::vector<std::string_view> parts(std::string_view text, char open) {
  text = trimmed(text);
  if (text.size() < 2 || text.front() != open) return {};
  text = trimmed(text.substr(1, text.size() - 2));
  if (text.empty()) return {};
  std::vector<std::string_view> all;
  std::size_t depth = 0;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char letter = text[at];
    if (letter == '"') {
      at = behind_string(text, at);
      continue;
    }
    if (letter == '{' || letter == '[') ++depth;
    if ((letter == '}' || letter == ']') && depth > 0) --depth;
    if (letter == ',' && depth == 0) {
      all.push_back(trimmed(text.substr(begin, at - begin)));
      begin = at + 1;
    }
    ++at;
  }
  all.push_back(trimmed(text.substr(std::min(begin, text.size()))));
  return all;
}

}  // namespace

std::optional<std::string_view> json_member(std::string_view object, std::string_view name) {
  for (const auto member : parts(object, '{')) {
    if (!member.starts_with('"')) continue;
    const auto name_end = behind_string(member, 0);
    if (name_end < 2 || member.substr(1, name_end - 2) != name) continue;
    const auto rest = trimmed(member.substr(name_end));
    if (rest.starts_with(':')) return trimmed(rest.substr(1));
  }
  return std::nullopt;
}

std::vector<std::string_view> json_elements(std::string_view array) { return parts(array, '['); }

std::string on_one_line(std::string_view json) {
  std::string out(json);
  std::replace_if(
      out.begin(), out.end(), [](char letter) { return letter == '\n' || letter == '\r'; }, ' ');
  return out;
}

}  // namespace troupe::client
