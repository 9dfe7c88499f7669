#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::client {

/// Where a node's HTTP door is.
struct Url {
  std::string host = "127.0.0.1";  ///< an IPv6 address without its brackets
  std::uint16_t port = 8080;
  std::string prefix = {};  ///< before every path: "" or "/behind/a/proxy", without a slash at the end

  /// For the Host header and for people: "[::1]:8080".
  std::string authority() const;
  friend bool operator==(const Url&, const Url&) = default;
};

/// "http://HOST[:PORT][/PREFIX]", or "HOST:PORT". Without a port it is 80 behind "http://".
/// Errors: invalid_argument (https, a user name, a query, no host, a port out of its range).
Result<Url> parse_url(std::string_view text);

/// Several, with commas between them: nodes of one cluster. Errors: as parse_url.
Result<std::vector<Url>> parse_urls(std::string_view text);

/// `text` as one segment of a path or one value of a query.
std::string percent_encoded(std::string_view text);

}  // namespace troupe::client
