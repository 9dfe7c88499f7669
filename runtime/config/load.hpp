#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/config/schema.hpp"

namespace troupe::runtime {

/// Where settings come from, weakest first: defaults, file, environment, flags.
struct ConfigSources {
  struct Flag {
    std::string spelling = {};  ///< as it was written, for messages: "--http" or "--set"
    std::string name = {};      ///< of the setting; need not exist
    std::string value = {};
  };
  std::optional<std::string> file = {};
  std::vector<std::pair<std::string, std::string>> environment =
      {};                        ///< all of it; names not beginning with TROUPE_ are passed over
  std::vector<Flag> flags = {};  ///< the last one of a name wins
};

struct LoadedConfig {
  struct Origin {
    const Setting* setting = nullptr;
    std::string source = {};  ///< "default", "troupe.toml:3", "TROUPE_NODE__ID", "--http"
  };
  NodeConfig config = {};                  ///< of use only without problems
  std::vector<Origin> origins = {};        ///< one a setting, in the order of `settings()`
  std::vector<std::string> problems = {};  ///< one sentence each: nothing may start
  std::vector<std::string> warnings = {};  ///< one sentence each: environment variables that mean nothing
};

/// Reads all sources and holds the outcome against the relations between settings.
LoadedConfig load_config(const ConfigSources& sources);

/// The environment of this process.
std::vector<std::pair<std::string, std::string>> process_environment();

}  // namespace troupe::runtime
