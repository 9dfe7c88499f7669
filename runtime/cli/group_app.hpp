#pragma once

namespace CLI {
class App;
}

namespace troupe::cli {

/// `troupe group ...`. `exit_code` is set when one of them has run.
void add_group_commands(CLI::App& app, int& exit_code);

}  // namespace troupe::cli
