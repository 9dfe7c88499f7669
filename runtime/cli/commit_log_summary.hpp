#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/ids.hpp"
#include "runtime/cli/report.hpp"
#include "storage/log_recovery.hpp"

namespace troupe::cli {

/// A batch of the commit log, without its bytes.
struct CommittedBatch {
  Offset base_offset;
  Offset next_offset;
  std::uint32_t crc;
};

/// What the commit log says about one partition, small enough to be kept for all of them.
struct CommittedSummary {
  std::vector<CommittedBatch> batches;  ///< ascending; only the end that has no holes
  Offset lowest_cut = Offset::max();
  std::optional<Offset> reset_to;
};

struct CommitLogSummary {
  std::unordered_map<TopicIdPartition, CommittedSummary> partitions;
  std::size_t turns = 0;
};

/// Reads the commit log of a data directory, one file in memory at a time. Damage becomes findings; while a node is running
/// (`running`), whose newest turns change under us, notes.
Result<CommitLogSummary> read_commit_log(storage::FileSystem& files, const std::string& data_directory, bool running,
                                         Report& report);

/// Adds to `expectation` what the commit log knows, as the data directory does when it is opened.
void add_commit_log(storage::LogExpectation& expectation, const CommittedSummary& summary);

}  // namespace troupe::cli
