#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Parts of a JSON text as they were written, so that numbers of any length and the spelling of a value survive being looked at.
/// The text should be JSON; of other text some part is returned, or nothing.
namespace troupe::client {

/// The value of the first member with that name (written without escapes) of an object; nullopt: none, or no object.
std::optional<std::string_view> json_member(std::string_view object, std::string_view name);
/// The elements of an array; empty for anything else.
std::vector<std::string_view> json_elements(std::string_view array);
/// The same value without line breaks: inside strings there are none.
std::string on_one_line(std::string_view json);

}  // namespace troupe::client
