#pragma once

#include <memory>
#include <string>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "runtime/cli/node_options.hpp"

namespace troupe::cli {

/// Adds the commands of one group, each with options of its own.
class CommandGroup {
 public:
  CommandGroup(CLI::App& parent, const char* name, const char* description, int& exit_code)
      : app_(*parent.add_subcommand(name, description)), exit_code_(exit_code) {
    app_.require_subcommand(1);
  }

  template <class Options>
  CLI::App* add(const char* name, const char* description, int (*run)(const Options&), const std::string& example,
                const std::shared_ptr<Options>& options) {
    auto* command = app_.add_subcommand(name, description);
    if constexpr (std::is_same_v<Options, NodeOptions>) {
      add_node_options(*command, *options);
    } else {
      add_node_options(*command, options->node);
    }
    command->footer("Example: troupe " + example + node_exit_codes);
    command->callback([options, run, &exit_code = exit_code_] { exit_code = run(*options); });
    return command;
  }
  CLI::App& app() { return app_; }

 private:
  CLI::App& app_;
  int& exit_code_;
};

}  // namespace troupe::cli
