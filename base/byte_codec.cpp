#include "base/byte_codec.hpp"

namespace troupe {
namespace {

std::uint64_t zigzag(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::int64_t unzigzag(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

/// Returns the number of bytes read, 0 when they are no varint of at most `bytes_max` bytes that fits `bits`.
std::size_t read_unsigned(ByteView from, std::size_t bytes_max, unsigned bits, std::uint64_t& value) noexcept {
  value = 0;
  for (std::size_t i = 0; i < bytes_max && i < from.size(); ++i) {
    const auto byte = std::to_integer<std::uint64_t>(from[i]);
    const auto payload = byte & 0x7fU;
    const auto shift = static_cast<unsigned>(7 * i);
    if (shift + 7 > bits && (payload >> (bits - shift)) != 0) return 0;
    value |= payload << shift;
    if ((byte & 0x80U) == 0) return i + 1;
  }
  return 0;
}

}  // namespace

std::optional<std::int32_t> ByteReader::varint() noexcept {
  std::uint64_t value = 0;
  const auto size = failed_ ? 0 : read_unsigned(rest_, 5, 32, value);
  if (size == 0) return fail<std::int32_t>();
  rest_ = rest_.subspan(size);
  return static_cast<std::int32_t>(unzigzag(value));
}

std::optional<std::int64_t> ByteReader::varlong() noexcept {
  std::uint64_t value = 0;
  const auto size = failed_ ? 0 : read_unsigned(rest_, 10, 64, value);
  if (size == 0) return fail<std::int64_t>();
  rest_ = rest_.subspan(size);
  return unzigzag(value);
}

void ByteWriter::varint(std::int32_t value) { varlong(value); }

void ByteWriter::varlong(std::int64_t value) {
  auto rest = zigzag(value);
  while (rest >= 0x80U) {
    buffer_.push_back(static_cast<std::byte>((rest & 0x7fU) | 0x80U));
    rest >>= 7;
  }
  buffer_.push_back(static_cast<std::byte>(rest));
}

std::size_t varlong_size(std::int64_t value) noexcept {
  auto rest = zigzag(value);
  std::size_t size = 1;
  while (rest >= 0x80U) {
    rest >>= 7;
    ++size;
  }
  return size;
}

}  // namespace troupe
