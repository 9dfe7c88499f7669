#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

struct ConsumeOptions {
  NodeOptions node = {};
  std::string topic = {};
  std::string offset = "start";  ///< start, end, +n, -n, N, @time
  std::optional<std::string> cursor = {};
  std::optional<std::int64_t> count = {};
  std::optional<std::string> key = {};
  std::string format = "%v\\n";
  bool exit_at_end = false;
};

/// Prints records as they come, from all partitions, until `count`, the end or an interruption. Returns the exit code.
int consume(const ConsumeOptions& options);

}  // namespace troupe::cli
