#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include <snappy.h>

#include "base/byte_codec.hpp"
#include "core/record/codecs.hpp"

namespace troupe::record {
namespace {

constexpr auto codec = CompressionCodec::snappy;

/// Xerial framing, the snappy-java library's own: magic, version, oldest version that can read it, then blocks, each with
/// its length in front. A raw block cannot begin with these bytes: the first byte after its length has to be a literal,
/// and 'N' is a copy.
constexpr std::array<unsigned char, 8> xerial_magic{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
constexpr std::int32_t xerial_version = 1;
constexpr std::size_t xerial_header_bytes = 16;
constexpr std::size_t xerial_block_bytes = 32 * 1024;

bool is_xerial(ByteView packed) {
  return packed.size() >= xerial_magic.size() && std::memcmp(packed.data(), xerial_magic.data(), xerial_magic.size()) == 0;
}

/// Appends the content of one raw block.
Status inflate_block(ByteView block, InflateBuffer& output, std::size_t packed_bytes, const InflateLimits& limits) {
  const auto* data = reinterpret_cast<const char*>(block.data());
  std::size_t declared = 0;
  if (!snappy::GetUncompressedLength(data, block.size(), &declared))
    return codec_corrupt(codec, "no length in front of a block");
  // The densest element turns 3 bytes into 64. A length beyond that is a lie, and is not worth an allocation.
  if (declared > block.size() * 64 / 3) {
    return codec_corrupt(codec,
                         "a block of " + std::to_string(block.size()) + " bytes claims to hold " + std::to_string(declared));
  }
  if (!output.reserve(declared)) return codec_over_limit(codec, packed_bytes, limits);
  if (!snappy::RawUncompress(data, block.size(), reinterpret_cast<char*>(output.room().data()))) {
    return codec_corrupt(codec, "a malformed block");
  }
  output.wrote(declared);
  return ok();
}

Status inflate_xerial(ByteView packed, InflateBuffer& output, const InflateLimits& limits) {
  ByteReader reader(packed.subspan(xerial_magic.size()));
  reader.integer<std::int32_t>();  // the writer's version, of no consequence to a reader
  const auto readable_from = reader.integer<std::int32_t>();
  if (!readable_from) return codec_corrupt(codec, "the input ends inside the xerial header");
  if (*readable_from > xerial_version) {
    return codec_corrupt(codec, "xerial version: got " + std::to_string(*readable_from) + ", wanted at most 1");
  }
  while (reader.remaining() != 0) {
    const auto size = reader.integer<std::int32_t>();
    if (!size || *size < 0) return codec_corrupt(codec, "a malformed block length");
    const auto block = reader.bytes(static_cast<std::size_t>(*size));
    if (!block) return codec_corrupt(codec, "the input ends inside a block");
    TROUPE_TRY(inflate_block(*block, output, packed.size(), limits));
  }
  return ok();
}

}  // namespace

Result<ByteBuffer> compress_snappy(ByteView plain) {
  const auto blocks = (plain.size() + xerial_block_bytes - 1) / xerial_block_bytes;
  ByteBuffer packed(xerial_header_bytes + blocks * (sizeof(std::int32_t) + snappy::MaxCompressedLength(xerial_block_bytes)));
  std::memcpy(packed.data(), xerial_magic.data(), xerial_magic.size());
  store_big_endian(packed.data() + 8, xerial_version);
  store_big_endian(packed.data() + 12, xerial_version);
  auto used = xerial_header_bytes;
  while (!plain.empty()) {
    const auto block = plain.first(std::min(plain.size(), xerial_block_bytes));
    auto* length = packed.data() + used;
    std::size_t size = 0;
    snappy::RawCompress(reinterpret_cast<const char*>(block.data()), block.size(),
                        reinterpret_cast<char*>(length + sizeof(std::int32_t)), &size);
    store_big_endian(length, static_cast<std::int32_t>(size));
    used += sizeof(std::int32_t) + size;
    plain = plain.subspan(block.size());
  }
  packed.resize(used);
  return packed;
}

Result<ByteBuffer> decompress_snappy(ByteView packed, const InflateLimits& limits) {
  InflateBuffer output(packed.size(), limits);
  if (is_xerial(packed)) {
    TROUPE_TRY(inflate_xerial(packed, output, limits));
  } else {
    TROUPE_TRY(inflate_block(packed, output, packed.size(), limits));
  }
  return std::move(output).take();
}

}  // namespace troupe::record
