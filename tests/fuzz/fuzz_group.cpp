#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/group/group_batches.hpp"
#include "core/group/group_calls.hpp"

/// The first byte says what the rest is: a call to a group's coordinator, an answer, news, batches of group records. What is read of calls
/// and answers can be written and read again, and then stays the same.

using namespace troupe;
using namespace troupe::group;

namespace {

template <class Encode, class Decode>
void round_trip(ByteView bytes, Encode encode, Decode decode) {
  const auto read = decode(bytes);
  if (!read) {
    TROUPE_ASSERT(read.error().code == Errc::corrupt_message);
    return;
  }
  const auto once = encode(*read);
  const auto again = decode(once);
  TROUPE_ASSERT(again && encode(*again) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span{data, size}).subspan(1);
  switch (data[0] % 4) {
    case 0: round_trip(bytes, encode_call, decode_call); break;
    case 1: round_trip(bytes, encode_answer, decode_answer); break;
    case 2: round_trip(bytes, encode_news, decode_news); break;
    default: {
      GroupCoordinator coordinator({}, std::make_shared<const metadata::MetadataImage>());
      const auto replayed =
          replay_batches(bytes, Offset{0}, Offset::max(), [&](const Record& record) { coordinator.replay(record); });
      Turn turn;
      if (replayed) coordinator.begin({MonotonicMs{1}, TimestampMs{1}}, turn);
      (void)coordinator.list();
    }
  }
  return 0;
}
