#pragma once

#include <string>

#include "runtime/config/node_config.hpp"

namespace troupe::runtime {

/// Runs one node until it is told to stop by SIGTERM or SIGINT: within 2 s, and at once by a second one. Returns the exit code of the
/// process: 0 after a graceful stop, 1 when it could not start or had to give up; the reason is on standard error.
int serve(const NodeConfig& config, const std::string& version);

}  // namespace troupe::runtime
