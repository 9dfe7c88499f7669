#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

/// Structured logging: an event and its fields, `log::info("isr shrunk", {kv("partition", tp), kv("isr", isr)})`.
///
/// error: a bug or lost data (fails integration tests); warn: degraded, someone may act; info: a change of state;
/// debug: the rest. Never per record.
namespace troupe::log {

enum class Level { debug, info, warn, error, off };  ///< off: as a minimum, nothing is written
enum class Format { text, json };

/// One field. Strings are escaped when the line is written; numbers and booleans are written bare in JSON.
struct Field {
  std::string_view key;
  std::string value;
  bool quoted = true;
};

inline Field kv(std::string_view key, std::string value) { return {key, std::move(value)}; }
inline Field kv(std::string_view key, std::string_view value) { return {key, std::string(value)}; }
inline Field kv(std::string_view key, const char* value) { return {key, std::string(value)}; }
inline Field kv(std::string_view key, bool value) { return {key, value ? "true" : "false", false}; }
template <std::integral Int>
Field kv(std::string_view key, Int value) {
  return {key, std::to_string(value), false};
}
/// Anything with a `to_string` found by argument-dependent look-up: ids, errors, enumerators.
template <class T>
concept Printable = requires(const T& value) {
  std::string(to_string(value));
};
template <Printable T>
Field kv(std::string_view key, const T& value) {
  return {key, std::string(to_string(value))};
}

/// Chooses level and form of all later lines, which go to standard error. Call once, before the threads start; without
/// a call: info and above, text on a terminal and JSON lines elsewhere.
void configure(Level level_min, Format format);
bool enabled(Level level);

void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::debug, event, fields); }
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::info, event, fields); }
inline void warn(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::warn, event, fields); }
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::error, event, fields); }

/// How a line reads without its time: `event key=value key="two words"`, or the inside of the JSON object.
std::string format_fields(Format format, std::string_view event, std::initializer_list<Field> fields);

}  // namespace troupe::log
