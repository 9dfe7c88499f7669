#include "base/crc32c.hpp"

#include <algorithm>
#include <cstdlib>

#include <sys/mman.h>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;

namespace {

/// The definition, bit by bit, with the polynomial of RFC 3720 reflected.
std::uint32_t crc_by_definition(ByteView bytes) {
  std::uint32_t state = 0xffffffffU;
  for (const auto byte : bytes) {
    state ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1U) != 0 ? 0x82f63b78U : 0U);
  }
  return ~state;
}

}  // namespace

TEST_CASE("crc32c gives the check values of RFC 3720", "[base]") {
  CHECK(crc32c({}) == 0);
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283U);
  CHECK(crc32c(ByteBuffer(32, std::byte{0x00})) == 0x8a9136aaU);
  CHECK(crc32c(ByteBuffer(32, std::byte{0xff})) == 0x62a8ab43U);
}

TEST_CASE("crc32c is the definition's at every length and address", "[base]") {
  Prng prng(1);
  ByteBuffer buffer(600);
  for (auto& byte : buffer) byte = static_cast<std::byte>(prng.next());
  for (std::size_t size = 0; size <= 520; ++size) {
    const auto view = ByteView{buffer}.subspan(size % 17, size);
    CAPTURE(size);
    REQUIRE(crc32c(view) == crc_by_definition(view));
  }
}

TEST_CASE("crc32c of pieces one after another is that of the whole", "[base]") {
  const char* text = std::getenv("TROUPE_SEED");
  const std::uint64_t seed = text == nullptr ? 42 : std::strtoull(text, nullptr, 10);
  CAPTURE(seed);
  Prng prng(seed);
  ByteBuffer buffer(5000);
  for (auto& byte : buffer) byte = static_cast<std::byte>(prng.next());
  const auto whole = crc32c(buffer);
  for (int run = 0; run < 200; ++run) {
    std::uint32_t crc = 0;
    ByteView rest{buffer};
    while (!rest.empty()) {
      const auto size = static_cast<std::size_t>(prng.between(0, static_cast<std::int64_t>(rest.size())));
      crc = crc32c(rest.first(size), crc);
      rest = rest.subspan(size);
    }
    REQUIRE(crc == whole);
  }
}

TEST_CASE("crc32c counts beyond what its library takes at once", "[base]") {
  // Zero pages that are only read cost address space, not memory.
  constexpr std::size_t size = (std::size_t{1} << 30) + 4099;
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const ByteView zeros{static_cast<const std::byte*>(memory), size};
  constexpr std::size_t piece = 300'000'007;
  std::uint32_t expected = 0;
  for (std::size_t at = 0; at < size; at += piece)
    expected = crc32c(zeros.subspan(at, std::min(piece, size - at)), expected);
  const auto actual = crc32c(zeros);
  ::munmap(memory, size);
  CHECK(actual == expected);
}
