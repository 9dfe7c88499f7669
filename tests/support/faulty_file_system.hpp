#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/file_system.hpp"
#include "tests/support/power_cut.hpp"

namespace troupe::test {

enum class OperationKind {
  open,
  read,
  write,
  sync,
  truncate,
  stat,  ///< size, exists, free_bytes
  list,
  create_directories,
  rename,
  remove,
  sync_directory,
  lock,
};

std::string to_string(OperationKind kind);

struct Operation {
  OperationKind kind;
  std::string path;   ///< of a rename: "<from> -> <to>"
  std::size_t index;  ///< from 1, over all operations of this disk
  bool succeeded;
  bool changes_disk;  ///< false: the disk is as it was after the operation before, another cut shows nothing new
};

/// An error that some later operation returns instead of its result.
struct Fault {
  OperationKind kind;
  std::string path_contains = {};  ///< empty: any path
  std::size_t nth = 1;             ///< the first matching operation from now on that fails
  int error = EIO;                 ///< an errno value; becomes an Error as in PosixFileSystem
  bool always = false;             ///< all matching operations from the nth on; otherwise only that one
  std::size_t bytes_written = 0;   ///< of a write: so many bytes arrive before the error
};

/// A disk in memory under a process that may be killed and a machine that may lose its power.
///
/// What survives a power cut (fault models F2, F3 and F6):
///   - what was synced, always;
///   - of each file's unsynced 4 KiB pages any subset; with `torn_sectors` any subset of their 512 B sectors;
///   - the size that was synced, or the end of the last surviving page, or the size the process last saw; what lies between
///     surviving pages reads as zeros, or as it was when last synced;
///   - a truncation or not; without it, nothing that made the file grow after it. The zeros that a truncation leaves in the
///     file's last page may survive without the new size, as they do on XFS and ext4;
///   - of each directory's unsynced changes (creations, renames, removals) a prefix, since real file systems journal them in
///     order. A rename between two directories survives in both or in neither, and is durable once one of them was synced;
///   - of a file that no surviving directory names: nothing, synced or not.
/// A sync that failed leaves its pages readable and clean, and not on the disk: later syncs succeed and do not write them (F6).
///
/// Symbolic links, modes and special files are not modelled; relative paths start at "/". All calls are safe from any thread;
/// hooks run after their operation, without the disk's lock.
class FaultyFileSystem final : public storage::FileSystem {
 public:
  FaultyFileSystem();
  FaultyFileSystem(FaultyFileSystem&&) noexcept;
  FaultyFileSystem& operator=(FaultyFileSystem&&) noexcept;
  ~FaultyFileSystem() override;

  Result<std::unique_ptr<storage::File>> open(const std::string& path, storage::OpenMode mode) override;
  /// In an order that is neither that of names nor that of creation.
  Result<std::vector<storage::DirectoryEntry>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Status create_directories(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::unique_ptr<storage::FileLock>> lock(const std::string& path, const std::string& content) override;
  /// Syncs all files and directories; a fault of kind `sync` on the barrier's path fails it, and with it every unsynced page.
  Result<std::unique_ptr<storage::SyncBarrier>> open_barrier(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

  // --- Errors on command

  void fail(Fault fault);
  void clear_faults();
  /// Space for file pages; rounded down to whole pages. Default: 1 TiB. A write beyond it stores what fits and returns
  /// storage_full. A removed file gives its space back at once.
  void set_capacity(std::uint64_t bytes);

  // --- Watching

  /// Called after every operation, also failed ones; replaces the hook before. An empty function ends it.
  void on_operation(std::function<void(const Operation&)> hook);
  std::size_t operation_count() const;
  std::size_t operation_count(OperationKind kind) const;

  // --- Death. Images carry over the capacity, but no faults, hooks, counts, handles or locks.

  /// kill -9 (F1): all handles return storage_error from now on, locks are released; nothing is lost.
  void process_kill();
  /// Another disk in the same state, unsynced state included, as a killed process would leave it.
  FaultyFileSystem clone() const;
  /// The disk after a power cut now. This one stays as it is.
  FaultyFileSystem power_cut(Choices& choices, const PowerCutOptions& options = {}) const;
  /// The kernel drops its clean pages: what a failed sync lost is now seen to be lost (how a log verifies what is on disk).
  void drop_caches();

  std::size_t unsynced_page_count() const;
  std::size_t unsynced_directory_change_count() const;
  std::size_t lost_page_count() const;
  /// Questions with two answers that `power_cut` asks at most: it has at most 2^units different images.
  std::size_t unsynced_unit_count(const PowerCutOptions& options = {}) const;

  // --- Bit rot and misdirected writes (F4): in the cache and on the disk, unnoticed. Errors: not_found, invalid_argument
  // (beyond the end of the file).

  Status flip_bit(const std::string& path, std::uint64_t position, unsigned bit);
  Status overwrite(const std::string& path, std::uint64_t position, ByteView bytes);

  // --- Looking, without an operation

  Result<ByteBuffer> content(const std::string& path) const;
  /// Paths of all files, sorted.
  std::vector<std::string> files() const;

 private:
  struct State;
  class OpenFile;
  class HeldLock;
  class Barrier;

  explicit FaultyFileSystem(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace troupe::test
