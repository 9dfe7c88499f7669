#include <cstdint>

#include "base/assert.hpp"
#include "base/base64.hpp"
#include "base/byte_codec.hpp"
#include "base/bytes.hpp"
#include "base/crc32c.hpp"
#include "core/consumer/cursor.hpp"

/// Text as a cursor, also with its checksum put right, and as a start position. What is read is written the same.

using namespace troupe;

namespace {

void check_cursor(std::string_view text) {
  if (const auto cursor = consumer::Cursor::decode(text)) {
    TROUPE_ASSERT(cursor->encode() == text);
    TROUPE_ASSERT(cursor->positions.size() <= 10'000);
    for (const auto& [partition, position] : cursor->positions) {
      TROUPE_ASSERT(partition.value() >= 0 && position.leader_epoch.value() >= -1 && position.next_offset.value() >= 0);
    }
  } else {
    TROUPE_ASSERT(cursor.error().code == Errc::invalid_argument);
  }
}

/// The same cursor with the checksum of what it holds: what lies behind that check is to be reached.
std::string with_checksum(std::string_view text) {
  auto bytes = decode_base64_url(text);
  if (!bytes || bytes->size() < 4) return {};
  bytes->resize(bytes->size() - 4);
  const auto checksum = crc32c(*bytes);
  ByteWriter(*bytes).integer(checksum);
  std::string sealed;
  append_base64_url(sealed, *bytes);
  return sealed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text(std::as_bytes(std::span{data, size}));
  check_cursor(text);
  check_cursor(with_checksum(text));
  if (const auto start = consumer::parse_start(text)) {
    TROUPE_ASSERT(start->last >= 0 && start->ago_ms >= 0);
  } else {
    TROUPE_ASSERT(start.error().code == Errc::invalid_argument);
  }
  return 0;
}
