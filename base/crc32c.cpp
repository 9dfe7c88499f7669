#include "base/crc32c.hpp"

#include <algorithm>

#include <isa-l/crc.h>

namespace troupe {

std::uint32_t crc32c(ByteView bytes, std::uint32_t previous) noexcept {
  constexpr std::size_t chunk_max = std::size_t{1} << 30;  // the library counts in int
  auto state = ~previous;
  while (!bytes.empty()) {
    const auto chunk = bytes.first(std::min(bytes.size(), chunk_max));
    // The library does not write through the pointer; its prototype lacks the const.
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(chunk.data()));
    state = crc32_iscsi(data, static_cast<int>(chunk.size()), state);
    bytes = bytes.subspan(chunk.size());
  }
  return ~state;
}

}  // namespace troupe
