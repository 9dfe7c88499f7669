#include <cstddef>
#include <cstdint>
#include <limits>

#include <lz4frame.h>
#include <snappy.h>
#include <zstd.h>

#include "tests/support/catch.hpp"
#include "tests/unit/record/batch_fixture.hpp"
#include "tests/unit/record/heap_meter.hpp"

using namespace troupe;
using namespace troupe::record;
using namespace troupe::record::test;

namespace {

std::string code_of(const Result<ByteBuffer>& result) {
  return result ? "accepted" : std::string(to_string(result.error().code));
}

std::string text_of(const Result<ByteBuffer>& result) {
  return result ? std::string(as_text(*result)) : to_string(result.error());
}

ByteBuffer joined(ByteView a, ByteView b) {
  auto both = copy_of(a);
  append_bytes(both, b);
  return both;
}

ByteBuffer snappy_block(ByteView plain) {
  std::string packed;
  snappy::Compress(reinterpret_cast<const char*>(plain.data()), plain.size(), &packed);
  return copy_of(as_bytes(packed));
}

ByteBuffer lz4_frame(ByteView plain, const LZ4F_preferences_t& preferences) {
  ByteBuffer packed(LZ4F_compressFrameBound(plain.size(), &preferences));
  packed.resize(LZ4F_compressFrame(packed.data(), packed.size(), plain.data(), plain.size(), &preferences));
  return packed;
}

/// The front of a frame that claims to hold `content_bytes`.
ByteBuffer lz4_header(std::size_t content_bytes) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.contentSize = content_bytes;
  LZ4F_cctx* context = nullptr;
  LZ4F_createCompressionContext(&context, LZ4F_VERSION);
  ByteBuffer header(LZ4F_HEADER_SIZE_MAX);
  header.resize(LZ4F_compressBegin(context, header.data(), header.size(), &preferences));
  LZ4F_freeCompressionContext(context);
  return header;
}

/// A frame as a stream writes it: without content size, with the window given.
ByteBuffer zstd_stream(ByteView plain, int window_log) {
  auto* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ByteBuffer packed(ZSTD_compressBound(plain.size()) + 64);
  ZSTD_outBuffer output{packed.data(), packed.size(), 0};
  for (const auto half : {plain.first(plain.size() / 2), plain.subspan(plain.size() / 2)}) {
    ZSTD_inBuffer input{half.data(), half.size(), 0};
    ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush);
  }
  ZSTD_inBuffer nothing{nullptr, 0, 0};
  ZSTD_compressStream2(context, &output, &nothing, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  packed.resize(output.pos);
  return packed;
}

}  // namespace

TEST_CASE("every codec gives back what it was given", "[record]") {
  const auto seed = seed_or(20'232);
  CAPTURE(seed);
  Prng prng(seed);
  for (const auto codec : all_codecs) {
    for (const std::size_t size : {0, 1, 100, 32 * 1024, 64 * 1024 + 1, 300'000}) {
      for (const bool dense : {false, true}) {
        CAPTURE(to_string(codec), size, dense);
        auto plain = dense ? noise(size, prng.next()) : zeros(size);
        const auto packed = compress(codec, plain).value();
        CHECK(text_of(decompress(codec, packed, {.ratio_max = 100'000})) == as_text(plain));
      }
    }
  }
}

TEST_CASE("codecs have names, and unknown ones are refused", "[record]") {
  CHECK(to_string(CompressionCodec::none) == "none");
  CHECK(to_string(CompressionCodec::gzip) == "gzip");
  CHECK(to_string(CompressionCodec::snappy) == "snappy");
  CHECK(to_string(CompressionCodec::lz4) == "lz4");
  CHECK(to_string(CompressionCodec::zstd) == "zstd");
  const auto unknown = static_cast<CompressionCodec>(5);
  CHECK(to_string(unknown) == "unknown");
  CHECK(code_of(compress(unknown, as_bytes("x"))) == "invalid_argument");
  CHECK(code_of(decompress(unknown, as_bytes("x"), {})) == "unsupported_compression_type");
}

TEST_CASE("every truncation and every left-over byte of compressed bytes is refused", "[record]") {
  const auto plain = joined(zeros(500), noise(500));
  for (const auto codec : all_codecs) {
    if (codec == CompressionCodec::none) continue;
    const auto packed = compress(codec, plain).value();
    for (std::size_t size = 0; size < packed.size(); ++size) {
      CAPTURE(to_string(codec), size);
      // Cut where its blocks begin, a xerial stream is a whole one of less content: that is for the records count to notice.
      if (codec == CompressionCodec::snappy && size == 16) continue;
      CHECK(code_of(decompress(codec, ByteView{packed}.first(size), {})) == "corrupt_message");
    }
    for (const auto* extra : {"\0", "x", "0123456789"}) {
      CAPTURE(to_string(codec), extra);
      CHECK(code_of(decompress(
                codec, joined(packed, as_bytes(std::string_view(extra, extra[0] == 0 ? 1 : std::strlen(extra)))), {})) ==
            "corrupt_message");
    }
  }
}

TEST_CASE("gzip members are inflated one after another", "[record]") {
  const auto first = compress(CompressionCodec::gzip, as_bytes("one ")).value();
  const auto second = compress(CompressionCodec::gzip, as_bytes("two")).value();
  CHECK(text_of(decompress(CompressionCodec::gzip, joined(first, second), {})) == "one two");
  auto damaged = joined(first, second);
  damaged[damaged.size() - 5] ^= std::byte{1};  // of the second member's CRC-32
  CHECK(code_of(decompress(CompressionCodec::gzip, damaged, {})) == "corrupt_message");
}

TEST_CASE("snappy is written in xerial framing and read raw as well", "[record]") {
  const auto packed = compress(CompressionCodec::snappy, zeros(70'000)).value();
  CHECK(to_hex(ByteView{packed}.first(16)) == "82534e41505059000000000100000001");
  const auto raw = snappy_block(as_bytes("librdkafka sends a single block"));
  CHECK(text_of(decompress(CompressionCodec::snappy, raw, {})) == "librdkafka sends a single block");
}

TEST_CASE("malformed xerial framing is refused", "[record]") {
  const auto header = from_hex("82534e41505059000000000100000001");
  const auto block = snappy_block(as_bytes("hello"));
  const auto framed = [&](std::int32_t size) {
    auto bytes = header;
    ByteWriter(bytes).integer(size);
    return joined(bytes, block);
  };
  const auto size = static_cast<std::int32_t>(block.size());
  CHECK(text_of(decompress(CompressionCodec::snappy, framed(size), {})) == "hello");
  CHECK(text_of(decompress(CompressionCodec::snappy, header, {})).empty());
  for (const auto wrong : {size - 1, size + 1, 0, -1, std::numeric_limits<std::int32_t>::max()}) {
    CAPTURE(wrong);
    CHECK(code_of(decompress(CompressionCodec::snappy, framed(wrong), {})) == "corrupt_message");
  }
  const auto later = from_hex("82534e41505059000000000200000002");
  CHECK(code_of(decompress(CompressionCodec::snappy, later, {})) == "corrupt_message");
}

TEST_CASE("lz4 is written as one frame of independent 64 KiB blocks", "[record]") {
  const auto packed = compress(CompressionCodec::lz4, zeros(100'000)).value();
  CHECK(to_hex(ByteView{packed}.first(4)) == "04224d18");
  CHECK((std::to_integer<unsigned>(packed[4]) & 0x20U) != 0U);
  CHECK((std::to_integer<unsigned>(packed[5]) >> 4) == 4U);
}

TEST_CASE("lz4 frames are read with any flags", "[record]") {
  const auto plain = joined(zeros(300'000), noise(300'000));
  for (const auto mode : {LZ4F_blockLinked, LZ4F_blockIndependent}) {
    for (const auto size_id : {LZ4F_max64KB, LZ4F_max256KB, LZ4F_max1MB, LZ4F_max4MB}) {
      for (const bool extras : {false, true}) {
        LZ4F_preferences_t preferences{};
        preferences.frameInfo.blockMode = mode;
        preferences.frameInfo.blockSizeID = size_id;
        preferences.frameInfo.contentChecksumFlag = extras ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum;
        preferences.frameInfo.blockChecksumFlag = extras ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
        preferences.frameInfo.contentSize = extras ? plain.size() : 0;
        CAPTURE(static_cast<int>(mode), static_cast<int>(size_id), extras);
        const auto packed = lz4_frame(plain, preferences);
        CHECK(text_of(decompress(CompressionCodec::lz4, packed, {})) == as_text(plain));
      }
    }
  }
}

TEST_CASE("a bad block does no harm to the good one after it", "[record]") {
  // Contexts are kept per thread. LZ4's remembers an aborted frame's content size, and then misses it in the next frame.
  const auto plain = joined(zeros(1000), noise(1000));
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.contentSize = plain.size();
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  for (const auto codec : all_codecs) {
    if (codec == CompressionCodec::none) continue;
    CAPTURE(to_string(codec));
    const auto good = compress(codec, plain).value();
    const auto bad = codec == CompressionCodec::lz4 ? lz4_frame(plain, preferences) : good;
    for (std::size_t size = 0; size < bad.size(); size += 7) {
      CAPTURE(size);
      (void)decompress(codec, ByteView{bad}.first(size), {});
      CHECK(text_of(decompress(codec, good, {})) == as_text(plain));
      (void)decompress(codec, bad, {.bytes_max = size});
      CHECK(text_of(decompress(codec, good, {})) == as_text(plain));
    }
  }
}

TEST_CASE("zstd frames are read without content size and with any window", "[record]") {
  const auto plain = joined(zeros(200'000), noise(1000));
  for (const auto window_log : {10, 21, 23, 27}) {
    CAPTURE(window_log);
    const auto packed = zstd_stream(plain, window_log);
    REQUIRE(ZSTD_getFrameContentSize(packed.data(), packed.size()) == ZSTD_CONTENTSIZE_UNKNOWN);
    CHECK(text_of(decompress(CompressionCodec::zstd, packed, {})) == as_text(plain));
  }
  const auto one = compress(CompressionCodec::zstd, as_bytes("one ")).value();
  const auto two = zstd_stream(as_bytes("two"), 21);
  CHECK(text_of(decompress(CompressionCodec::zstd, joined(one, two), {})) == "one two");
}

TEST_CASE("what was inflated may be as large as the limit and no larger", "[record]") {
  for (const auto codec : all_codecs) {
    for (const std::size_t size : {1, 5000, 100'000}) {
      CAPTURE(to_string(codec), size);
      const auto packed = compress(codec, noise(size)).value();
      CHECK(code_of(decompress(codec, packed, {.bytes_max = size})) == "accepted");
      CHECK(code_of(decompress(codec, packed, {.bytes_max = size - 1})) == "message_too_large");
    }
  }
}

TEST_CASE("a ratio above the limit is refused once the free bytes are used up", "[record]") {
  for (const auto codec : {CompressionCodec::gzip, CompressionCodec::lz4, CompressionCodec::zstd}) {
    CAPTURE(to_string(codec));
    const auto plain = zeros(200'000);
    const auto packed = compress(codec, plain).value();
    const auto ratio = plain.size() / packed.size();
    CHECK(code_of(decompress(codec, packed, {.ratio_max = ratio - 1, .ratio_free_bytes = 199'999})) == "message_too_large");
    CHECK(code_of(decompress(codec, packed, {.ratio_max = ratio + 1, .ratio_free_bytes = 199'999})) == "accepted");
    CHECK(code_of(decompress(codec, packed, {.ratio_max = ratio - 1, .ratio_free_bytes = 200'000})) == "accepted");
  }
}

TEST_CASE("a decompression bomb costs no more memory than the limit", "[record]") {
  constexpr std::size_t limit = 1'000'000;
  constexpr std::size_t slack = 16 * 1024;  // error messages, and the pages that large blocks are rounded up to
  const auto bomb = zeros(std::size_t{8} << 20);
  for (const auto codec : all_codecs) {
    if (codec == CompressionCodec::none) continue;
    CAPTURE(to_string(codec));
    const auto packed = compress(codec, bomb).value();
    const HeapMeter meter;
    const auto code = code_of(decompress(codec, packed, {.bytes_max = limit}));
    CHECK(code == "message_too_large");
    // While it grows, the old half of the output lives beside the new whole.
    CHECK(meter.largest() <= limit);
    CHECK(meter.peak() <= limit * 3 / 2 + slack);
  }
}

TEST_CASE("a size that a frame declares buys no memory", "[record]") {
  constexpr std::size_t slack = 128 * 1024;  // the first guess for a few bytes
  const auto costs_little = [&](CompressionCodec codec, const ByteBuffer& packed) {
    const HeapMeter meter;
    CHECK(code_of(decompress(codec, packed, {.bytes_max = std::size_t{1} << 30, .ratio_max = 1U << 30})) ==
          "corrupt_message");
    CHECK(meter.peak() <= slack);
  };
  // Snappy: a raw block of 512 MiB in six bytes. zstd and LZ4: a content size of 1 GiB, then a
  // block of one byte, or nothing.
  costs_little(CompressionCodec::snappy, from_hex("808080800200"));
  costs_little(CompressionCodec::snappy,
               joined(from_hex("82534e4150505900000000010000000100000006"), from_hex("808080800200")));
  const auto lying =
      from_hex("28b52ffda0000000400100000a");  // single segment, 4 bytes of content size, a last raw block of one byte
  REQUIRE(ZSTD_getFrameContentSize(lying.data(), lying.size()) == std::size_t{1} << 30);
  costs_little(CompressionCodec::zstd, lying);
  costs_little(CompressionCodec::lz4, lz4_header(std::size_t{1} << 30));
}
