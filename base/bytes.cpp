#include "base/bytes.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace troupe {

Bytes Bytes::adopt(ByteBuffer buffer) {
  auto owner = std::make_shared<const ByteBuffer>(std::move(buffer));
  return Bytes{std::shared_ptr<const std::byte>(owner, owner->data()), owner->size()};
}

Bytes Bytes::copy_of(ByteView view) {
  ByteBuffer buffer;
  append_bytes(buffer, view);
  return adopt(std::move(buffer));
}

Bytes Bytes::slice(std::size_t offset, std::size_t size) const {
  TROUPE_ASSERT(offset <= size_ && size <= size_ - offset);
  return Bytes{std::shared_ptr<const std::byte>(data_, data_.get() + offset), size};
}

bool equal_bytes(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

void grow_capacity(ByteBuffer& buffer, std::size_t capacity) {
  if (capacity <= buffer.capacity()) return;
  ByteBuffer larger;
  larger.reserve(capacity);
  larger.resize(buffer.size());
  if (!buffer.empty()) std::memcpy(larger.data(), buffer.data(), buffer.size());
  buffer.swap(larger);
}

void append_bytes(ByteBuffer& buffer, ByteView view) {
  if (view.empty()) return;
  const auto old_size = buffer.size();
  if (old_size + view.size() > buffer.capacity())
    grow_capacity(buffer, std::max(2 * buffer.capacity(), old_size + view.size()));
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
