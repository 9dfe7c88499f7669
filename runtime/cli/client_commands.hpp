#pragma once

namespace CLI {
class App;
}

namespace troupe::cli {

/// The commands that speak to a node: `topic`, `produce`, `consume`, `group`, `cluster`, `actor`. `exit_code` is set when one of them has
/// run.
void add_client_commands(CLI::App& app, int& exit_code);

}  // namespace troupe::cli
