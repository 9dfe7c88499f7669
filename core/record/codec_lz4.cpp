#include <memory>
#include <string>

#include <lz4frame.h>

#include "core/record/codecs.hpp"

namespace troupe::record {
namespace {

constexpr auto codec = CompressionCodec::lz4;

struct FreeContext {
  void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
};
using Context = std::unique_ptr<LZ4F_dctx, FreeContext>;

Context make_context() {
  LZ4F_dctx* context = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) != 0U) return nullptr;
  return Context{context};
}

/// Whether the frame's header announces blocks above 256 KiB. The library then buys buffers of twice that size.
bool has_big_blocks(ByteView packed) {
  constexpr std::size_t descriptor = 5;  // after magic and flags; bits 4 to 6: 4 is 64 KiB, each next one four times that
  return packed.size() > descriptor && ((std::to_integer<unsigned>(packed[descriptor]) >> 4) & 7U) > LZ4F_max256KB;
}

Status inflate_frame(LZ4F_dctx* context, ByteView packed, InflateBuffer& output, const InflateLimits& limits) {
  auto rest = packed;
  std::size_t hint = 1;
  while (hint != 0) {
    const auto room = output.room();
    auto written = room.size();
    auto read = rest.size();
    hint = LZ4F_decompress(context, room.data(), &written, rest.data(), &read, nullptr);
    if (LZ4F_isError(hint) != 0U) return codec_corrupt(codec, LZ4F_getErrorName(hint));
    rest = rest.subspan(read);
    output.wrote(written);
    if (output.over_limit()) return codec_over_limit(codec, packed.size(), limits);
    if (hint != 0 && read == 0 && written == 0) return codec_corrupt(codec, "the input ends inside the frame");
  }
  if (!rest.empty()) return codec_corrupt(codec, std::to_string(rest.size()) + " bytes left over after the frame");
  return ok();
}

}  // namespace

Result<ByteBuffer> compress_lz4(ByteView plain) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;  // the Java client reads no other
  ByteBuffer packed(LZ4F_compressFrameBound(plain.size(), &preferences));
  const auto size = LZ4F_compressFrame(packed.data(), packed.size(), plain.data(), plain.size(), &preferences);
  if (LZ4F_isError(size) != 0U) return codec_failed(codec, LZ4F_getErrorName(size));
  packed.resize(size);
  return packed;
}

Result<ByteBuffer> decompress_lz4(ByteView packed, const InflateLimits& limits) {
  static thread_local Context kept;
  // A context keeps its buffers. Those for big blocks, up to 8 MiB, are not to stay with every thread for good.
  auto context = has_big_blocks(packed) ? make_context() : kept != nullptr ? std::move(kept) : make_context();
  if (context == nullptr) return codec_failed(codec, "no memory for a context");
  LZ4F_resetDecompressionContext(context.get());
  InflateBuffer output(packed.size(), limits);
  TROUPE_TRY(inflate_frame(context.get(), packed, output, limits));
  // Only after success: in 1.9.4 a reset leaves what was missing from an aborted frame's content size behind, and the next
  // frame without one, a good one, would be found too short.
  if (!has_big_blocks(packed)) kept = std::move(context);
  return std::move(output).take();
}

}  // namespace troupe::record
