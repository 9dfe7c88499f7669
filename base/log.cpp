#include "base/log.hpp"

#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace troupe::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::off: return spdlog::level::off;
  }
  return spdlog::level::err;
}

struct Sink {
  std::shared_ptr<spdlog::logger> logger;
  Format format;
};

Sink make_sink(Level level_min, Format format) {
  auto logger = std::make_shared<spdlog::logger>("troupe", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(to_spdlog(level_min));
  logger->flush_on(spdlog::level::info);
  // The message carries its own escaping, so the pattern adds only what never needs any.
  logger->set_pattern(
      format == Format::json ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","lvl":"%l",%v})" : "%Y-%m-%d %H:%M:%S.%e %-7l %v",
      spdlog::pattern_time_type::utc);
  return {std::move(logger), format};
}

Sink& sink() {
  static Sink instance = make_sink(Level::info, ::isatty(STDERR_FILENO) != 0 ? Format::text : Format::json);
  return instance;
}

struct CodePoint {
  char32_t value;
  std::size_t size;  ///< in bytes; 0 when `text` does not begin with a whole character in UTF-8
};

/// The character at the front of `text`, which is not empty. Takes what RFC 3629 allows: shortest form, no surrogates, nothing
/// above U+10FFFF.
CodePoint first_code_point(std::string_view text) {
  constexpr CodePoint invalid{0, 0};
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
  if (size == 0 || text.size() < size) return invalid;
  auto value = static_cast<char32_t>(lead & (0x7fU >> size));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return invalid;
    value = (value << 6) | (byte(i) & 0x3fU);
  }
  constexpr char32_t value_min[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < value_min[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return invalid;
  return {value, size};
}

/// Whether a terminal or an editor may take the character for a command: the controls of ASCII and Latin-1, line and
/// paragraph separators, and what turns the direction of the text around it.
bool is_control(char32_t value) {
  return value < 0x20 || (value >= 0x7f && value <= 0x9f) || value == 0x200e || value == 0x200f ||
         (value >= 0x2028 && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069);
}

/// A line stays one line, valid JSON in valid UTF-8, and cannot drive a terminal, whatever a client put into a name:
/// controls become \u escapes, each byte that is no UTF-8 becomes U+FFFD, all else stays.
void append_escaped(std::string& line, std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  while (!text.empty()) {
    const auto [value, size] = first_code_point(text);
    if (size == 0) {
      line += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    if (value == '"' || value == '\\') {
      line += '\\';
      line += text.front();
    } else if (value == '\n') {
      line += "\\n";
    } else if (value == '\t') {
      line += "\\t";
    } else if (is_control(value)) {
      line += "\\u";
      for (unsigned shift = 16; shift != 0; shift -= 4) line += digits[(value >> (shift - 4)) & 15U];
    } else {
      line += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
}

void append_quoted(std::string& line, std::string_view text) {
  line += '"';
  append_escaped(line, text);
  line += '"';
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || static_cast<unsigned char>(c) >= 0x7f) return true;
  }
  return false;
}

}  // namespace

std::string format_fields(Format format, std::string_view event, std::initializer_list<Field> fields) {
  std::string line;
  if (format == Format::json) {
    line += "\"msg\":";
    append_quoted(line, event);
  } else {
    append_escaped(line, event);
  }
  for (const auto& field : fields) {
    if (format == Format::json) {
      line += ',';
      append_quoted(line, field.key);
      line += ':';
    } else {
      line += ' ';
      append_escaped(line, field.key);
      line += '=';
    }
    const bool quote = format == Format::json ? field.quoted : needs_quotes(field.value);
    if (quote) {
      append_quoted(line, field.value);
    } else {
      line += field.value;
    }
  }
  return line;
}

void configure(Level level_min, Format format) { sink() = make_sink(level_min, format); }

bool enabled(Level level) { return sink().logger->should_log(to_spdlog(level)); }

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  auto& target = sink();
  const auto spd_level = to_spdlog(level);
  if (!target.logger->should_log(spd_level)) return;
  target.logger->log(spd_level, spdlog::string_view_t{format_fields(target.format, event, fields)});
}

}  // namespace troupe::log
