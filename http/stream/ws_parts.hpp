#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace troupe::http {

/// {"code":"unknown_topic","num":40401,"msg":"Topic not found.","retry":false}
void append_error(std::string& out, const Error& error);
void append_error(std::string& out, std::string_view code, int number, std::string_view message, bool retry,
                  std::optional<Millis> after_ms);

}  // namespace troupe::http
