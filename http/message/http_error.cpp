#include "http/message/http_error.hpp"

#include "http/error_mapping.hpp"
#include "http/json/record_output.hpp"

namespace troupe::http {

HttpError bad_request(std::string message) { return {.message = std::move(message)}; }

HttpError broken_request(std::string message) { return {.message = std::move(message), .close = true}; }

HttpError http_error(unsigned status, std::string_view code, std::string message) {
  return {.status = status, .number = static_cast<int>(status), .code = code, .message = std::move(message)};
}

HttpError http_error(const Error& error) {
  const auto view = view_of(error.code);
  HttpError answer{.status = view.status, .number = view.number, .code = view.code, .message = shown(error.message)};
  if (view.status == 503) answer.retry_after_ms = view.after_ms.value_or(1000);
  return answer;
}

HttpError unknown_partition(std::string message) {
  return {.status = 404, .number = 40402, .code = "unknown_partition", .message = std::move(message)};
}

std::string shown(std::string_view text) {
  constexpr std::size_t bytes_max = 200;
  constexpr std::string_view digits = "0123456789abcdef";
  const bool cut = text.size() > bytes_max;
  std::string out;
  for (const char character : text.substr(0, bytes_max)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= 0x20 && byte < 0x7f) {
      out += character;
    } else {
      out += "\\x";
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    }
  }
  if (cut) out += "...";
  return out;
}

std::string error_body(const HttpError& error, bool with_code) {
  std::string body = "{\"error_code\":" + std::to_string(error.number) + ",\"message\":";
  append_json_string(body, error.message);
  if (with_code) {
    body += ",\"code\":\"";
    body += error.code;
    body += '"';
  }
  return body + "}";
}

}  // namespace troupe::http
