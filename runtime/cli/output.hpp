#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"

namespace troupe::cli {

/// Keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_not_found = 3;
inline constexpr int exit_conflict = 4;     ///< exists already, or is not in the state that was asked for
inline constexpr int exit_refused = 5;      ///< not allowed
inline constexpr int exit_unreachable = 6;  ///< no node answers, or not in time
inline constexpr int exit_interrupted = 130;

/// Standard output, as lines of text or as JSON objects, one a line. A command writes the one form or the other.
class Output {
 public:
  explicit Output(bool json) : json_(json) {}

  bool json() const { return json_; }
  void line(std::string_view text);
  /// As it is, without a line end.
  void text(std::string_view text) { write(text); }
  void print(const Json& object);

  /// Nobody reads any more: no reason to go on, and no failure.
  bool closed() const { return closed_; }
  /// Writes out what is buffered. False, with a line on standard error, when the output could not take everything.
  bool finish();

 private:
  void write(std::string_view bytes);

  const bool json_;
  bool closed_ = false;
  bool failed_ = false;
};

/// "troupe: <what went wrong>" on standard error; returns the exit code for it.
int complain(const std::string& message, int exit_code = exit_failed);
int complain(const Error& error);

/// `text` in double quotes with escapes, nothing in it that drives a terminal; nullopt when it is not UTF-8.
std::optional<std::string> quoted(ByteView text);
/// As `quoted`, or "hex:00ff" for what is not UTF-8, or "null".
std::string shown(const std::optional<ByteView>& bytes);
/// `name`: the text, null, or, under `name`_hex, what is not UTF-8.
void add_bytes(Json& object, const std::string& name, const std::optional<ByteView>& bytes);

/// "2023-11-14T22:13:20.000Z"; "-" for none, "1700000000000000 ms" for what no calendar holds.
std::string shown(TimestampMs timestamp);

}  // namespace troupe::cli
