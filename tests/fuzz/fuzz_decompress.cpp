#include <cstdint>

#include "core/record/compression.hpp"

/// Bytes as a compressed block, and as a plain one. One program a codec, chosen by FUZZ_CODEC.

using namespace troupe;
using namespace troupe::record;

namespace {

constexpr auto codec = CompressionCodec::FUZZ_CODEC;
constexpr InflateLimits limits{
    .bytes_max = std::size_t{1} << 20, .ratio_max = 200, .ratio_free_bytes = std::size_t{1} << 16};

void check_round_trip(ByteView plain) {
  const auto packed = compress(codec, plain).value();
  const auto back = decompress(codec, packed, {.bytes_max = plain.size(), .ratio_max = plain.size() + 1});
  TROUPE_ASSERT(back.has_value() && equal_bytes(*back, plain));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  const auto plain = decompress(codec, bytes, limits);
  if (plain) {
    TROUPE_ASSERT(plain->size() <= limits.bytes_max);
    TROUPE_ASSERT(plain->size() <= limits.ratio_free_bytes || plain->size() <= size * limits.ratio_max);
    check_round_trip(*plain);
  } else {
    const auto code = plain.error().code;
    TROUPE_ASSERT(code == Errc::corrupt_message || code == Errc::message_too_large);
  }
  check_round_trip(bytes);
  return 0;
}
