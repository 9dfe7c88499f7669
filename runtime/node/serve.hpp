#pragma once

#include <string>
#include <vector>

#include "core/processing/processor.hpp"
#include "runtime/config/load.hpp"

namespace troupe::runtime {

/// Runs one node, and the processors, until it is told to stop, by SIGTERM or SIGINT: within 2 s if the disk has synced all by then,
/// and at once by a second one.
/// `version` is for people. Returns the exit code of the process: 0 after a graceful stop, 1 when it could not start or had to give up,
/// 2 when the configuration has problems; the reasons are on standard error.
int serve(const LoadedConfig& loaded, const std::string& version, std::vector<processing::ProcessorSpec> processors = {});

}  // namespace troupe::runtime
