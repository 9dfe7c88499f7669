#include "http/message/header_scanner.hpp"

#include <algorithm>
#include <array>

namespace troupe::http {
namespace {

constexpr std::array<std::string_view, 7> method_names{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

bool is_token(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         std::string_view{"!#$%&'*+-.^_`|~"}.find(character) != std::string_view::npos;
}

/// What may stand in a field's line: visible characters, spaces, tabs, and bytes beyond ASCII (a value's affair, not the framing's).
bool is_field_text(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return byte >= 0x20 ? byte != 0x7f : byte == '\t';
}

HttpError too_long_header(std::string message) {
  auto error = http_error(431, "bad_request", std::move(message));
  error.close = true;
  return error;
}

HttpError too_long_target(const Limits& limits) {
  auto error = http_error(414, "bad_request",
                          "the request target is longer than " + std::to_string(limits.target_bytes_max) + " bytes");
  error.close = true;
  return error;
}

std::optional<HttpError> check_version(std::string_view version, unsigned& out) {
  const auto digit = [](char character) { return character >= '0' && character <= '9'; };
  if (version.size() != 8 || !version.starts_with("HTTP/") || !digit(version[5]) || version[6] != '.' ||
      !digit(version[7])) {
    return broken_request("the request line does not end in \"HTTP/1.1\"");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    auto error = http_error(505, "unsupported", "this is an HTTP/1.1 server");
    error.close = true;
    return error;
  }
  out = version[7] == '1' ? 11 : 10;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Method method) noexcept { return method_names[static_cast<std::size_t>(method)]; }

std::optional<HttpError> read_request_line(std::string_view line, const Limits& limits, RequestLine& out) {
  const auto method_end = line.find(' ');
  const auto method = line.substr(0, method_end);
  if (method.empty() || !std::ranges::all_of(method, is_token))
    return broken_request("the request line begins with no method");
  if (method_end == std::string_view::npos) return broken_request("the request line has no target");
  const auto rest = line.substr(method_end + 1);
  const auto target_end = rest.find(' ');
  if (target_end == std::string_view::npos) return broken_request("the request line has no HTTP version");
  if (auto wrong = check_version(rest.substr(target_end + 1), out.version)) return wrong;
  const auto known = std::ranges::find(method_names, method);
  if (known == method_names.end()) {
    auto error = http_error(501, "unsupported", "no such method here; methods are written in capitals");
    error.close = true;
    return error;
  }
  out.method = static_cast<Method>(known - method_names.begin());
  out.target = rest.substr(0, target_end);
  if (out.target.size() > limits.target_bytes_max) return too_long_target(limits);
  if (out.target.empty()) return broken_request("the request target is empty");
  const auto visible = [](char character) { return character > 0x20 && character < 0x7f; };
  if (!std::ranges::all_of(out.target, visible)) {
    return broken_request("the request target holds a byte that has to be percent-encoded");
  }
  return std::nullopt;
}

HeaderScanner::State HeaderScanner::refuse(HttpError error) {
  error_ = std::move(error);
  error_.close = true;
  return State::refused;
}

/// A line without its CRLF.
std::optional<HttpError> HeaderScanner::check_line(std::string_view line, const Limits& limits) {
  if (lines_ == 0) {
    RequestLine ignored;
    return read_request_line(line, limits, ignored);
  }
  if (line.front() == ' ' || line.front() == '\t') return broken_request("a header field goes on in a second line");
  if (line.size() > limits.header_line_bytes_max) {
    return too_long_header("a header field is longer than " + std::to_string(limits.header_line_bytes_max) + " bytes");
  }
  if (lines_ > limits.header_count_max) {
    return too_long_header("the request has more than " + std::to_string(limits.header_count_max) + " header fields");
  }
  if (!std::ranges::all_of(line, is_field_text)) return broken_request("a header field holds a control character");
  const auto name = line.substr(0, line.find(':'));
  if (name.size() == line.size()) return broken_request("a header line has no colon");
  if (name.empty() || !std::ranges::all_of(name, is_token)) return broken_request("a header field's name is no token");
  return std::nullopt;
}

HeaderScanner::State HeaderScanner::unfinished_line(std::size_t size, const Limits& limits) {
  constexpr std::size_t method_and_version = 24;
  if (lines_ == 0 && size > limits.target_bytes_max + method_and_version) return refuse(too_long_target(limits));
  if (lines_ > 0 && size > limits.header_line_bytes_max + 2) {
    return refuse(
        too_long_header("a header field is longer than " + std::to_string(limits.header_line_bytes_max) + " bytes"));
  }
  return State::more;
}

HeaderScanner::State HeaderScanner::feed(std::string_view bytes, const Limits& limits) {
  constexpr char tls_handshake = 0x16;
  if (position_ == 0 && !bytes.empty()) {
    if (bytes.front() == tls_handshake) return State::not_http;
    if (bytes.starts_with("\r\n")) {
      begin_ = position_ = searched_ = 2;  // RFC 9112 2.2: one empty line before a request is overlooked
    } else if (bytes != "\r" && !is_token(bytes.front())) {
      return refuse(broken_request("this is no HTTP request"));
    }
  }
  while (true) {
    const auto line_feed = bytes.find('\n', searched_);
    searched_ = bytes.size();
    const auto size = std::min(line_feed, bytes.size()) - begin_;
    if (size > limits.header_bytes_max + (lines_ == 0 ? limits.target_bytes_max : 0)) {
      return refuse(too_long_header("the header is longer than " + std::to_string(limits.header_bytes_max) + " bytes"));
    }
    if (line_feed == std::string_view::npos) return unfinished_line(bytes.size() - position_, limits);
    if (line_feed == position_ || bytes[line_feed - 1] != '\r') return refuse(broken_request("a line ends without CR"));
    const auto line = bytes.substr(position_, line_feed - 1 - position_);
    position_ = searched_ = line_feed + 1;
    if (line.empty()) {
      if (lines_ == 0) return refuse(broken_request("the request line is empty"));
      return State::complete;
    }
    if (auto wrong = check_line(line, limits)) return refuse(std::move(*wrong));
    ++lines_;
  }
}

}  // namespace troupe::http
