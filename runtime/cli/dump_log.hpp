#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/record/record_batch.hpp"
#include "runtime/cli/output.hpp"
#include "runtime/cli/read_only_file_system.hpp"

namespace troupe::cli {

struct DumpOptions {
  std::vector<std::string> paths;
  bool records = false;
  bool json = false;
  std::optional<Offset> from;  ///< first offset to print
  std::optional<Offset> to;    ///< the first one not to print
};

/// `troupe debug dump-log`: prints what files of a log hold. Exit code 1 when a place of one is damaged.
int dump_log(const DumpOptions& options);

/// One run of it: what the printers of the single files share.
struct Dump {
  const DumpOptions& options;
  Output out;
  ReadOnlyFileSystem files;
  std::size_t damaged_places = 0;

  explicit Dump(const DumpOptions& dump_options) : options(dump_options), out(dump_options.json) {}

  /// A line above what a file holds.
  void title(const std::string& kind, const std::string& path, const std::string& rest);
  /// A place that cannot be read. `fields` come behind type and file in the JSON object.
  void damaged(const std::string& path, const std::string& text, Json fields);
  bool wanted(Offset first, Offset last) const;
};

Status dump_segment(Dump& dump, const std::string& path);
Status dump_index(Dump& dump, const std::string& path);
Status dump_state(Dump& dump, const std::string& path);
Status dump_commit_log_file(Dump& dump, const std::string& path);
Status dump_manifest(Dump& dump, const std::string& path);
Status dump_checkpoint(Dump& dump, const std::string& path);

/// One batch of a segment or commit log.
void dump_batch(Dump& dump, const std::string& path, std::uint64_t position, const record::RecordBatchView& batch);
/// The names of the columns that dump_batch prints; nothing in JSON.
void dump_batch_columns(Dump& dump);

}  // namespace troupe::cli
