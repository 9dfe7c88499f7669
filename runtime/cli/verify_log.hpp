#pragma once

#include <string>
#include <vector>

namespace troupe::cli {

struct VerifyOptions {
  std::vector<std::string> paths;
  bool json = false;
};

/// `troupe debug verify-log`: checks every byte of logs against everything else that speaks of it. Changes nothing and takes no
/// lock. Exit code 0: nothing was found.
int verify_log(const VerifyOptions& options);

}  // namespace troupe::cli
