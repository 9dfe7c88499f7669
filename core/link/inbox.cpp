#include "core/link/inbox.hpp"

namespace troupe::link {
namespace {

bool same_message(const Chunk& a, const Chunk& b) {
  return a.kind == b.kind && a.call == b.call && a.total == b.total && a.timeout_ms == b.timeout_ms;
}

}  // namespace

Result<std::optional<Chunk>> Inbox::add(Chunk chunk) {
  auto& open = open_[index_of(chunk.channel)];
  if (!open) {
    if (chunk.position != 0) return Error{Errc::corrupt_message, "a link's message begins in its middle"};
    if (chunk.bytes.size() == chunk.total) return std::optional<Chunk>{std::move(chunk)};
    open = Open{chunk, {}};
    open->head.bytes = {};
    open->bytes.reserve(chunk.total);
  } else if (!same_message(open->head, chunk) || chunk.position != open->bytes.size()) {
    return Error{Errc::corrupt_message, "a link's message does not go on where it stands"};
  }
  append_bytes(open->bytes, chunk.bytes);
  if (open->bytes.size() < open->head.total) return std::optional<Chunk>{};
  auto whole = std::move(open->head);
  whole.bytes = Bytes::adopt(std::move(open->bytes));
  open.reset();
  return std::optional<Chunk>{std::move(whole)};
}

}  // namespace troupe::link
