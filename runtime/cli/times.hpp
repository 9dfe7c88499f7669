#pragma once

#include <string>

namespace troupe::cli {

/// A time as the node reads it: a date or a time without zone is in UTC.
inline std::string whole_time(const std::string& text) {
  if (text.find_first_not_of("0123456789-:T") != std::string::npos || text.find('-') == std::string::npos) return text;
  if (text.size() == 10) return text + "T00:00:00Z";
  if (text.size() == 16) return text + ":00Z";
  if (text.size() == 19) return text + "Z";
  return text;
}

}  // namespace troupe::cli
