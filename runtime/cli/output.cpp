#include "runtime/cli/output.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace troupe::cli {

void Output::write(std::string_view bytes) {
  if (closed_ || failed_) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return;
  (errno == EPIPE ? closed_ : failed_) = true;
}

void Output::line(std::string_view text) {
  write(text);
  write("\n");
}

void Output::print(const Json& object) { line(object.dump(-1, ' ', false, Json::error_handler_t::replace)); }

bool Output::finish() {
  if (!closed_ && !failed_ && std::fflush(stdout) != 0) (errno == EPIPE ? closed_ : failed_) = true;
  if (!failed_) return true;
  std::fprintf(stderr, "troupe: standard output: %s\n", std::strerror(errno));
  return false;
}

int complain(const std::string& message, int exit_code) {
  std::fflush(stdout);
  std::fprintf(stderr, "troupe: %s\n", message.c_str());
  return exit_code;
}

int complain(const Error& error) {
  return complain(error.message, error.code == Errc::not_found ? exit_not_found : exit_failed);
}

std::optional<std::string> quoted(ByteView text) {
  std::string json;
  try {
    json = Json(std::string(as_text(text))).dump();
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  std::string safe;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto byte = static_cast<unsigned char>(json[i]);
    const auto next = i + 1 < json.size() ? static_cast<unsigned char>(json[i + 1]) : 0U;
    // DEL and the controls of Latin-1 are plain characters to JSON, and commands to a terminal.
    const bool latin_control = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    if (byte == 0x7f || latin_control) {
      char escape[7];
      std::snprintf(escape, sizeof escape, "\\u%04x", latin_control ? next : byte);
      safe += escape;
      if (latin_control) ++i;
    } else {
      safe += json[i];
    }
  }
  return safe;
}

std::string shown(const std::optional<ByteView>& bytes) {
  if (!bytes) return "null";
  auto text = quoted(*bytes);
  return text ? std::move(*text) : "hex:" + to_hex(*bytes);
}

void add_bytes(Json& object, const std::string& name, const std::optional<ByteView>& bytes) {
  if (!bytes) {
    object[name] = nullptr;
  } else if (quoted(*bytes)) {
    object[name] = std::string(as_text(*bytes));
  } else {
    object[name + "_hex"] = to_hex(*bytes);
  }
}

std::string shown(TimestampMs timestamp) {
  if (timestamp == no_timestamp) return "-";
  const auto ms = timestamp.value();
  constexpr std::int64_t year_9999 = 253'402'300'800'000;
  if (ms < 0 || ms >= year_9999) return std::to_string(ms) + " ms";
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const auto size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(ms % 1000));
  return text;
}

}  // namespace troupe::cli
