#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace troupe::http {

/// Whether `text` is UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

/// Whether all of `text` is one JSON value (RFC 8259) in UTF-8, nested at most 64 deep. Numbers may be of any size: nobody computes with
/// them here. Linear, without recursion and memory of its own.
bool is_json(std::string_view text) noexcept;

/// A member of an object: its name without quotes but with its escapes, and its value as it stands there.
struct JsonMember {
  std::string_view name;
  std::string_view value;
};
/// The members of `object`, which has been found to be JSON; empty when it is no object.
std::vector<JsonMember> json_members(std::string_view object);

/// Cuts a text into its top-level objects, arrays and words, as they follow one another with white space between. Looks at brackets and
/// strings only: each piece is still to be checked.
std::vector<std::string_view> split_json(std::string_view text);

}  // namespace troupe::http
