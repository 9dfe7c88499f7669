#pragma once

#include <vector>

#include "core/processing/processor.hpp"

namespace troupe {

/// A whole main(): runs one node with these processors until SIGTERM or SIGINT, as `troupe serve` does: the same flags, environment,
/// configuration file and gateway. Returns the exit code: 0 after a graceful stop, 1 when it could not start or had to give up (also:
/// a processor whose definition makes no sense), 2 for wrong usage or configuration.
///
///   int main(int argc, char** argv) { return troupe::run_node(argc, argv, {my_processor()}); }
int run_node(int argc, char** argv, std::vector<processing::ProcessorSpec> processors);

}  // namespace troupe
