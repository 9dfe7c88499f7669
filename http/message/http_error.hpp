#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/error.hpp"

/// What an HTTP client is told when it does not get what it asked for.
namespace troupe::http {

struct HttpError {
  unsigned status = 400;
  int number = 400;                           ///< `error_code`
  std::string_view code = "bad_request";      ///< the word; of static storage
  std::string message = {};                   ///< one sentence
  std::optional<Millis> retry_after_ms = {};  ///< Retry-After, rounded up to seconds
  bool close = false;                         ///< the connection cannot go on: what follows on it is not to be read
  std::string allow = {};                     ///< of 405
};

/// 400; the connection goes on.
HttpError bad_request(std::string message);
/// 400, and the end of the connection: nobody knows where the next request begins.
HttpError broken_request(std::string message);
HttpError http_error(unsigned status, std::string_view code, std::string message);
/// By the one table of error_mapping.hpp.
HttpError http_error(const Error& error);
/// 404 40402.
HttpError unknown_partition(std::string message);

/// `text` for a message: at most 200 bytes, what is not printable ASCII as \xNN. A client's own input comes back only through this.
std::string shown(std::string_view text);

/// {"error_code":40401,"message":"...","code":"unknown_topic"}; `code` only when `with_code` (/v1).
std::string error_body(const HttpError& error, bool with_code);

}  // namespace troupe::http
