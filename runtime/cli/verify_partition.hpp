#pragma once

#include "runtime/cli/commit_log_summary.hpp"
#include "runtime/cli/read_only_file_system.hpp"

namespace troupe::cli {

/// A partition directory and what is known about it from outside.
struct PartitionToVerify {
  std::string directory;
  bool in_data_directory = false;  ///< otherwise nothing is known: `expectation` is empty
  bool running = false;            ///< a node may be appending
  storage::LogExpectation expectation;
  const CommittedSummary* committed = nullptr;
};

/// Checks segments, indexes and states of one partition, and the segments against recovery point, log start and commit log.
/// Memory: one batch, one segment's index, the producers. Errors: storage_error (the directory cannot be read).
Status verify_partition(ReadOnlyFileSystem& files, const PartitionToVerify& partition, Report& report);

}  // namespace troupe::cli
