#pragma once

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/ids.hpp"
#include "storage/file_system.hpp"

namespace troupe::storage {

/// Which partitions of a data directory have, or had, files. Tells a log that was never written (empty) from one that is lost (its
/// directory is gone), and a deletion that was decided from data without an owner. Append-only; docs/formats/manifest.md
class Manifest {
 public:
  enum class State : std::uint8_t { written = 1, removed = 2 };  ///< part of the format: never renumber

  /// Reads the manifest at `path`, or starts one. A torn last record is cut off; `damaged()` says whether records before it could
  /// not be read, so that the caller completes the manifest from what it finds on disk.
  /// Errors: storage_error, storage_full.
  static Result<Manifest> open(FileSystem& file_system, const std::string& path);

  std::optional<State> state(const TopicIdPartition& id) const;
  std::vector<TopicIdPartition> with(State state) const;
  bool damaged() const { return damaged_; }

  /// Notes a change: in memory and in the file, durable after `sync`. The same state again writes nothing.
  /// Errors: storage_full (nothing was noted), storage_error.
  Status note(const TopicIdPartition& id, State state);
  /// A removed partition whose files are gone may be forgotten at the next rewrite.
  void forget(const TopicIdPartition& id) { states_.erase(id); }

  bool dirty() const { return dirty_; }
  Status sync();
  /// Writes the file anew from what is in memory: drops what was forgotten, mends what was damaged. Durable on return.
  Status rewrite();

 private:
  Manifest(FileSystem& file_system, std::string path) : file_system_(&file_system), path_(std::move(path)) {}

  FileSystem* file_system_;
  std::string path_;
  std::unique_ptr<File> file_;
  std::uint64_t end_ = 0;
  std::unordered_map<TopicIdPartition, State> states_;
  bool damaged_ = false;
  bool dirty_ = false;
  bool sync_failed_ = false;
};

}  // namespace troupe::storage
