#include <algorithm>
#include <memory>

#include <zstd.h>
#include <zstd_errors.h>

#include "core/record/codecs.hpp"

namespace troupe::record {
namespace {

constexpr auto codec = CompressionCodec::zstd;
constexpr int level = 3;  // the library's default, and the one of Kafka's clients

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

/// Steps over all frames without inflating any: what is not a whole frame is refused before it costs memory. Frames of
/// the formats before 1.0 are refused too, which the library would hand to decoders long out of care.
Status check_frames(ByteView packed) {
  if (packed.empty()) return codec_corrupt(codec, "no frame");
  while (!packed.empty()) {
    const auto size = ZSTD_findFrameCompressedSize(packed.data(), packed.size());
    if (ZSTD_isError(size) != 0U) return codec_corrupt(codec, ZSTD_getErrorName(size));
    const auto magic = std::to_integer<std::uint32_t>(packed[0]) | std::to_integer<std::uint32_t>(packed[1]) << 8 |
                       std::to_integer<std::uint32_t>(packed[2]) << 16 | std::to_integer<std::uint32_t>(packed[3]) << 24;
    if (magic != ZSTD_MAGICNUMBER && (magic & ZSTD_MAGIC_SKIPPABLE_MASK) != ZSTD_MAGIC_SKIPPABLE_START) {
      return codec_corrupt(codec, "a frame of a format before 1.0");
    }
    packed = packed.subspan(size);
  }
  return ok();
}

/// How large the first attempt's output is: what most records need, or the declared size when that is less.
std::size_t first_guess(ByteView packed) {
  constexpr std::size_t bytes_min = 64 * 1024;
  const auto guess = std::max(bytes_min, packed.size() * 8);
  const auto declared = ZSTD_getFrameContentSize(packed.data(), packed.size());  // "unknown" is larger than any size
  return static_cast<std::size_t>(std::min<unsigned long long>(declared, guess));
}

}  // namespace

Result<ByteBuffer> compress_zstd(ByteView plain) {
  static thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context{ZSTD_createCCtx()};
  if (context == nullptr) return codec_failed(codec, "no memory for a context");
  ByteBuffer packed(ZSTD_compressBound(plain.size()));
  const auto size = ZSTD_compressCCtx(context.get(), packed.data(), packed.size(), plain.data(), plain.size(), level);
  if (ZSTD_isError(size) != 0U) return codec_failed(codec, ZSTD_getErrorName(size));
  packed.resize(size);
  return packed;
}

/// Inflates all at once and starts again with four times the room when it runs out, rather than as a stream: a stream
/// needs a window of its own as large as the frame declares, up to 128 MiB for a frame of some bytes. Here the output is
/// the window, so nothing is allocated but output; records seldom need the second attempt.
Result<ByteBuffer> decompress_zstd(ByteView packed, const InflateLimits& limits) {
  static thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context{ZSTD_createDCtx()};
  if (context == nullptr) return codec_failed(codec, "no memory for a context");
  TROUPE_TRY(check_frames(packed));
  const auto bytes_max = inflated_bytes_max(packed.size(), limits);
  for (auto room = std::min(bytes_max, first_guess(packed));;
       room = std::min(bytes_max, std::max<std::size_t>(room, 1024) * 4)) {
    ByteBuffer plain(room);
    const auto size = ZSTD_decompressDCtx(context.get(), plain.data(), plain.size(), packed.data(), packed.size());
    if (ZSTD_isError(size) == 0U) {
      plain.resize(size);
      return plain;
    }
    if (ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall) return codec_corrupt(codec, ZSTD_getErrorName(size));
    if (room == bytes_max) return codec_over_limit(codec, packed.size(), limits);
  }
}

}  // namespace troupe::record
