#pragma once

#include <string>
#include <vector>

namespace troupe::test {

struct Ran {
  int exit_code;  ///< -1: a signal ended it
  std::string out;
  std::string err;
};

/// Runs `troupe` with these arguments to its end.
Ran run_troupe(std::vector<std::string> arguments);

/// The same, with a standard output that nobody reads.
Ran run_troupe_unread(std::vector<std::string> arguments);

}  // namespace troupe::test
