#include <zlib.h>

#include "core/record/codecs.hpp"

namespace troupe::record {
namespace {

constexpr auto codec = CompressionCodec::gzip;
constexpr int gzip_window_bits = 15 + 16;  // zlib's way to ask for a gzip header and trailer

/// Both kinds of stream are kept for the life of the thread: setting one up costs more than a small batch.
struct Deflater {
  z_stream stream{};
  bool ready = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK;

  Deflater() = default;
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater() { deflateEnd(&stream); }
};

struct Inflater {
  z_stream stream{};
  bool ready = inflateInit2(&stream, gzip_window_bits) == Z_OK;

  Inflater() = default;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

void set_input(z_stream& stream, ByteView input) {
  // zlib does not write through next_in; its prototype lacks the const.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
}

void set_output(z_stream& stream, MutableByteView output) {
  stream.next_out = reinterpret_cast<Bytef*>(output.data());
  stream.avail_out = static_cast<uInt>(output.size());
}

/// Inflates the member at the front of the stream's input.
Status inflate_member(z_stream& stream, InflateBuffer& output, std::size_t packed_bytes, const InflateLimits& limits) {
  if (inflateReset(&stream) != Z_OK) return codec_failed(codec, "inflateReset");
  for (;;) {
    const auto room = output.room();
    set_output(stream, room);
    const int outcome = inflate(&stream, Z_NO_FLUSH);
    output.wrote(room.size() - stream.avail_out);
    if (output.over_limit()) return codec_over_limit(codec, packed_bytes, limits);
    if (outcome == Z_STREAM_END) return ok();
    if (outcome == Z_BUF_ERROR) return codec_corrupt(codec, "the input ends inside a member");
    if (outcome != Z_OK) return codec_corrupt(codec, stream.msg != nullptr ? stream.msg : "not a member");
  }
}

}  // namespace

Result<ByteBuffer> compress_gzip(ByteView plain) {
  static thread_local Deflater deflater;
  auto& stream = deflater.stream;
  if (!deflater.ready || deflateReset(&stream) != Z_OK) return codec_failed(codec, "no memory for a stream");
  ByteBuffer packed(deflateBound(&stream, static_cast<uLong>(plain.size())));
  set_input(stream, plain);
  set_output(stream, packed);
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return codec_failed(codec, "deflate");
  packed.resize(packed.size() - stream.avail_out);
  return packed;
}

Result<ByteBuffer> decompress_gzip(ByteView packed, const InflateLimits& limits) {
  static thread_local Inflater inflater;
  if (!inflater.ready) return codec_failed(codec, "no memory for a stream");
  InflateBuffer output(packed.size(), limits);
  set_input(inflater.stream, packed);
  // RFC 1952: a file is one member after another; whatever follows the last one has to be a member too.
  do {
    TROUPE_TRY(inflate_member(inflater.stream, output, packed.size(), limits));
  } while (inflater.stream.avail_in != 0);
  return std::move(output).take();
}

}  // namespace troupe::record
