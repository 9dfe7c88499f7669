#pragma once

#include <string_view>

#include "base/result.hpp"

namespace troupe::link {

/// What the configuration has for mutual TLS between nodes: paths, empty when not given.
struct TlsFiles {
  std::string_view certificate = {};
  std::string_view key = {};
  std::string_view ca = {};
};

/// Whether a listener for other nodes may be opened at `address`, an IP address. CAF's wire has no authentication: so it listens on
/// loopback, or takes only those who have a certificate of the cluster's own authority. Two of three files are refused anywhere.
/// Errors: invalid_config, with the way out.
Status check_listener(std::string_view address, const TlsFiles& tls);

/// 127.0.0.0/8 and ::1, also as ::ffff:127.x.x.x. What is no IP address is not.
bool is_loopback(std::string_view address);

}  // namespace troupe::link
