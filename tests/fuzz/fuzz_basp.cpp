#include <algorithm>
#include <cstdint>

#include "base/assert.hpp"
#include "core/link/basp_guard.hpp"

/// The first byte says which side has opened the connection and how the rest is cut. However it is cut, the guard lets the same
/// through, and that begins with a handshake.

using namespace troupe;
using namespace troupe::link;

namespace {

struct Verdict {
  std::size_t claims = 0;
  bool taken = true;
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

Verdict judge(BaspGuard::Side side, ByteView bytes, std::size_t piece) {
  BaspGuard guard{side};
  Verdict verdict;
  while (!bytes.empty()) {
    const auto next = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(next.size());
    const auto claim = guard.take(next);
    if (!claim) {
      TROUPE_ASSERT(claim.error().code == Errc::policy_violation);
      verdict.taken = false;
      break;
    }
    if (!*claim) continue;
    TROUPE_ASSERT(guard.greeted());
    TROUPE_ASSERT((*claim)->handshake || verdict.claims > 0);
    ++verdict.claims;
  }
  TROUPE_ASSERT(guard.greeted() == (verdict.claims > 0));
  return verdict;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto side = data[0] % 2 == 0 ? BaspGuard::Side::accepted : BaspGuard::Side::opened;
  const ByteView bytes{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  // A claim and the header behind it, whose refusal would hide it, do not end in one piece of at most 32 bytes.
  const auto piece = std::size_t{1} + data[0] / 2 % 32;
  TROUPE_ASSERT(judge(side, bytes, 1) == judge(side, bytes, piece));
  return 0;
}
