#include "core/record/compression.hpp"

#include <algorithm>
#include <string>

#include "base/bytes.hpp"
#include "core/record/codecs.hpp"

namespace troupe::record {

std::string_view to_string(CompressionCodec codec) noexcept {
  switch (codec) {
    case CompressionCodec::none: return "none";
    case CompressionCodec::gzip: return "gzip";
    case CompressionCodec::snappy: return "snappy";
    case CompressionCodec::lz4: return "lz4";
    case CompressionCodec::zstd: return "zstd";
  }
  return "unknown";
}

Result<ByteBuffer> compress(CompressionCodec codec, ByteView plain) {
  if (plain.size() > codec_bytes_max) {
    return Error{Errc::invalid_argument, "compress: got " + std::to_string(plain.size()) + " bytes, wanted at most " +
                                             std::to_string(codec_bytes_max)};
  }
  switch (codec) {
    case CompressionCodec::none: return ByteBuffer(plain.begin(), plain.end());
    case CompressionCodec::gzip: return compress_gzip(plain);
    case CompressionCodec::snappy: return compress_snappy(plain);
    case CompressionCodec::lz4: return compress_lz4(plain);
    case CompressionCodec::zstd: return compress_zstd(plain);
  }
  return Error{Errc::invalid_argument,
               "compress: codec: got " + std::to_string(static_cast<unsigned>(codec)) + ", wanted 0 to 4"};
}

Result<ByteBuffer> decompress(CompressionCodec codec, ByteView packed, const InflateLimits& limits) {
  if (packed.size() > codec_bytes_max) return codec_over_limit(codec, packed.size(), limits);
  switch (codec) {
    case CompressionCodec::none:
      if (packed.size() > inflated_bytes_max(packed.size(), limits)) {
        return codec_over_limit(codec, packed.size(), limits);
      }
      return ByteBuffer(packed.begin(), packed.end());
    case CompressionCodec::gzip: return decompress_gzip(packed, limits);
    case CompressionCodec::snappy: return decompress_snappy(packed, limits);
    case CompressionCodec::lz4: return decompress_lz4(packed, limits);
    case CompressionCodec::zstd: return decompress_zstd(packed, limits);
  }
  return Error{Errc::unsupported_compression_type,
               "codec: got " + std::to_string(static_cast<unsigned>(codec)) + ", wanted 0 to 4"};
}

std::size_t inflated_bytes_max(std::size_t packed_bytes, const InflateLimits& limits) noexcept {
  std::size_t by_ratio = 0;
  if (__builtin_mul_overflow(packed_bytes, limits.ratio_max, &by_ratio)) by_ratio = codec_bytes_max;
  return std::min({limits.bytes_max, std::max(by_ratio, limits.ratio_free_bytes), codec_bytes_max});
}

Error codec_failed(CompressionCodec codec, std::string_view what) {
  return {Errc::unknown_error, std::string(to_string(codec)) + ": " + std::string(what)};
}

Error codec_corrupt(CompressionCodec codec, std::string_view what) {
  return {Errc::corrupt_message, std::string(to_string(codec)) + ": " + std::string(what)};
}

Error codec_over_limit(CompressionCodec codec, std::size_t packed_bytes, const InflateLimits& limits) {
  return {Errc::message_too_large,
          std::string(to_string(codec)) + ": " + std::to_string(packed_bytes) + " bytes inflate to more than " +
              std::to_string(inflated_bytes_max(packed_bytes, limits)) + " (at most " + std::to_string(limits.bytes_max) +
              " bytes, and above " + std::to_string(limits.ratio_free_bytes) + " at most " +
              std::to_string(limits.ratio_max) + " for one)"};
}

InflateBuffer::InflateBuffer(std::size_t packed_bytes, const InflateLimits& limits)
    : bytes_max_(inflated_bytes_max(packed_bytes, limits)) {
  // Records shrink to a quarter or so: most batches need no second allocation.
  constexpr std::size_t bytes_min = 4096;
  grow_to(std::min(bytes_max_, std::max(bytes_min, packed_bytes * 4)));
}

MutableByteView InflateBuffer::room() {
  if (used_ == buffer_.size()) {
    if (used_ == bytes_max_) return {&spare_, 1};
    reserve(1);
  }
  return MutableByteView{buffer_}.subspan(used_);
}

void InflateBuffer::wrote(std::size_t size) {
  if (size > buffer_.size() - used_) {
    over_limit_ = true;
    return;
  }
  used_ += size;
}

bool InflateBuffer::reserve(std::size_t size) {
  if (size > bytes_max_ - used_) return false;
  const auto needed = used_ + size;
  if (needed <= buffer_.size()) return true;
  // Old and new buffer live side by side while growing, so the last step starts at half the limit or below.
  const auto doubled = std::max(needed, buffer_.size() * 2);
  grow_to(doubled > bytes_max_ / 2 ? bytes_max_ : doubled);
  return true;
}

ByteBuffer InflateBuffer::take() && {
  buffer_.resize(used_);
  return std::move(buffer_);
}

void InflateBuffer::grow_to(std::size_t size) {
  grow_capacity(buffer_, size);
  buffer_.resize(size);
}

}  // namespace troupe::record
