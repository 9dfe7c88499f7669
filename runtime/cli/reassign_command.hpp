#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

struct ReassignOptions {
  NodeOptions node = {};
  std::string topic = {};
  std::optional<std::int32_t> partition = {};
  std::vector<std::int32_t> replicas = {};
  std::string file = {};                   ///< a plan; "-": standard input
  bool cancel = false;                     ///< what is named, or all that is under way
  bool watch = false;                      ///< until it is done
  bool generate = false;                   ///< a plan, carried out by nobody
  std::vector<std::int32_t> brokers = {};  ///< of a plan; empty: all that are not drained
  std::vector<std::string> topics = {};    ///< of a plan; empty: all
};

/// `troupe cluster reassign`: replicas to other brokers. Without anything to do: what is under way. Returns the exit code.
int reassign(const ReassignOptions& options);

}  // namespace troupe::cli
