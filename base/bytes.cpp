#include "base/bytes.hpp"

#include <cstring>

#include "base/assert.hpp"

namespace troupe {

Bytes Bytes::adopt(ByteBuffer buffer) {
  auto owner = std::make_shared<const ByteBuffer>(std::move(buffer));
  return Bytes{std::shared_ptr<const std::byte>(owner, owner->data()), owner->size()};
}

Bytes Bytes::copy_of(ByteView view) { return adopt(ByteBuffer(view.begin(), view.end())); }

Bytes Bytes::slice(std::size_t offset, std::size_t size) const {
  TROUPE_ASSERT(offset <= size_ && size <= size_ - offset);
  return Bytes{std::shared_ptr<const std::byte>(data_, data_.get() + offset), size};
}

bool equal_bytes(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

void append_bytes(ByteBuffer& buffer, ByteView view) {
  if (view.empty()) return;
  const auto old_size = buffer.size();
  buffer.resize(old_size + view.size());
  std::memcpy(buffer.data() + old_size, view.data(), view.size());
}

std::string to_hex(ByteView bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const auto byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

}  // namespace troupe
