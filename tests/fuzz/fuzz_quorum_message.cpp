#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/metadata/quorum_storage.hpp"

/// What another node sends for the quorum, and what lies on its disk: the first byte says as which of them the rest is read. What is
/// read is written the same.

using namespace troupe;
using namespace troupe::quorum;

namespace {

bool same(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

void check_entries(const Bytes& bytes) {
  const auto entries = entries_of(bytes, Offset{0});
  if (!entries) return;
  for (const auto& entry : *entries) {
    TROUPE_ASSERT(entry.records >= 1 && entry.base_offset >= Offset{0});
    if (entry.kind == EntryKind::data) continue;
    const auto again = entries_of(entry_batch(entry), Offset{0});
    TROUPE_ASSERT(again && again->size() == 1 && again->front().kind == entry.kind);
    TROUPE_ASSERT(same(again->front().payload, entry.payload));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = Bytes::copy_of(std::as_bytes(std::span{data + 1, size - 1}));
  switch (data[0] % 5) {
    case 0:
      if (const auto message = decode_message(bytes)) {
        TROUPE_ASSERT(same(encode_message(*message), bytes));
        if (const auto* append = std::get_if<AppendRequest>(&message->body)) {
          for (const auto& entry : append->entries) static_cast<void>(check_entry(entry).has_value());
        }
      }
      break;
    case 1:
      if (const auto state = decode_hard_state(bytes)) TROUPE_ASSERT(same(encode_hard_state(*state), bytes));
      break;
    case 2:
      if (const auto entry = decode_control_entry(bytes)) TROUPE_ASSERT(same(encode_control_entry(*entry), bytes));
      break;
    case 3:
      if (const auto file = decode_snapshot_file(bytes); file && file->snapshot) {
        TROUPE_ASSERT(same(encode_snapshot_file(*file->snapshot, file->image), bytes));
      }
      break;
    default: check_entries(bytes);
  }
  return 0;
}
