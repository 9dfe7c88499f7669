#include "runtime/cli/dump_log.hpp"

#include "runtime/cli/log_paths.hpp"
#include "storage/commit_log_format.hpp"

namespace troupe::cli {
namespace {

Status dump_path(Dump& dump, const std::string& path);

/// What a directory holds, in a stable order. One file that cannot be read does not hide the others.
Status dump_entries(Dump& dump, const std::string& path, bool partition) {
  TROUPE_TRY_ASSIGN(const auto entries, list_sorted(dump.files, path));
  for (const auto& entry : entries) {
    if (dump.out.closed()) break;
    const auto inner = path + "/" + entry.name;
    if (!partition && entry.name == "lock") continue;
    if (entry.type == storage::EntryType::directory) {
      if (auto done = dump_entries(dump, inner, partition); !done) dump.damaged(inner, done.error().message, {});
      continue;
    }
    auto kind = kind_of(dump.files, inner);
    if (kind && *kind == PathKind::unknown) {
      dump.title("unknown", inner, "left alone: not a file of ours");
      continue;
    }
    auto done = kind ? dump_path(dump, inner) : Status{std::move(kind).error()};
    if (!done) dump.damaged(inner, done.error().message, {});
  }
  return ok();
}

Status dump_path(Dump& dump, const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto kind, kind_of(dump.files, path));
  switch (kind) {
    case PathKind::segment: return dump_segment(dump, path);
    case PathKind::index: return dump_index(dump, path);
    case PathKind::state: return dump_state(dump, path);
    case PathKind::commit_log_file: return dump_commit_log_file(dump, path);
    case PathKind::manifest: return dump_manifest(dump, path);
    case PathKind::checkpoint: return dump_checkpoint(dump, path);
    case PathKind::partition_directory: return dump_entries(dump, path, true);
    case PathKind::data_directory: return dump_entries(dump, path, false);
    case PathKind::other_directory:
      return Error{Errc::invalid_argument, path +
                                               ": neither a data directory (it has no owner and no manifest) nor a "
                                               "partition directory (it has no segment)"};
    case PathKind::unknown: break;
  }
  return Error{Errc::invalid_argument, path + ": not a file of a log, as far as its name and its first bytes say"};
}

}  // namespace

void Dump::title(const std::string& kind, const std::string& path, const std::string& rest) {
  if (!out.json()) out.line(kind + " " + path + ": " + rest);
}

void Dump::damaged(const std::string& path, const std::string& text, Json fields) {
  ++damaged_places;
  if (!out.json()) {
    out.line("DAMAGED " + text);
    return;
  }
  Json object{{"type", "damage"}, {"file", path}};
  if (fields.is_object()) object.update(fields);
  object["reason"] = text;
  out.print(object);
}

bool Dump::wanted(Offset first, Offset last) const {
  return (!options.from || last >= *options.from) && (!options.to || first < *options.to);
}

int dump_log(const DumpOptions& options) {
  Dump dump{options};
  int exit_code = exit_ok;
  for (const auto& given : options.paths) {
    if (dump.out.closed()) break;
    const auto path = resolve(given);
    const auto done = path ? dump_path(dump, *path) : Status{path.error()};
    if (!done) exit_code = complain(done.error());
  }
  if (!dump.out.finish()) return exit_failed;
  if (dump.damaged_places > 0) {
    return complain(std::to_string(dump.damaged_places) + " damaged " + (dump.damaged_places == 1 ? "place" : "places") +
                    "; what it means for the log says: troupe debug verify-log");
  }
  return exit_code;
}

}  // namespace troupe::cli
