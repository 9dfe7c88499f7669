#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/config/load.hpp"

namespace CLI {
class App;
}

namespace troupe::cli {

/// How a command that configures a node is told to: --config, --set and the flags of the settings. Lives as long as the command.
class NodeFlags {
 public:
  void add_to(CLI::App& command);

  /// Everything that was given, this process's environment included. A setting's own flag is stronger than `--set`.
  runtime::ConfigSources sources() const;

 private:
  std::optional<std::string> file_ = {};
  std::vector<std::string> sets_ = {};
  std::vector<runtime::ConfigSources::Flag> flags_ = {};
};

}  // namespace troupe::cli
