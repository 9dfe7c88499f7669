#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/link/link_machine.hpp"

/// The first byte says what the rest is: a greeting, a packet, or packets for a link that is up. What is read is written the same, and a
/// link that hears nonsense neither stops nor forgets how to answer its callers.

using namespace troupe;
using namespace troupe::link;

namespace {

constexpr Remote peer = 7;

template <class Message>
void check_greeting(const Result<Message>& read, ByteView bytes) {
  if (!read) {
    TROUPE_ASSERT(read.error().code == Errc::corrupt_message);
    return;
  }
  const auto written = encode(*read);
  TROUPE_ASSERT(written.size() <= bytes.size() && equal_bytes(written, bytes.first(written.size())));
}

void check_packet(const Bytes& bytes) {
  const auto packet = decode_packet(bytes);
  if (!packet) {
    TROUPE_ASSERT(packet.error().code == Errc::corrupt_message);
    return;
  }
  TROUPE_ASSERT(equal_bytes(encode(packet->head, packet->chunks), bytes));
  Inbox inbox;
  for (const auto& chunk : packet->chunks) {
    const auto whole = inbox.add(chunk);
    if (!whole) return;
    if (*whole) TROUPE_ASSERT((*whole)->bytes.size() == (*whole)->total && (*whole)->total <= payload_bytes_max);
  }
}

/// Each piece is a size (2 bytes) and what follows the head of a packet, or of a greeting.
void check_machine(ByteView bytes) {
  LinkMachine::Options options;
  options.self = {Uuid{{1}}, BrokerId{1}, Uuid{{2}}};
  options.peer = BrokerId{2};
  LinkMachine machine{options};
  MonotonicMs now{1'000};
  const Hello hello{.from = {Uuid{{1}}, BrokerId{2}, Uuid{{3}}}, .to = BrokerId{1}, .session = 9};
  machine.greeted(now, peer, hello);
  machine.received(now, peer, EnvelopeType::packet, 1, Bytes::adopt(encode(PacketHead{9, 1, 0}, {})));
  std::size_t answers = 0;
  std::uint64_t key = 0;
  std::uint64_t number = 1;
  const auto count = [&](const LinkEffects& effects) {
    for (const auto& effect : effects) answers += std::holds_alternative<EndCall>(effect) ? 1 : 0;
  };
  while (bytes.size() >= 3) {
    const auto type = static_cast<EnvelopeType>(std::to_integer<std::uint16_t>(bytes[0]) % 5);
    const auto size = std::min<std::size_t>(std::to_integer<std::size_t>(bytes[1]) * 16, bytes.size() - 2);
    ByteBuffer body;
    if (type == EnvelopeType::packet) {
      body = encode(PacketHead{9, ++number, 0}, {});
      body.resize(body.size() - 2);  // the count of chunks comes from the bytes
    }
    append_bytes(body, bytes.subspan(2, size));
    bytes = bytes.subspan(2 + size);
    count(machine.call(now, Channel::gateway, Bytes::copy_of(as_bytes("question")), 1'000, ++key));
    count(machine.received(now, peer, type, 1, Bytes::adopt(std::move(body))));
    count(machine.flush(now));
    now += 10;
    count(machine.tick(now));
    if (machine.state() != LinkMachine::State::up) {
      count(machine.greeted(now, peer, hello));
      count(machine.received(now, peer, EnvelopeType::packet, 1, Bytes::adopt(encode(PacketHead{9, 1, 0}, {}))));
      number = 1;
    }
  }
  count(machine.stop());
  TROUPE_ASSERT(answers == key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView bytes{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  switch (data[0] % 6) {
    case 0: check_greeting(decode_hello(bytes), bytes); break;
    case 1: check_greeting(decode_welcome(bytes), bytes); break;
    case 2: check_greeting(decode_refusal(bytes), bytes); break;
    case 3: check_packet(Bytes::copy_of(bytes)); break;
    case 4: check_machine(bytes); break;
    default: TROUPE_ASSERT(!to_string(decode_failure(bytes)).empty()); break;
  }
  return 0;
}
