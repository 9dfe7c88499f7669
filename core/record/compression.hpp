#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace troupe::record {

/// How the records of a batch are compressed. Part of the format (attributes, bits 0 to 2): never renumber.
enum class CompressionCodec : std::uint8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };

/// "none", "gzip", "snappy", "lz4", "zstd"
std::string_view to_string(CompressionCodec codec) noexcept;

/// What an inflated block may grow to: a 33 KB zstd frame can hold a gigabyte of zeros.
struct InflateLimits {
  std::size_t bytes_max = std::size_t{16} << 20;        ///< inflated size, in bytes
  std::size_t ratio_max = 200;                          ///< inflated : compressed, looked at above `ratio_free_bytes`
  std::size_t ratio_free_bytes = std::size_t{1} << 20;  ///< inflated size up to which any ratio will do
};

/// Compresses `plain`. gzip: one RFC 1952 member; snappy: xerial framing, which every client reads; lz4: one LZ4 frame of
/// independent 64 KiB blocks; zstd: one frame. `none` copies.
/// Errors: invalid_argument (unknown codec), unknown_error (the library failed).
Result<ByteBuffer> compress(CompressionCodec codec, ByteView plain);

/// Inflates `packed`, which must be used up. Reads what clients write: several gzip members, snappy in xerial framing or as one
/// raw block (told apart by the magic), LZ4 frames with any flags, zstd frames with or without content size.
/// Stops at the limits before it allocates beyond them.
/// Errors: corrupt_message (bytes that are not of this codec, or bytes left over), message_too_large (a limit),
/// unsupported_compression_type.
Result<ByteBuffer> decompress(CompressionCodec codec, ByteView packed, const InflateLimits& limits);

}  // namespace troupe::record
