#include <algorithm>
#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/group/consumer_protocol.hpp"
#include "core/group/group_batches.hpp"
#include "core/group/group_calls.hpp"

/// The first byte says what the rest is: a call to a coordinator, an answer, news, batches of group records, what members of classic
/// groups say to each other. What is read of calls and answers can be written and read again, and then stays the same. Whatever the records
/// said, groups can be shown, joined, and wait for their deadlines.

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
  switch (data[0] % 5) {
    case 0: round_trip(bytes, encode_call, decode_call); break;
    case 1: round_trip(bytes, encode_answer, decode_answer); break;
    case 2: round_trip(bytes, encode_news, decode_news); break;
    case 4: {
      const auto topics = topics_of_subscription(as_text(bytes));
      TROUPE_ASSERT(!topics || std::ranges::is_sorted(*topics));
      const auto partitions = partitions_of_assignment(as_text(bytes), metadata::MetadataImage{});
      TROUPE_ASSERT(!partitions || partitions->empty());  // there are no topics
      break;
    }
    default: {
      GroupCoordinator coordinator({}, std::make_shared<const metadata::MetadataImage>());
      const auto replayed =
          replay_batches(bytes, Offset{0}, Offset::max(), [&](const Record& record) { coordinator.replay(record); });
      if (!replayed) break;
      Now now{MonotonicMs{1}, TimestampMs{1}};
      Turn turn;
      coordinator.begin(now, turn);
      for (const auto& group : coordinator.list()) {
        (void)coordinator.describe(group.group);
        ClassicJoinRequest join;
        join.group = group.group;
        join.protocol_type = group.protocol_type.empty() ? "consumer" : group.protocol_type;
        join.protocols = {{group.assignor.empty() ? "range" : group.assignor, {}}};
        coordinator.join(join, 1, now, turn);
      }
      for (int i = 0; i < 8; ++i) {
        const auto due = coordinator.next_deadline();
        if (!due || *due > MonotonicMs{1'000'000'000'000}) break;
        now.monotonic = std::max(now.monotonic + 1, *due);
        coordinator.on_deadline(now, turn);
      }
      (void)coordinator.list();
    }
  }
  return 0;
}
