#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::http {

/// "host:8080", "[::1]:8080"
inline std::string authority_of(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  return (v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::to_string(port);
}

/// Whether somebody can go to this host: not one that stands for all addresses of a machine.
inline bool is_somewhere(std::string_view host) { return !host.empty() && host != "0.0.0.0" && host != "::"; }

}  // namespace troupe::http
