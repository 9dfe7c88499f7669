#include "runtime/cli/node_options.hpp"

#include <CLI/CLI.hpp>

namespace troupe::cli {

void add_node_options(CLI::App& command, NodeOptions& node) {
  command
      .add_option("--url", node.url,
                  "Where the node is, or several of them, with commas; else TROUPE_URL, else http://127.0.0.1:8080")
      ->type_name("URL");
  command.add_option("--timeout", node.timeout, "How long to wait for an answer; 30s by default")->type_name("DURATION");
  command.add_flag("--json", node.json, "JSON: one document, or one object a line for records");
}

}  // namespace troupe::cli
