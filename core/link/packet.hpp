#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/link/channel.hpp"

/// What two nodes that have greeted each other exchange: packets of chunks of messages. docs/formats/link.md
namespace troupe::link {

/// What a chunk is a part of. Part of the wire: never renumber.
enum class ChunkKind : std::uint8_t {
  message = 1,  ///< nobody waits for an answer
  call = 2,
  answer = 3,
  failure = 4,  ///< the answer to a call is an error; see encode_failure
};

/// A part of a message, or all of it.
struct Chunk {
  ChunkKind kind = ChunkKind::message;
  Channel channel = Channel::quorum;
  std::uint64_t call = 0;        ///< the caller's number; 0 with `message` only
  std::uint32_t timeout_ms = 0;  ///< of a call: after that nobody waits any more
  std::uint32_t total = 0;       ///< bytes of the whole message
  std::uint32_t position = 0;    ///< of these bytes in the whole
  Bytes bytes = {};
};

struct PacketHead {
  std::uint64_t session = 0;
  std::uint64_t number = 0;        ///< 1, 2, ... in each direction of a session
  std::uint64_t acknowledged = 0;  ///< bytes of packets with chunks that came in, over the session
};

struct Packet {
  PacketHead head = {};
  std::vector<Chunk> chunks = {};  ///< none: a sign of life, or an acknowledgement
};

/// 8 + 8 + 8 + 2
inline constexpr std::size_t packet_head_bytes = 26;
inline constexpr std::size_t chunk_head_bytes = 26;
/// A whole message.
inline constexpr std::size_t payload_bytes_max = std::size_t{16} << 20;
/// A packet with its heads. What is longer is refused unread.
inline constexpr std::size_t packet_bytes_max = std::size_t{256} << 10;

ByteBuffer encode(const PacketHead& head, const std::vector<Chunk>& chunks);
/// The chunks share `bytes`. Errors: corrupt_message.
Result<Packet> decode_packet(const Bytes& bytes);

/// An error as a payload: the code and at most 4,000 bytes of its sentence.
ByteBuffer encode_failure(const Error& error);
/// What was said, or corrupt_message when that cannot be read.
Error decode_failure(ByteView payload);

}  // namespace troupe::link
