#include "storage/open_files.hpp"

#include <utility>
#include <vector>

namespace troupe::storage {

Result<std::shared_ptr<File>> OpenFiles::get(const std::string& path, OpenMode mode) {
  std::shared_ptr<File> evicted;  // closed after the lock is released
  const std::lock_guard lock{mutex_};
  if (const auto found = entries_.find(path); found != entries_.end()) {
    uses_.splice(uses_.begin(), uses_, found->second.use);
    return found->second.file;
  }
  TROUPE_TRY_ASSIGN(std::shared_ptr<File> file, file_system_.open(path, mode));
  uses_.push_front(path);
  entries_.emplace(path, Entry{file, uses_.begin()});
  if (entries_.size() > files_max_) {
    const auto oldest = entries_.find(uses_.back());
    evicted = std::move(oldest->second.file);
    entries_.erase(oldest);
    uses_.pop_back();
  }
  return file;
}

void OpenFiles::forget(const std::string& path) {
  std::shared_ptr<File> closed;
  const std::lock_guard lock{mutex_};
  const auto found = entries_.find(path);
  if (found == entries_.end()) return;
  closed = std::move(found->second.file);
  uses_.erase(found->second.use);
  entries_.erase(found);
}

void OpenFiles::forget_below(const std::string& directory) {
  const auto prefix = directory + "/";
  std::vector<std::shared_ptr<File>> closed;
  const std::lock_guard lock{mutex_};
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (!entry->first.starts_with(prefix)) {
      ++entry;
      continue;
    }
    closed.push_back(std::move(entry->second.file));
    uses_.erase(entry->second.use);
    entry = entries_.erase(entry);
  }
}

void OpenFiles::keep_index(std::shared_ptr<const SegmentIndex> index) {
  const std::lock_guard lock{mutex_};
  indexes_[next_index_++ % indexes_kept].swap(index);
}

Status OpenFiles::sync_file_system() {
  if (barrier_failure_) return *barrier_failure_;
  auto synced = barrier_->sync();
  if (!synced) barrier_failure_ = synced.error();
  return synced;
}

std::size_t OpenFiles::size() const {
  const std::lock_guard lock{mutex_};
  return entries_.size();
}

}  // namespace troupe::storage
