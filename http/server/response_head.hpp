#pragma once

#include <string>
#include <string_view>

#include "http/router/call.hpp"

namespace troupe::http {

/// What the connection adds to a response.
struct ResponseContext {
  unsigned version = 11;
  bool close = false;
  bool without_body = false;             ///< of a HEAD
  std::string_view allowed_origin = {};  ///< a listed origin that asked; empty: none
  std::string_view date = {};            ///< IMF-fixdate
};

/// Appends status line and fields, with the empty line behind them.
void append_response_head(std::string& out, const Response& response, const ResponseContext& context);

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(std::int64_t seconds_since_1970);

}  // namespace troupe::http
