#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "runtime/config/schema.hpp"
#include "runtime/config/value_text.hpp"

/// What a value has to be beyond its kind and range, and what two settings have to be to each other.
namespace troupe::runtime {

/// A name or address without port. Errors: invalid_config.
Status check_host_name(std::string_view text);
/// SCHEME://HOST[:PORT] and nothing behind. Errors: invalid_config.
Status check_origin(std::string_view text);

/// ADDRESS:PORT. Errors: invalid_config.
Status check_listen_address(std::string_view text);
/// HOST:PORT with a port above 0. Errors: invalid_config.
Status check_host_port(std::string_view text);
/// ID@HOST:PORT. Errors: invalid_config.
Status check_voter(std::string_view text);
/// Letters, digits, '.', '_', '-'; at most 64. Errors: invalid_config.
Status check_rack(std::string_view text);

/// Where another node is. An IPv6 address stands without its brackets here.
struct HostPort {
  std::string host = {};
  std::uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};
/// nullopt: no name or address, no port from 1 to 65535.
std::optional<HostPort> parse_host_port(std::string_view text);

struct Voter {
  std::int32_t id = 0;
  HostPort at = {};
};
/// nullopt: not of the form, or an id below 1.
std::optional<Voter> parse_voter(std::string_view text);

/// "127.0.0.1:8080", "[::1]:0", "localhost:80" (which becomes 127.0.0.1). nullopt: no IP address, or no port from 0 to 65535.
std::optional<Endpoint> parse_endpoint(std::string_view text);
std::string format_endpoint(const Endpoint& endpoint);

/// Settings that are right one by one and wrong together, one sentence each; empty: none.
std::vector<std::string> broken_relations(const NodeConfig& config);

}  // namespace troupe::runtime
