#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/consumer/cursor.hpp"

/// Text as a cursor, and as a start position. What is read is written the same.

using namespace troupe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text(std::as_bytes(std::span{data, size}));
  if (const auto cursor = consumer::Cursor::decode(text)) {
    TROUPE_ASSERT(cursor->encode() == text);
    TROUPE_ASSERT(cursor->positions.size() <= 10'000);
    for (const auto& [partition, position] : cursor->positions) {
      TROUPE_ASSERT(partition.value() >= 0 && position.leader_epoch.value() >= -1 && position.next_offset.value() >= 0);
    }
  } else {
    TROUPE_ASSERT(cursor.error().code == Errc::invalid_argument);
  }
  if (const auto start = consumer::parse_start(text)) {
    TROUPE_ASSERT(start->last >= 0 && start->ago_ms >= 0);
  } else {
    TROUPE_ASSERT(start.error().code == Errc::invalid_argument);
  }
  return 0;
}
