#include "core/metadata/heartbeat_codec.hpp"

#include "base/byte_codec.hpp"

namespace troupe::metadata {
namespace {

// Part of the wire between nodes. A command begins with its version, which stays far below.
constexpr std::uint8_t heartbeat_1 = 0x48;
constexpr std::uint8_t shutdown_bit = 1;
constexpr std::uint8_t fenced_bit = 1;
constexpr std::uint8_t drained_bit = 2;
constexpr std::uint8_t may_stop_bit = 4;

Error corrupt() {
  return {Errc::corrupt_message, "a heartbeat from another node cannot be read: damaged, or of a newer version"};
}

}  // namespace

bool is_heartbeat(ByteView bytes) noexcept { return !bytes.empty() && bytes.front() == std::byte{heartbeat_1}; }

ByteBuffer encode_heartbeat(const HeartbeatRequest& request) {
  ByteBuffer bytes;
  ByteWriter out(bytes);
  out.integer(heartbeat_1);
  out.integer(request.broker.value());
  out.integer(request.broker_epoch.value());
  out.integer(request.applied.value());
  out.integer(static_cast<std::uint8_t>(request.wants_shutdown ? shutdown_bit : 0));
  return bytes;
}

Result<HeartbeatRequest> decode_heartbeat(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = in.integer<std::uint8_t>();
  const auto broker = in.integer<std::int32_t>();
  const auto epoch = in.integer<std::int64_t>();
  const auto applied = in.integer<std::int64_t>();
  const auto flags = in.integer<std::uint8_t>();
  if (in.failed() || in.remaining() != 0 || *version != heartbeat_1 || *broker < 0 || *epoch < 0 || *applied < 0 ||
      *flags > shutdown_bit) {
    return corrupt();
  }
  return HeartbeatRequest{BrokerId{*broker}, BrokerEpoch{*epoch}, Offset{*applied}, *flags == shutdown_bit};
}

ByteBuffer encode_heartbeat_answer(const HeartbeatAnswer& answer) {
  ByteBuffer bytes;
  ByteWriter out(bytes);
  out.integer(heartbeat_1);
  out.integer(static_cast<std::uint8_t>((answer.fenced ? fenced_bit : 0) | (answer.drained ? drained_bit : 0) |
                                        (answer.may_stop ? may_stop_bit : 0)));
  return bytes;
}

Result<HeartbeatAnswer> decode_heartbeat_answer(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = in.integer<std::uint8_t>();
  const auto flags = in.integer<std::uint8_t>();
  if (in.failed() || in.remaining() != 0 || *version != heartbeat_1 || *flags > (fenced_bit | drained_bit | may_stop_bit)) {
    return corrupt();
  }
  return HeartbeatAnswer{(*flags & fenced_bit) != 0, (*flags & drained_bit) != 0, (*flags & may_stop_bit) != 0};
}

}  // namespace troupe::metadata
