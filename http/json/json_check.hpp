#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace troupe::http {

/// Whether [begin, begin + size) is one JSON document in UTF-8, numbers that a double or 64 bits hold included; nullopt, or what is
/// wrong with it and at which byte. `json_padding_bytes` behind it must be readable. simdjson's DOM: its on-demand reader skips
/// what nobody asks for without looking at it.
std::optional<std::string> check_json(const char* begin, std::size_t size);

}  // namespace troupe::http
