#pragma once

#include <cstdint>
#include <string>

#include "storage/checkpoints.hpp"
#include "storage/file_system.hpp"

/// What a path of a data directory is: told by its name, and where the name says nothing, by its first bytes.
namespace troupe::cli {

enum class PathKind {
  segment,
  index,
  state,
  commit_log_file,
  manifest,
  checkpoint,  ///< recovery points, log start offsets, high watermarks, leader epochs, owner
  partition_directory,
  data_directory,
  other_directory,
  unknown,
};

inline constexpr auto owner_magic = static_cast<std::uint32_t>(storage::CheckpointMagic::owner);

/// The path to open for what somebody typed: links followed, no slash at the end.
/// Errors: not_found, storage_error (it cannot be looked at; the sentence says why).
Result<std::string> resolve(const std::string& path);

/// Errors: storage_error.
Result<PathKind> kind_of(storage::FileSystem& files, const std::string& path);

/// Entries sorted by name.
Result<std::vector<storage::DirectoryEntry>> list_sorted(storage::FileSystem& files, const std::string& path);

/// The whole file. Errors: message_too_large (above `bytes_max`), not_found, storage_error.
Result<ByteBuffer> read_whole(storage::FileSystem& files, const std::string& path, std::uint64_t bytes_max);

}  // namespace troupe::cli
