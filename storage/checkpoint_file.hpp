#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "storage/file_system.hpp"

/// A small file that is replaced as a whole, with a magic, a version, a length and a checksum: docs/formats/checkpoint.md.
namespace troupe::storage {

/// More than 500,000 partitions of a data directory; keeps a damaged length from asking for memory.
inline constexpr std::size_t checkpoint_payload_size_max = 16U << 20U;

/// Replaces the content of `path`: temporary file `path`.tmp, write, sync, rename, sync of the directory (S5). After a crash
/// at any point `path` holds the old payload or the new one. `magic` says what the payload is. One writer a path at a time.
///
/// Durable on return. After an error `path` holds the old payload or, when only the last sync failed, the new one; in both
/// cases writing again is right.
/// Errors: message_too_large (payload above checkpoint_payload_size_max), storage_full, storage_error, not_found (no such
/// directory).
Status write_checkpoint(FileSystem& files, const std::string& path, std::uint32_t magic, ByteView payload);

/// The payload that was written last; nullopt when there is no file.
/// Errors: corrupt_message (wrong magic, version, length or checksum), storage_error.
Result<std::optional<ByteBuffer>> read_checkpoint(FileSystem& files, const std::string& path, std::uint32_t magic);

}  // namespace troupe::storage
