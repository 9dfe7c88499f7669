#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

struct ProduceOptions {
  NodeOptions node = {};
  std::string topic = {};
  std::optional<std::string> key = {};
  std::optional<std::string> key_delimiter = {};
  std::vector<std::string> headers = {};  ///< "name=value"
  std::optional<std::int32_t> partition = {};
  std::string acks = "quorum";
  std::string file = "-";
  bool tombstone = false;
};

/// One record a line, sent in batches; a batch goes out as soon as no line waits. Returns the exit code.
int produce(const ProduceOptions& options);

}  // namespace troupe::cli
