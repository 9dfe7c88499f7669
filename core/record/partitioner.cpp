#include "core/record/partitioner.hpp"

#include "base/assert.hpp"

namespace troupe::record {

std::uint32_t murmur2(ByteView bytes) noexcept {
  constexpr std::uint32_t multiplier = 0x5bd1e995;
  const auto byte = [&](std::size_t index) { return static_cast<std::uint32_t>(bytes[index]); };

  std::uint32_t hash = 0x9747b28cU ^ static_cast<std::uint32_t>(bytes.size());
  std::size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) {
    std::uint32_t word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
    word *= multiplier;
    word ^= word >> 24;
    word *= multiplier;
    hash *= multiplier;
    hash ^= word;
  }
  if (at < bytes.size()) {
    for (std::size_t index = bytes.size(); index-- > at;) hash ^= byte(index) << (8 * (index - at));
    hash *= multiplier;
  }
  hash ^= hash >> 13;
  hash *= multiplier;
  hash ^= hash >> 15;
  return hash;
}

PartitionId partition_for_key(ByteView key, std::int32_t partition_count) noexcept {
  TROUPE_ASSERT(partition_count > 0);
  return PartitionId{static_cast<std::int32_t>(murmur2(key) & 0x7fffffffU) % partition_count};
}

}  // namespace troupe::record
