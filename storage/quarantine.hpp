#pragma once

#include <cstdint>
#include <string>

#include "storage/file_system.hpp"

namespace troupe::storage {

/// Bytes whose owner or meaning is unknown are moved aside, never deleted (S10). Names get a number where they are taken.

/// Copies [from, to) of `file` to a new file in `directory`. Durable on return.
Status quarantine_bytes(FileSystem& file_system, const File& file, std::uint64_t from, std::uint64_t to,
                        const std::string& directory, const std::string& name);

/// Moves a file or directory into `directory`, on the same file system. Durable on return.
Status quarantine_path(FileSystem& file_system, const std::string& path, const std::string& directory,
                       const std::string& name);

}  // namespace troupe::storage
