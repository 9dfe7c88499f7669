#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message/http_error.hpp"
#include "http/limits.hpp"
#include "http/message/header_scanner.hpp"

namespace troupe::http {

struct HeaderField {
  std::string_view name;
  std::string_view value;  ///< without spaces around it
};

/// A request's line and fields: views into the bytes that were parsed.
struct RequestHead {
  Method method = Method::get;
  unsigned version = 11;
  std::string_view target = {};
  std::vector<HeaderField> fields = {};

  /// The first field of that name, in whatever case; nullopt without one.
  std::optional<std::string_view> field(std::string_view name) const;
};

/// Parses a header that HeaderScanner found complete: Beast reads the fields.
std::optional<HttpError> parse_request_head(std::string_view bytes, const Limits& limits, RequestHead& out);

}  // namespace troupe::http
