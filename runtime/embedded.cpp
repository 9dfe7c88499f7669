#include "runtime/embedded.hpp"

#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "runtime/cli/node_flags.hpp"
#include "runtime/node/serve.hpp"

namespace troupe {

int run_node(int argc, char** argv, std::vector<processing::ProcessorSpec> processors) {
  constexpr int exit_failed = 1;
  constexpr int exit_usage = 2;
  try {
    CLI::App app{"A Troupe node with processors of its own"};
    cli::NodeFlags flags;
    flags.add_to(app);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : exit_usage;  // 0: --help
    }
    return runtime::serve(runtime::load_config(flags.sources()), TROUPE_VERSION, std::move(processors));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "troupe: %s\n", error.what());
    return exit_failed;
  }
}

}  // namespace troupe
