#pragma once

namespace CLI {
class App;
}

namespace troupe::cli {

/// `troupe config check | default | describe`. `exit_code` is set when one of them has run.
void add_config_commands(CLI::App& app, int& exit_code);

/// `troupe serve`.
void add_serve_command(CLI::App& app, int& exit_code);

}  // namespace troupe::cli
