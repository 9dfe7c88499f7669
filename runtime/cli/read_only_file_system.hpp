#pragma once

#include "storage/posix_file_system.hpp"

namespace troupe::cli {

/// The operating system's files, opened for reading only. Changes are accepted and dropped, so that the code that recovers a
/// log can be asked what it would do: the answer is its own, and the disk stays as it is.
///
/// Between a change and the end of the run reads still show what is on disk: good for asking once, not for going on.
class ReadOnlyFileSystem final : public storage::FileSystem {
 public:
  Result<std::unique_ptr<storage::File>> open(const std::string& path, storage::OpenMode mode) override;
  Result<std::vector<storage::DirectoryEntry>> list(const std::string& path) override { return files_.list(path); }
  Result<bool> exists(const std::string& path) override { return files_.exists(path); }
  Status create_directories(const std::string&) override { return ok(); }
  Status rename(const std::string&, const std::string&) override { return ok(); }
  Status remove(const std::string&) override { return ok(); }
  Status sync_directory(const std::string&) override { return ok(); }
  /// Errors: invalid_argument, always: who only looks takes no lock.
  Result<std::unique_ptr<storage::FileLock>> lock(const std::string& path, const std::string& content) override;
  Result<std::unique_ptr<storage::SyncBarrier>> open_barrier(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override { return files_.free_bytes(path); }

 private:
  storage::PosixFileSystem files_;
};

}  // namespace troupe::cli
