#include "runtime/cli/commit_log_summary.hpp"

#include <algorithm>

#include "runtime/cli/log_paths.hpp"
#include "storage/commit_log_format.hpp"
#include "storage/segment.hpp"

namespace troupe::cli {
namespace {

namespace format = storage::commit_log_format;

constexpr std::uint64_t commit_file_bytes_max = std::uint64_t{2} << 30;

void apply(CommittedSummary& summary, const format::DecodedEntry& entry) {
  const auto offset = entry.batch.base_offset;
  auto& batches = summary.batches;
  if (entry.kind == format::EntryKind::reset_done) {
    summary.reset_to.reset();
    return;
  }
  if (entry.kind == format::EntryKind::reset) {
    batches.clear();
    summary.reset_to = offset;
  }
  while (!batches.empty() && batches.back().base_offset >= offset) batches.pop_back();
  if (entry.kind != format::EntryKind::batch) {
    summary.lowest_cut = std::min(summary.lowest_cut, offset);
    return;
  }
  if (const auto header = record::parse_batch_header(entry.batch.batch)) {
    // What stands before a hole is of no use to a recovery, which goes on from the segments' end.
    if (!batches.empty() && batches.back().next_offset != offset) batches.clear();
    batches.push_back({offset, header->next_offset(), header->crc});
  }
}

}  // namespace

Result<CommitLogSummary> read_commit_log(storage::FileSystem& files, const std::string& data_directory, bool running,
                                         Report& report) {
  CommitLogSummary summary;
  const auto directory = data_directory + "/commit";
  auto entries = list_sorted(files, directory);
  if (!entries && entries.error().code == Errc::not_found) return summary;
  if (!entries) return std::move(entries).error();
  std::optional<std::uint64_t> last_turn;
  for (const auto& entry : *entries) {
    const auto number = storage::parse_segment_file_name(entry.name, format::commit_extension);
    if (!number) continue;
    const auto path = directory + "/" + entry.name;
    auto content = read_whole(files, path, commit_file_bytes_max);
    if (!content && content.error().code == Errc::not_found && running) continue;
    if (!content) return std::move(content).error();
    format::TurnReader reader{static_cast<std::uint64_t>(number->value()), Bytes::adopt(std::move(*content)), last_turn};
    while (const auto turn = reader.next()) {
      for (const auto& turn_entry : turn->entries) apply(summary.partitions[turn_entry.id], turn_entry);
      last_turn = turn->number;
      ++summary.turns;
    }
    if (!reader.damage()) continue;
    if (running) {
      report.note(path, *reader.damage() + "; the running node may have written it anew meanwhile");
      continue;
    }
    report.finding({.file = path,
                    .reason = *reader.damage(),
                    .means = "acknowledged batches of those turns are lost where no segment holds them",
                    .action = "start the node: it restores what can be read and keeps the files in quarantine/commit"});
  }
  return summary;
}

void add_commit_log(storage::LogExpectation& expectation, const CommittedSummary& summary) {
  expectation.recovery_point = std::min(expectation.recovery_point, summary.lowest_cut);
  if (summary.batches.empty()) return;
  expectation.commit_log_from = summary.batches.front().base_offset;
  expectation.durable_end = std::max(expectation.durable_end, summary.batches.back().next_offset);
}

}  // namespace troupe::cli
