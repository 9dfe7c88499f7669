#pragma once

#include <array>
#include <optional>

#include "core/link/packet.hpp"

namespace troupe::link {

/// Joins the chunks of messages. A channel's messages come one after the other, so one a channel is open at most, and no more than its
/// 16 MiB are held. A message that came in one chunk shares the packet's memory.
class Inbox {
 public:
  /// The message that `chunk` completes (its `bytes` are the whole, `position` is 0); nullopt: more is to come.
  /// Errors: corrupt_message (it does not go on where its message stands).
  Result<std::optional<Chunk>> add(Chunk chunk);
  void reset() { open_ = {}; }

 private:
  struct Open {
    Chunk head;  ///< without its bytes
    ByteBuffer bytes;
  };
  std::array<std::optional<Open>, channel_count> open_ = {};
};

}  // namespace troupe::link
