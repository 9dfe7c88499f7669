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

void append_escaped(std::string& line, std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (code < 0x20 || code >= 0x7f) {
      // Every byte outside printable ASCII becomes an escape: a line stays one line, valid JSON, and cannot drive a
      // terminal, whatever a client put into a name.
      line += "\\u00";
      line += digits[code >> 4];
      line += digits[code & 15U];
    } else {
      line += c;
    }
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
