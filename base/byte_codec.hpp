#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "base/bytes.hpp"

/// Fixed-width big-endian integers and zigzag varints, as Kafka's formats use them; our own formats follow suit.
namespace troupe {

template <class Int>
Int load_big_endian(const std::byte* from) noexcept {
  using Unsigned = std::make_unsigned_t<Int>;
  Unsigned value = 0;
  std::memcpy(&value, from, sizeof value);
  if constexpr (sizeof value == 2) value = static_cast<Unsigned>(__builtin_bswap16(value));
  if constexpr (sizeof value == 4) value = __builtin_bswap32(value);
  if constexpr (sizeof value == 8) value = __builtin_bswap64(value);
  return static_cast<Int>(value);
}

template <class Int>
void store_big_endian(std::byte* to, Int number) noexcept {
  auto value = static_cast<std::make_unsigned_t<Int>>(number);
  if constexpr (sizeof value == 2) value = __builtin_bswap16(value);
  if constexpr (sizeof value == 4) value = __builtin_bswap32(value);
  if constexpr (sizeof value == 8) value = __builtin_bswap64(value);
  std::memcpy(to, &value, sizeof value);
}

/// Reads from the front of a view. Every read is checked: past the end it returns nullopt, and so do all later reads.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) noexcept : rest_(bytes) {}

  std::size_t remaining() const noexcept { return rest_.size(); }
  ByteView rest() const noexcept { return rest_; }
  bool failed() const noexcept { return failed_; }

  template <class Int>
  std::optional<Int> integer() noexcept {
    if (failed_ || rest_.size() < sizeof(Int)) return fail<Int>();
    const auto value = load_big_endian<Int>(rest_.data());
    rest_ = rest_.subspan(sizeof(Int));
    return value;
  }

  std::optional<ByteView> bytes(std::size_t size) noexcept {
    if (failed_ || rest_.size() < size) return fail<ByteView>();
    const auto view = rest_.first(size);
    rest_ = rest_.subspan(size);
    return view;
  }

  /// A zigzag varint of at most 5 bytes. Fails when it is cut off, does not end within 5 bytes, or holds more than 32 bits.
  /// Padding with zero groups (80 00 for 0) is read, as Kafka reads it.
  std::optional<std::int32_t> varint() noexcept;
  /// A zigzag varint of at most 10 bytes.
  std::optional<std::int64_t> varlong() noexcept;

 private:
  template <class T>
  std::optional<T> fail() noexcept {
    failed_ = true;
    rest_ = {};
    return std::nullopt;
  }

  ByteView rest_;
  bool failed_ = false;
};

/// Appends to a buffer.
class ByteWriter {
 public:
  explicit ByteWriter(ByteBuffer& buffer) noexcept : buffer_(buffer) {}

  template <class Int>
  void integer(Int value) {
    std::byte encoded[sizeof(Int)];
    store_big_endian(encoded, value);
    append_bytes(buffer_, encoded);
  }

  void bytes(ByteView view) { append_bytes(buffer_, view); }
  void varint(std::int32_t value);
  void varlong(std::int64_t value);

 private:
  ByteBuffer& buffer_;
};

/// The bytes that `value` takes as a zigzag varint (1 to 10).
std::size_t varlong_size(std::int64_t value) noexcept;

}  // namespace troupe
