#include <cstdint>

#include "base/assert.hpp"
#include "http/json/json_syntax.hpp"
#include "http/stream/frame_watch.hpp"
#include "http/stream/ws_command.hpp"

/// A text message as commands, and bytes as frames.

using namespace troupe;
using namespace troupe::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  const auto text = as_text(bytes);
  for (const auto piece : split_json(text)) {
    TROUPE_ASSERT(!piece.empty() && piece.data() >= text.data() && piece.data() + piece.size() <= text.data() + text.size());
    const auto parsed = parse_command(piece);
    if (!parsed) {
      TROUPE_ASSERT(parsed.error().code == Errc::invalid_argument && (piece.front() != '{' || !is_json(piece)));
      continue;
    }
    TROUPE_ASSERT(is_json(piece));
    if (!parsed->command) {
      TROUPE_ASSERT(parsed->command.error().code == Errc::invalid_argument);
    } else if (const auto* subscribe = std::get_if<SubscribeCommand>(&*parsed->command)) {
      TROUPE_ASSERT(!subscribe->sub.empty() && subscribe->sub.size() <= 128 && !subscribe->topics.empty());
      TROUPE_ASSERT(subscribe->from.last >= 0 && subscribe->from.last <= 10'000);
    } else if (const auto* credit = std::get_if<CreditCommand>(&*parsed->command)) {
      TROUPE_ASSERT(credit->credit.messages.value_or(0) >= 0 && credit->credit.bytes.value_or(0) >= 0);
    }
  }
  FrameWatch whole({});
  FrameWatch split({});
  const bool within = whole.pass(bytes, MonotonicMs{1});
  bool last = true;
  for (std::size_t i = 0; i < bytes.size(); ++i) last = split.pass(bytes.subspan(i, 1), MonotonicMs{1});
  TROUPE_ASSERT(within == last);
  return 0;
}
