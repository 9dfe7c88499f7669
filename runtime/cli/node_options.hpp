#pragma once

#include "runtime/cli/node_session.hpp"

namespace CLI {
class App;
}

namespace troupe::cli {

/// --url, --timeout and --json, which every command that speaks to a node has.
void add_node_options(CLI::App& command, NodeOptions& node);

/// The end of the help of such a command.
inline constexpr const char* node_exit_codes =
    "\nExit codes: 0 ok; 1 failed; 2 wrong usage; 3 not found; 4 exists already, or not in a state for that; 5 not allowed; "
    "6 no node answers, or not in time; 130 interrupted.";

}  // namespace troupe::cli
