#pragma once

#include <cstddef>
#include <cstdint>

#include "base/byte_codec.hpp"

/// Zigzag varints of one and two bytes without a call: nearly all of a record's, and a batch has five of them per record.
/// The longer ones, and the malformed, are left to ByteReader. Internal to core/record.
namespace troupe::record {

/// The long way, kept out of line so that the short one can be inlined.
template <class Int>
[[gnu::noinline]] bool read_long_varint(const std::byte*& at, const std::byte* end, Int& value) noexcept {
  ByteReader reader(ByteView{at, end});
  std::optional<Int> number;
  if constexpr (sizeof(Int) == sizeof(std::int32_t)) {
    number = reader.varint();
  } else {
    number = reader.varlong();
  }
  if (!number) return false;
  at = end - reader.remaining();
  value = *number;
  return true;
}

/// Reads the number at `at` and steps over it; false when there is none before `end` that fits `Int`.
template <class Int>
[[gnu::always_inline]] inline bool read_varint(const std::byte*& at, const std::byte* end, Int& value) noexcept {
  const auto left = end - at;
  if (left >= 1) {
    const auto low = std::to_integer<std::uint32_t>(at[0]);
    if (low < 0x80U) {
      value = static_cast<Int>(static_cast<std::int32_t>(low >> 1) ^ -static_cast<std::int32_t>(low & 1U));
      at += 1;
      return true;
    }
    if (left >= 2) {
      const auto high = std::to_integer<std::uint32_t>(at[1]);
      if (high < 0x80U) {
        const auto both = (low & 0x7fU) | high << 7;
        value = static_cast<Int>(static_cast<std::int32_t>(both >> 1) ^ -static_cast<std::int32_t>(both & 1U));
        at += 2;
        return true;
      }
    }
  }
  return read_long_varint(at, end, value);
}

/// Writes `number`, which takes `varlong_size(number)` bytes, and returns the place behind it.
inline std::byte* write_varint(std::byte* to, std::int64_t number) noexcept {
  auto rest = (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63);
  while (rest >= 0x80U) {
    *to++ = static_cast<std::byte>((rest & 0x7fU) | 0x80U);
    rest >>= 7;
  }
  *to++ = static_cast<std::byte>(rest);
  return to;
}

}  // namespace troupe::record
