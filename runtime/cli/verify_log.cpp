#include "runtime/cli/verify_log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/cli/log_paths.hpp"
#include "runtime/cli/verify_partition.hpp"
#include "storage/checkpoints.hpp"
#include "storage/manifest.hpp"
#include "storage/paths.hpp"

namespace troupe::cli {
namespace {

using Offsets = std::unordered_map<TopicIdPartition, Offset>;

/// Whether a process holds the lock of a data directory. Asks for a shared lock and gives it back at once.
bool node_running(const std::string& data_directory) {
  const int lock = ::open((data_directory + "/lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (lock < 0) return false;
  const bool held = ::flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(lock);
  return held;
}

std::optional<TopicIdPartition> partition_of(const std::string& topic, const std::string& number) {
  const auto topic_id = Uuid::parse(topic);
  if (!topic_id || number.empty() || number.size() > 9 ||
      !std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return TopicIdPartition{*topic_id, PartitionId{std::stoi(number)}};
}

/// What a data directory says about its partitions, besides the partitions themselves.
class DataDirectoryVerification {
 public:
  DataDirectoryVerification(ReadOnlyFileSystem& files, std::string path, Report& report)
      : files_(files), path_(std::move(path)), report_(report), running_(node_running(path_)) {}

  /// `quiet`: for a single partition of it, of which only what concerns every partition is reported.
  Status read(bool quiet) {
    if (running_) {
      report_.note(path_,
                   "a node is running here: its newest bytes may change while they are read, and a torn tail is no finding");
    }
    if (!quiet) TROUPE_TRY(check_owner());
    // Before the segments: they only grow beyond what these say.
    TROUPE_TRY(read_offsets("recovery-points", storage::CheckpointMagic::recovery_points, recovery_points_, quiet));
    TROUPE_TRY(read_offsets("log-start-offsets", storage::CheckpointMagic::log_start_offsets, log_starts_, quiet));
    Offsets high_watermarks;
    TROUPE_TRY(read_offsets("high-watermarks", storage::CheckpointMagic::high_watermarks, high_watermarks, quiet));
    TROUPE_TRY(read_manifest(quiet));
    TROUPE_TRY_ASSIGN(commit_log_, read_commit_log(files_, path_, running_, report_));
    return ok();
  }

  Status verify_one(const TopicIdPartition& id, const std::string& directory) {
    PartitionToVerify partition{.directory = directory, .in_data_directory = true, .running = running_, .expectation = {}};
    auto& expected = partition.expectation;
    const auto known = [&](const Offsets& offsets) {
      const auto found = offsets.find(id);
      return found == offsets.end() ? Offset{0} : found->second;
    };
    expected.recovery_point = known(recovery_points_);
    expected.log_start_offset = known(log_starts_);
    expected.was_written = std::ranges::binary_search(written_, id);
    if (const auto found = commit_log_.partitions.find(id); found != commit_log_.partitions.end()) {
      if (found->second.reset_to) {
        report_.note(directory, "a reset to offset " + to_string(*found->second.reset_to) +
                                    " was under way: the next start empties this log, so nothing here counts");
        return ok();
      }
      partition.committed = &found->second;
      add_commit_log(expected, found->second);
    }
    expected.durable_end = std::max(expected.durable_end, expected.recovery_point);
    return verify_partition(files_, partition, report_);
  }

  Status verify_all() {
    std::vector<TopicIdPartition> found;
    auto topics = list_sorted(files_, path_ + "/partitions");
    if (!topics && topics.error().code != Errc::not_found) return std::move(topics).error();
    if (topics) {
      for (const auto& topic : *topics) TROUPE_TRY(verify_topic(topic, found));
    }
    for (const auto& id : written_) {
      if (std::ranges::find(found, id) != found.end()) continue;
      const auto recovery_point = recovery_points_.find(id);
      if (recovery_point == recovery_points_.end() || recovery_point->second == Offset{0}) continue;
      report_.finding({.file = path_ + "/partitions/" + to_string(id),
                       .reason = "the directory is missing, but everything below offset " +
                                 to_string(recovery_point->second) + " was on disk",
                       .means = "the log is lost here; it takes no appends",
                       .action = "restore it from a copy, or reset the log: docs/recovery.md"});
    }
    note_quarantine();
    return ok();
  }

 private:
  Status verify_topic(const storage::DirectoryEntry& topic, std::vector<TopicIdPartition>& found) {
    const auto topic_path = path_ + "/partitions/" + topic.name;
    if (topic.type != storage::EntryType::directory || !Uuid::parse(topic.name)) {
      report_.note(topic_path, "not ours; every start leaves it alone");
      return ok();
    }
    TROUPE_TRY_ASSIGN(const auto partitions, list_sorted(files_, topic_path));
    for (const auto& entry : partitions) {
      const auto directory = topic_path + "/" + entry.name;
      const auto id = partition_of(topic.name, entry.name);
      if (!id || entry.type != storage::EntryType::directory) {
        report_.note(directory, "not ours; every start leaves it alone");
        continue;
      }
      found.push_back(*id);
      if (std::ranges::binary_search(removed_, *id)) {
        report_.note(directory, "was deleted; the next start removes what is left");
        continue;
      }
      if (!std::ranges::binary_search(written_, *id)) {
        report_.finding({.file = path_ + "/manifest",
                         .reason = "it does not know partition " + to_string(*id) + ", which has a directory",
                         .means = "the manifest lost a record, or the directory was put there by hand",
                         .action = "nothing: the next start takes the partition into the manifest"});
      }
      if (auto verified = verify_one(*id, directory); !verified) {
        report_.finding({.file = directory,
                         .reason = verified.error().message,
                         .means = "it was not checked to its end",
                         .action = "repair what the sentence names, then verify again"});
      }
    }
    return ok();
  }

  Status check_owner() {
    const auto owner = storage::read_checkpoint(files_, path_ + "/owner", owner_magic);
    if (!owner && owner.error().code != Errc::corrupt_message) return owner.error();
    constexpr std::size_t owner_bytes = 36;
    if (owner && *owner && (*owner)->size() == owner_bytes) return ok();
    report_.finding({.file = path_ + "/owner",
                     .reason = !owner   ? owner.error().message
                               : *owner ? "it has not 36 bytes of payload"
                                        : "it is missing",
                     .means = owner && !*owner ? "a node started here would take the directory for its own"
                                               : "nobody knows whose directory this is, so no node starts here",
                     .action = "restore the file from a copy"});
    return ok();
  }

  Status read_offsets(const char* name, storage::CheckpointMagic magic, Offsets& into, bool quiet) {
    const auto path = path_ + "/" + name;
    auto offsets = storage::read_offsets(files_, path, magic);
    if (offsets) {
      if (*offsets) into.insert((*offsets)->begin(), (*offsets)->end());
      return ok();
    }
    if (offsets.error().code != Errc::corrupt_message) return std::move(offsets).error();
    if (!quiet) {
      report_.finding(
          {.file = path,
           .reason = offsets.error().message,
           .means = "it is derived: the next start scans all segments, and cannot tell damage from a torn tail by it",
           .action = "nothing: it is written anew"});
    }
    return ok();
  }

  Status read_manifest(bool quiet) {
    const auto path = path_ + "/manifest";
    TROUPE_TRY_ASSIGN(const bool there, files_.exists(path));
    TROUPE_TRY_ASSIGN(const auto manifest, storage::Manifest::open(files_, path));
    written_ = manifest.with(storage::Manifest::State::written);
    removed_ = manifest.with(storage::Manifest::State::removed);
    if (quiet || (there && !manifest.damaged())) return ok();
    report_.finding({.file = path,
                     .reason = there ? "records in its middle cannot be read" : "it is missing",
                     .means = "a partition that was deleted may come back, one whose directory is gone may not be missed",
                     .action = "nothing: the next start completes it from the directories"});
    return ok();
  }

  void note_quarantine() {
    const auto entries = list_sorted(files_, path_ + "/quarantine");
    if (!entries || entries->empty()) return;
    report_.note(path_ + "/quarantine",
                 std::to_string(entries->size()) + (entries->size() == 1 ? " entry" : " entries") +
                     " put aside by earlier starts; not checked, never deleted by a node: docs/recovery.md");
  }

  ReadOnlyFileSystem& files_;
  const std::string path_;
  Report& report_;
  const bool running_;
  Offsets recovery_points_;
  Offsets log_starts_;
  std::vector<TopicIdPartition> written_;
  std::vector<TopicIdPartition> removed_;
  CommitLogSummary commit_log_;
};

/// A partition directory given by itself still lies in a data directory, as a rule, which knows what was promised.
Status verify_single(ReadOnlyFileSystem& files, const std::string& path, Report& report) {
  const auto topic = storage::parent_path(path);
  const auto partitions = storage::parent_path(topic);
  const auto data = storage::parent_path(partitions);
  const auto id = partition_of(std::string(storage::file_name(topic)), std::string(storage::file_name(path)));
  if (id && storage::file_name(partitions) == "partitions") {
    TROUPE_TRY_ASSIGN(const bool owned, files.exists(data + "/manifest"));
    if (owned) {
      DataDirectoryVerification directory{files, data, report};
      TROUPE_TRY(directory.read(true));
      return directory.verify_one(*id, path);
    }
  }
  report.note(path,
              "not inside of a data directory: recovery points and commit log, which say what was promised, are unknown");
  return verify_partition(files, {.directory = path, .expectation = {}}, report);
}

int verify_path(ReadOnlyFileSystem& files, const std::string& given, Report& report) {
  const auto path = resolve(given);
  if (!path) return complain(path.error());
  const auto kind = kind_of(files, *path);
  if (!kind) return complain(kind.error());
  Status verified;
  if (*kind == PathKind::partition_directory) {
    verified = verify_single(files, *path, report);
  } else if (*kind == PathKind::data_directory) {
    DataDirectoryVerification directory{files, *path, report};
    verified = directory.read(false);
    if (verified) verified = directory.verify_all();
  } else if (*kind == PathKind::other_directory) {
    return complain(
        *path + ": neither a data directory (it has no owner and no manifest) nor a partition directory (it has no segment)",
        exit_usage);
  } else {
    return complain(*path + " is a file: verify-log takes a partition directory or a data directory; dump-log shows a file",
                    exit_usage);
  }
  return verified ? exit_ok : complain(verified.error());
}

}  // namespace

int verify_log(const VerifyOptions& options) {
  Output out{options.json};
  Report report{out};
  ReadOnlyFileSystem files;
  int exit_code = exit_ok;
  for (const auto& path : options.paths) {
    if (const auto code = verify_path(files, path, report); code != exit_ok) exit_code = code;
  }
  if (exit_code == exit_ok || report.partitions > 0) report.summary();
  if (!out.finish()) return exit_failed;
  return exit_code != exit_ok ? exit_code : report.findings() > 0 ? exit_failed : exit_ok;
}

}  // namespace troupe::cli
