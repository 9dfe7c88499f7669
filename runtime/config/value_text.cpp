#include "runtime/config/value_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <limits>

namespace troupe::runtime {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};
constexpr Unit size_units[] = {{"GiB", std::int64_t{1} << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
constexpr Unit duration_units[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};

template <std::size_t Size>
std::optional<std::int64_t> parse_with_unit(std::string_view text, const Unit (&units)[Size]) {
  const auto digits = text.find_first_not_of("0123456789");
  const auto number = parse_integer(text.substr(0, digits));
  if (!number || *number < 0) return std::nullopt;
  if (digits == std::string_view::npos) return number;
  for (const auto& unit : units) {
    if (text.substr(digits) != unit.name) continue;
    if (*number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

template <std::size_t Size>
std::string format_with_unit(std::int64_t number, const Unit (&units)[Size]) {
  for (const auto& unit : units) {
    if (number != 0 && number % unit.factor == 0) return std::to_string(number / unit.factor) + std::string(unit.name);
  }
  return std::to_string(number) + std::string(std::rbegin(units)->name);
}

/// The bytes of one well-formed UTF-8 sequence at the front; 0: none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool surrogate = first == 0xed && byte(1) >= 0xa0;
  const bool too_high = first == 0xf4 && byte(1) >= 0x90;
  return overlong || surrogate || too_high ? 0 : length;
}

/// What drives a terminal: C0, DEL, and C1, which UTF-8 writes as c2 80 to c2 9f.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  return first < 0x20 || first == 0x7f || (first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0);
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> parse_size(std::string_view text) { return parse_with_unit(text, size_units); }
std::string format_size(std::int64_t bytes) { return format_with_unit(bytes, size_units); }

std::optional<std::int64_t> parse_duration(std::string_view text) { return parse_with_unit(text, duration_units); }
std::string format_duration(std::int64_t milliseconds) { return format_with_unit(milliseconds, duration_units); }

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  // Dots and digits alone: "127.evil.example" is a name.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool is_plain_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto length = utf8_length(text.substr(i));
    if (length == 0 || is_control(text.substr(i, length))) return false;
    i += length;
  }
  return true;
}

std::string printable(std::string_view text, std::size_t bytes_max, std::string_view escaped) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (i >= bytes_max) {
      out += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto length = utf8_length(text.substr(i));
    char escape[8];
    if (length == 0) {
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      out += escape;
    } else if (is_control(text.substr(i, length))) {
      std::snprintf(escape, sizeof escape, "\\u%04x", length == 2 ? static_cast<unsigned char>(text[i + 1]) : byte);
      out += escape;
    } else {
      if (escaped.find(text[i]) != std::string_view::npos) out += '\\';
      out += text.substr(i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string quote(std::string_view text, std::size_t bytes_max) { return '"' + printable(text, bytes_max, "\"\\") + '"'; }

}  // namespace troupe::runtime
