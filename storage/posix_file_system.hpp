#pragma once

#include "storage/file_system.hpp"

namespace troupe::storage {

/// The operating system's files. Stateless: one instance serves all threads.
///
/// The program must ignore SIGXFSZ (`signal(SIGXFSZ, SIG_IGN)` in main): a write beyond RLIMIT_FSIZE is storage_full then, and the
/// end of the process otherwise. A library does not change how signals are handled, so this one leaves it to the program.
class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Status create_directories(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path, const std::string& content) override;
  Result<std::unique_ptr<SyncBarrier>> open_barrier(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
};

}  // namespace troupe::storage
