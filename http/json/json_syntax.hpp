#pragma once

#include <cstddef>
#include <string_view>

namespace troupe::http {

/// Whether `text` is UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

/// Whether all of `text` is one JSON value (RFC 8259) in UTF-8, nested at most 64 deep. Numbers may be of any size: nobody computes with
/// them here. Linear, without recursion and memory of its own.
bool is_json(std::string_view text) noexcept;

}  // namespace troupe::http
