#pragma once

namespace CLI {
class App;
}

namespace troupe::cli {

/// `troupe cluster ...` and `troupe actor tree`. `exit_code` is set when one of them has run.
void add_cluster_commands(CLI::App& app, int& exit_code);

}  // namespace troupe::cli
