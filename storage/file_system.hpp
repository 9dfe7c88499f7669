#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

/// The only door to the disk. `PosixFileSystem` is the real one; tests/support/faulty_file_system.hpp is a model in memory
/// that loses what was not synced, tears writes, flips bits, fails and fills up on command.
namespace troupe::storage {

/// An open file. Positional reads may come from any thread; writes, truncate and sync from one thread at a time.
///
/// Errors of all calls name the file: storage_full (ENOSPC, EDQUOT, EFBIG), storage_error (anything else).
class File {
 public:
  virtual ~File() = default;

  /// Reads up to `out.size()` bytes at `position`; fewer only where the file ends. A failing disk is an error, never an end (S8).
  virtual Result<std::size_t> read_at(std::uint64_t position, MutableByteView out) const = 0;

  /// Writes `parts` one after another at `position`, all or an error; after an error the range may hold anything.
  /// In the page cache on return, not on the disk.
  virtual Status write_at(std::uint64_t position, std::span<const ByteView> parts) = 0;

  /// On stable storage on return: all bytes written, and the size (fdatasync). After an error the file must not be trusted
  /// again before it was closed and recovered: a later sync may succeed although bytes are lost (S2).
  virtual Status sync() = 0;

  /// Starts writing dirty pages back without waiting; makes a later `sync` shorter. Best effort.
  virtual void start_writeback() = 0;

  /// Forgets clean cached bytes, so that the next reads show what the disk holds and not what the cache promises: after a failed sync
  /// the two may differ (S2). Best effort.
  virtual void drop_cache() const = 0;

  /// Cuts or extends (with zeros) to `size` bytes. Durable after the next `sync`.
  virtual Status truncate(std::uint64_t size) = 0;

  virtual Result<std::uint64_t> size() const = 0;

  Status write_at(std::uint64_t position, ByteView bytes) { return write_at(position, std::span{&bytes, 1}); }
};

enum class OpenMode {
  read,              ///< must exist
  read_write,        ///< must exist
  create,            ///< created when missing; existing content is kept
  create_exclusive,  ///< must not exist
};

enum class EntryType { file, directory, other };

struct DirectoryEntry {
  std::string name;
  EntryType type;
};

/// Syncs a whole file system (syncfs). Learns of every write-back error since it was opened, in files that were closed meanwhile, too.
class SyncBarrier {
 public:
  virtual ~SyncBarrier() = default;
  /// Errors: storage_error.
  virtual Status sync() = 0;
};

/// Held as long as the object lives; released by the kernel when the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

/// Paths are absolute or relative to the process's directory, with '/'. Symbolic links are not followed in the last component
/// (opening one is an error).
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Errors: not_found, storage_full, storage_error (also for EMFILE, naming the limit), invalid_argument (a symbolic link, a
  /// directory, or `create_exclusive` on what exists).
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;

  /// Entries in no order, without "." and "..". Errors: not_found, storage_error.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;

  virtual Result<bool> exists(const std::string& path) = 0;

  /// Creates `path` and missing parents (mode 0700). Each new entry is durable after `sync_directory` of its parent.
  virtual Status create_directories(const std::string& path) = 0;

  /// Atomically; replaces `to`. Durable after `sync_directory` of the directories involved.
  virtual Status rename(const std::string& from, const std::string& to) = 0;

  /// Removes a file or an empty directory. Errors: not_found, storage_error.
  virtual Status remove(const std::string& path) = 0;

  /// Makes the entries of a directory durable: creations, renames, removals.
  virtual Status sync_directory(const std::string& path) = 0;

  /// Takes an exclusive lock on `path` (created when missing) and writes `content` into it, for the next one to read.
  /// Errors: wrong_owner (held by another process; the message carries the holder's content).
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path, const std::string& content) = 0;

  /// For the file system that holds `path`, an existing directory.
  virtual Result<std::unique_ptr<SyncBarrier>> open_barrier(const std::string& path) = 0;

  /// Bytes free for this process on the file system that holds `path`.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
};

}  // namespace troupe::storage
