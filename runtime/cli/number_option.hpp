#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include <CLI/CLI.hpp>

#include "runtime/config/value_text.hpp"

namespace troupe::cli {

/// For `check` of an option: a whole number of [min, max], or a sentence that says so.
inline CLI::Validator whole_number(std::int64_t min = 0, std::int64_t max = std::numeric_limits<std::int32_t>::max()) {
  return CLI::Validator(
      [min, max](std::string& text) -> std::string {
        std::int64_t number = 0;
        const auto* const end_of_text = text.data() + text.size();
        const auto [end, error] = std::from_chars(text.data(), end_of_text, number);
        if (error == std::errc{} && end == end_of_text && number >= min && number <= max) return {};
        const bool bounded = max <= std::numeric_limits<std::int32_t>::max();
        return "a whole number from " + std::to_string(min) + (bounded ? " to " + std::to_string(max) : " on") +
               " is wanted, not " + runtime::quote(text);
      },
      "");
}

}  // namespace troupe::cli
