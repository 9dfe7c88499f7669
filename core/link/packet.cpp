#include "core/link/packet.hpp"

#include <algorithm>
#include <string>

#include "base/byte_codec.hpp"

namespace troupe::link {
namespace {

constexpr std::size_t sentence_bytes_max = 4000;

Error corrupt(std::string what) { return {Errc::corrupt_message, "a packet of a link: " + std::move(what)}; }

/// What is wrong with the head of a chunk; nullptr: nothing.
const char* wrong_with(const Chunk& chunk, std::uint32_t size) {
  if (chunk.total > payload_bytes_max) return "a message that is too large";
  if (chunk.position > chunk.total || size > chunk.total - chunk.position) return "a chunk outside its message";
  if (size == 0 && chunk.total != 0) return "an empty chunk";
  if ((chunk.kind == ChunkKind::message) != (chunk.call == 0)) return "a call without a number, or a message with one";
  if (chunk.kind != ChunkKind::call && chunk.timeout_ms != 0) return "a timeout on what is not a call";
  return nullptr;
}

}  // namespace

ByteBuffer encode(const PacketHead& head, const std::vector<Chunk>& chunks) {
  std::size_t size = packet_head_bytes;
  for (const auto& chunk : chunks) size += chunk_head_bytes + chunk.bytes.size();
  ByteBuffer buffer;
  buffer.reserve(size);
  ByteWriter out{buffer};
  out.integer(head.session);
  out.integer(head.number);
  out.integer(head.acknowledged);
  out.integer(static_cast<std::uint16_t>(chunks.size()));
  for (const auto& chunk : chunks) {
    out.integer(static_cast<std::uint8_t>(chunk.kind));
    out.integer(static_cast<std::uint8_t>(chunk.channel));
    out.integer(chunk.call);
    out.integer(chunk.timeout_ms);
    out.integer(chunk.total);
    out.integer(chunk.position);
    out.integer(static_cast<std::uint32_t>(chunk.bytes.size()));
    out.bytes(chunk.bytes);
  }
  return buffer;
}

Result<Packet> decode_packet(const Bytes& bytes) {
  if (bytes.size() > packet_bytes_max) return corrupt(std::to_string(bytes.size()) + " bytes are too many");
  ByteReader in{bytes};
  Packet packet;
  packet.head.session = in.integer<std::uint64_t>().value_or(0);
  packet.head.number = in.integer<std::uint64_t>().value_or(0);
  packet.head.acknowledged = in.integer<std::uint64_t>().value_or(0);
  const auto count = in.integer<std::uint16_t>().value_or(0);
  if (in.failed() || packet.head.session == 0 || packet.head.number == 0) return corrupt("a broken head");
  // Each chunk has its head, so a packet has room for fewer than it may claim.
  packet.chunks.reserve(std::min<std::size_t>(count, in.remaining() / chunk_head_bytes));
  for (std::size_t i = 0; i < count; ++i) {
    const auto kind = in.integer<std::uint8_t>().value_or(0);
    const auto channel = in.integer<std::uint8_t>().value_or(0);
    Chunk chunk;
    chunk.call = in.integer<std::uint64_t>().value_or(0);
    chunk.timeout_ms = in.integer<std::uint32_t>().value_or(0);
    chunk.total = in.integer<std::uint32_t>().value_or(0);
    chunk.position = in.integer<std::uint32_t>().value_or(0);
    const auto size = in.integer<std::uint32_t>().value_or(0);
    const auto at = bytes.size() - in.remaining();
    if (in.failed() || !in.bytes(size)) return corrupt("it ends early");
    if (kind < 1 || kind > 4) return corrupt("kind " + std::to_string(kind) + " of a chunk");
    if (!is_channel(channel)) return corrupt("channel " + std::to_string(channel));
    chunk.kind = static_cast<ChunkKind>(kind);
    chunk.channel = static_cast<Channel>(channel);
    if (const auto* wrong = wrong_with(chunk, size)) return corrupt(wrong);
    chunk.bytes = bytes.slice(at, size);
    packet.chunks.push_back(std::move(chunk));
  }
  if (in.remaining() != 0) return corrupt(std::to_string(in.remaining()) + " bytes behind its end");
  return packet;
}

ByteBuffer encode_failure(const Error& error) {
  ByteBuffer buffer;
  ByteWriter out{buffer};
  out.integer(static_cast<std::uint8_t>(error.code));
  out.bytes(as_bytes(std::string_view(error.message).substr(0, sentence_bytes_max)));
  return buffer;
}

Error decode_failure(ByteView payload) {
  if (payload.empty() || payload[0] == std::byte{0} || payload.size() > 1 + sentence_bytes_max) {
    return {Errc::corrupt_message, "the answer is an error that cannot be read"};
  }
  const auto code = static_cast<Errc>(std::to_integer<std::uint8_t>(payload[0]));
  const bool known = to_string(code) != "unknown_error" || code == Errc::unknown_error;
  return {known ? code : Errc::unknown_error, std::string(as_text(payload.subspan(1)))};
}

}  // namespace troupe::link
