#pragma once

namespace troupe::cli {

/// The command line: reads the arguments, runs one command, returns the process's exit code.
int run(int argc, char** argv);

}  // namespace troupe::cli
