#pragma once

#include <cstddef>
#include <string_view>

#include "core/record/compression.hpp"

/// The codecs behind compression.hpp, one file each. Internal to core/record.
///
/// Callers guarantee: no more than `codec_bytes_max` bytes in, so that libraries which count in int can be handed
/// everything at once.
namespace troupe::record {

inline constexpr std::size_t codec_bytes_max = 0x7fffffff;

Result<ByteBuffer> compress_gzip(ByteView plain);
Result<ByteBuffer> compress_snappy(ByteView plain);
Result<ByteBuffer> compress_lz4(ByteView plain);
Result<ByteBuffer> compress_zstd(ByteView plain);

Result<ByteBuffer> decompress_gzip(ByteView packed, const InflateLimits& limits);
Result<ByteBuffer> decompress_snappy(ByteView packed, const InflateLimits& limits);
Result<ByteBuffer> decompress_lz4(ByteView packed, const InflateLimits& limits);
Result<ByteBuffer> decompress_zstd(ByteView packed, const InflateLimits& limits);

/// The most bytes that `packed_bytes` may inflate to: both limits in one number, known before the first byte is inflated.
std::size_t inflated_bytes_max(std::size_t packed_bytes, const InflateLimits& limits) noexcept;

Error codec_failed(CompressionCodec codec, std::string_view what);
Error codec_corrupt(CompressionCodec codec, std::string_view what);
Error codec_over_limit(CompressionCodec codec, std::size_t packed_bytes, const InflateLimits& limits);

/// Output of an inflater. Grows geometrically as it is filled, and never above the limit, whatever the input declares.
class InflateBuffer {
 public:
  InflateBuffer(std::size_t packed_bytes, const InflateLimits& limits);

  /// Where to write next: never empty. At the limit it is a single spare byte, so that an inflater which has only a
  /// trailer left can still finish.
  MutableByteView room();
  /// `size` bytes of `room` were written.
  void wrote(std::size_t size);
  /// Makes `room` at least `size` bytes, or returns false when that is over the limit.
  bool reserve(std::size_t size);

  /// Whether the spare byte was needed: there is more output than the limit allows.
  bool over_limit() const { return over_limit_; }
  ByteBuffer take() &&;

 private:
  void grow_to(std::size_t size);

  std::size_t bytes_max_;
  ByteBuffer buffer_;
  std::size_t used_ = 0;
  std::byte spare_{};
  bool over_limit_ = false;
};

}  // namespace troupe::record
