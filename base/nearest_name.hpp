#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace troupe {

/// The name among `known` that `wrong` was probably meant to be: the fewest letters added, dropped, changed or swapped, at most a third
/// of its length; nullopt when none is near.
std::optional<std::string_view> nearest_name(std::string_view wrong, std::span<const std::string_view> known);

}  // namespace troupe
