#include "storage/data_directory.hpp"

#include <algorithm>

#include "storage/paths.hpp"
#include "storage/quarantine.hpp"

/// How partitions leave a data directory, and come back. The rest of the class is in data_directory.cpp.
namespace troupe::storage {

/// What is left of it in memory, and would be written down with the next checkpoint.
void DataDirectory::forget(const TopicIdPartition& id) {
  std::erase(dirty_, id);
  std::erase(turn_, id);
  entries_.erase(id);
  failed_.erase(id);
  recovery_points_.erase(id);
  log_starts_.erase(id);
  high_watermarks_.erase(id);
  if (cleaned_.erase(id) > 0) cleaned_changed_ = true;
}

Status DataDirectory::remove(const TopicIdPartition& id, Removal removal) {
  TROUPE_TRY(manifest_.note(id, Manifest::State::removed));
  TROUPE_TRY(manifest_.sync());
  vacated_.erase(id);
  std::erase(dirty_, id);
  std::erase(turn_, id);
  if (const auto found = entries_.find(id); found != entries_.end()) {
    TROUPE_TRY(found->second.log->remove_files());
    entries_.erase(found);
    // Not empty while views still hold files of it: the next start removes it then.
    (void)file_system_.remove(location(id).directory);
  } else {
    TROUPE_TRY_ASSIGN(const bool there, file_system_.exists(location(id).directory));
    if (there) TROUPE_TRY(remove_tree(file_system_, location(id).directory));
  }
  files_->forget_below(location(id).directory);
  forget(id);
  if (removal == Removal::for_now) vacated_.insert(id);
  return ok();
}

Status DataDirectory::quarantine(const TopicIdPartition& id) {
  TROUPE_TRY_ASSIGN(auto* log, this->log(id, LogConfig{}));
  if (log->health().can_append()) TROUPE_TRY(log->close());
  std::erase(dirty_, id);
  std::erase(turn_, id);
  entries_.erase(id);
  failed_.erase(id);
  const auto where = location(id);
  TROUPE_TRY_ASSIGN(const bool there, file_system_.exists(where.directory));
  if (there) {
    TROUPE_TRY(quarantine_path(file_system_, where.directory, path("quarantine"), std::string(file_name(where.quarantine))));
  }
  // Noted only now: a crash before leaves the partition where it was.
  TROUPE_TRY(manifest_.note(id, Manifest::State::removed));
  return manifest_.sync();
}

Result<std::string> DataDirectory::set_aside(const TopicIdPartition& id) {
  TROUPE_TRY(usable());
  const auto directory = location(id).directory;
  const auto newest = location(id).quarantine + ".set-aside";
  const auto older = newest + ".before";
  if (const auto found = entries_.find(id); found != entries_.end()) found->second.log->let_go();
  // Whether or not what follows succeeds: nothing is promised of it any more, and nothing is put into it.
  forget(id);
  TROUPE_TRY_ASSIGN(const bool there, file_system_.exists(directory));
  if (there) {
    TROUPE_TRY(create_directories_durably(file_system_, path("quarantine")));
    TROUPE_TRY_ASSIGN(const bool one_before, file_system_.exists(newest));
    if (one_before) {
      TROUPE_TRY_ASSIGN(const bool two_before, file_system_.exists(older));
      if (two_before) TROUPE_TRY(remove_tree(file_system_, older));
      TROUPE_TRY(file_system_.rename(newest, older));
    }
    TROUPE_TRY(file_system_.rename(directory, newest));
    // Whatever is open there, by recovery or a reader, is no file of the log that begins anew.
    files_->forget_below(directory);
    TROUPE_TRY(file_system_.sync_directory(path("quarantine")));
    TROUPE_TRY(file_system_.sync_directory(parent_path(directory)));
  }
  TROUPE_TRY(manifest_.note(id, Manifest::State::removed));
  TROUPE_TRY(manifest_.sync());
  vacated_.insert(id);
  return there ? newest : std::string{};
}

/// Empty, as it was before its first append ever; but the commit log may still speak of what it held.
Result<PartitionLog*> DataDirectory::bring_back(const TopicIdPartition& id, const LogConfig& config) {
  TROUPE_TRY(usable());
  TROUPE_TRY_ASSIGN(auto* entry, open_log(id, config, nullptr));
  auto begun = begin_anew(id, *entry, Offset{0});
  if (!begun) {
    // Refused until it succeeds: an append before would be lost with the next recovery.
    forget(id);
    (void)manifest_.note(id, Manifest::State::removed);
    return std::move(begun).error();
  }
  vacated_.erase(id);
  return entries_.at(id).log.get();
}

}  // namespace troupe::storage
