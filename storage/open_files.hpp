#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "storage/file_system.hpp"
#include "storage/segment_index.hpp"

namespace troupe::storage {

/// Keeps recently used files open, at most `files_max`, so that 10,000 partitions need no 10,000 descriptors. A file that fell out
/// is closed when its last user lets go of it. Safe to share between threads.
///
/// A writer keeps a file with unsynced bytes itself: the kernel may forget a write-back error of a file that nobody holds open.
class OpenFiles {
 public:
  /// `barrier`: of the file system that holds all these files.
  OpenFiles(FileSystem& file_system, std::unique_ptr<SyncBarrier> barrier, std::size_t files_max)
      : file_system_(file_system), barrier_(std::move(barrier)), files_max_(files_max) {}

  FileSystem& file_system() const { return file_system_; }

  /// The file at `path`, opened with `mode` unless it is open already. Errors: as FileSystem::open.
  Result<std::shared_ptr<File>> get(const std::string& path, OpenMode mode = OpenMode::read_write);

  /// Lets go of `path` (it was renamed, removed or must be opened anew).
  void forget(const std::string& path);
  /// The same for all files below `directory`: after it was renamed or removed, not before, for a reader may open one in between.
  void forget_below(const std::string& directory);

  std::size_t size() const;

  /// Keeps the indexes of the closed segments that were last looked into; the others are read again when they are needed.
  void keep_index(std::shared_ptr<const SegmentIndex> index);

  /// Everything written to the file system that holds these files is on stable storage on return, and every write-back error
  /// since the last call shows, in files that were closed meanwhile, too. Errors: storage_error.
  /// Once failed, it fails for ever: an error is told once, and nobody knows whose bytes it was about (S2).
  Status sync_file_system();
  /// Why it failed; nullopt while it has not.
  const std::optional<Error>& barrier_failure() const { return barrier_failure_; }

 private:
  struct Entry {
    std::shared_ptr<File> file;
    std::list<std::string>::iterator use;
  };

  static constexpr std::size_t indexes_kept = 16;  ///< of some megabytes each, at most

  FileSystem& file_system_;
  const std::unique_ptr<SyncBarrier> barrier_;
  const std::size_t files_max_;
  std::optional<Error> barrier_failure_;  ///< of the writing thread
  mutable std::mutex mutex_;
  std::list<std::string> uses_;  ///< most recent first
  std::unordered_map<std::string, Entry> entries_;
  std::array<std::shared_ptr<const SegmentIndex>, indexes_kept> indexes_;
  std::size_t next_index_ = 0;
};

}  // namespace troupe::storage
