#include "base/uuid.hpp"

#include <cstring>

#include <sys/random.h>

#include "base/assert.hpp"
#include "base/prng.hpp"

namespace troupe {
namespace {

Uuid version_4(std::array<std::uint8_t, 16> bytes) {
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);  // version 4 (RFC 9562, 5.4)
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);  // variant
  return Uuid{bytes};
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool dash_at(std::size_t position) { return position == 8 || position == 13 || position == 18 || position == 23; }

}  // namespace

Uuid Uuid::random() {
  std::array<std::uint8_t, 16> bytes{};
  const auto got = ::getrandom(bytes.data(), bytes.size(), 0);
  TROUPE_ASSERT(got == static_cast<ssize_t>(bytes.size()));
  return version_4(bytes);
}

Uuid Uuid::random(Prng& prng) {
  std::array<std::uint8_t, 16> bytes{};
  const std::uint64_t words[2] = {prng.next(), prng.next()};
  std::memcpy(bytes.data(), words, sizeof words);
  return version_4(bytes);
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (dash_at(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const auto value = digit(text[i]);
    if (value < 0) return std::nullopt;
    auto& byte = bytes[nibble / 2];
    byte = static_cast<std::uint8_t>((byte << 4) | value);
    ++nibble;
  }
  return Uuid{bytes};
}

std::string to_string(const Uuid& uuid) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (const auto byte : uuid.bytes()) {
    if (dash_at(text.size())) text += '-';
    text += digits[byte >> 4];
    text += digits[byte & 15U];
  }
  return text;
}

}  // namespace troupe

std::size_t std::hash<troupe::Uuid>::operator()(const troupe::Uuid& uuid) const noexcept {
  std::size_t words[2];
  static_assert(sizeof words == 16);
  std::memcpy(words, uuid.bytes().data(), sizeof words);
  return words[0] ^ (words[1] * 0x9e3779b97f4a7c15U);
}
