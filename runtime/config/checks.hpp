#pragma once

#include <optional>
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

/// "127.0.0.1:8080", "[::1]:0", "localhost:80" (which becomes 127.0.0.1). nullopt: no IP address, or no port from 0 to 65535.
std::optional<Endpoint> parse_endpoint(std::string_view text);
std::string format_endpoint(const Endpoint& endpoint);

/// Settings that are right one by one and wrong together, one sentence each; empty: none.
std::vector<std::string> broken_relations(const NodeConfig& config);

}  // namespace troupe::runtime
