#pragma once

#include <cstring>

#include "base/bytes.hpp"

namespace troupe::record {

/// Gives `buffer` room for `capacity` bytes, with one memcpy: std::vector moves elements one by one when its allocator is
/// not the standard one. Internal to core/record.
inline void grow_capacity(ByteBuffer& buffer, std::size_t capacity) {
  if (capacity <= buffer.capacity()) return;
  ByteBuffer larger;
  larger.reserve(capacity);
  larger.resize(buffer.size());
  if (!buffer.empty()) std::memcpy(larger.data(), buffer.data(), buffer.size());
  buffer.swap(larger);
}

}  // namespace troupe::record
