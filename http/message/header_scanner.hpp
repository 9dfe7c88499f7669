#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "http/message/http_error.hpp"
#include "http/limits.hpp"

namespace troupe::http {

/// The methods that are served. Names are case-sensitive.
enum class Method : unsigned char { get, head, post, put, patch, delete_, options };
std::string_view to_string(Method method) noexcept;

/// A request line, checked.
struct RequestLine {
  Method method = Method::get;
  std::string_view target = {};
  unsigned version = 11;  ///< 10 or 11
};

/// Reads a request line without its CRLF. Refuses with 400, 501 (no such method), 505 (another version), 414.
std::optional<HttpError> read_request_line(std::string_view line, const Limits& limits, RequestLine& out);

/// Finds the end of a request's header while its bytes come, and refuses at the first line that cannot be one: a client that sends
/// something else hears of it at once, not at a deadline.
///
///   [CRLF] request-line CRLF *( field CRLF ) CRLF
///
/// Looks at lines only: bare LF, folded lines, bytes that are no text, sizes. Fields are read afterwards, by Beast (request_head.hpp).
class HeaderScanner {
 public:
  enum class State { more, complete, refused, not_http };

  /// `bytes`: all that came of this request so far; each call repeats what the one before had.
  /// not_http: bytes of another protocol (TLS), nothing to answer.
  State feed(std::string_view bytes, const Limits& limits);

  /// Of `complete`: where the request line begins, and the size of all of it with the empty line at its end.
  std::size_t begin() const { return begin_; }
  std::size_t end() const { return position_; }
  /// Of `refused`.
  const HttpError& error() const { return error_; }

 private:
  State refuse(HttpError error);
  State unfinished_line(std::size_t size, const Limits& limits);
  std::optional<HttpError> check_line(std::string_view line, const Limits& limits);

  std::size_t begin_ = 0;
  std::size_t position_ = 0;  ///< of the line that has not ended yet
  std::size_t searched_ = 0;
  std::size_t lines_ = 0;
  HttpError error_;
};

}  // namespace troupe::http
