#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

struct ConsumeOptions {
  NodeOptions node = {};
  std::string topic = {};
  std::optional<std::string> group = {};   ///< reads as a member of it
  std::optional<std::string> offset = {};  ///< start (when there is none), end, +n, -n, N, @time
  std::optional<std::string> cursor = {};
  std::optional<std::int64_t> count = {};
  std::optional<std::string> key = {};
  std::optional<std::string> partitions = {};  ///< "0,3"
  std::string format = "%v\\n";
  bool exit_at_end = false;
};

/// Prints records as they come: from all partitions, until `count`, the end or an interruption. Returns the exit code.
int consume(const ConsumeOptions& options);

/// The same as a member of `group`: what is its share, acknowledged as it is printed.
int consume_group(const ConsumeOptions& options);

}  // namespace troupe::cli
