#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace troupe::link {

/// Reads what comes over a connection before CAF does, and ends it where CAF would be harmed. CAF 0.17's own reader believes what it is
/// told: it makes room for any length, looks into handshakes that are empty, and lets anybody be any node, or speak for others.
///
/// A frame of CAF's protocol (BASP) is `operation u8, 2 bytes, flags u8, payload length u32, 3 times u64, payload`, big-endian. Let through
/// is what two nodes with one connection between them say: first a handshake, then messages, monitoring, signs of life.
class BaspGuard {
 public:
  enum class Side : std::uint8_t {
    accepted,  ///< the other side has connected: it begins with a client handshake, and may repeat it
    opened,    ///< it answers with one server handshake
  };
  /// How CAF writes a node's id: its class, its process and its host.
  static constexpr std::size_t node_bytes = 32;
  using NodeId = std::array<std::byte, node_bytes>;

  /// Whom a frame is from, by its own words, and whom it is for. A handshake is for nobody.
  struct Claim {
    bool handshake = true;
    NodeId from = {};
    NodeId to = {};
  };
  /// Frames hold one packet of a link and what CAF adds to it.
  static constexpr std::uint32_t payload_bytes_max = std::uint32_t{1} << 20;
  static constexpr std::uint32_t claim_bytes_max = 16U << 10;  ///< of a frame about nodes

  explicit BaspGuard(Side side) : side_(side) {}

  /// The next bytes, cut anywhere. Yields the claim that they complete, for the caller to check: at most one, a second in one piece is an
  /// error (CAF reads a frame at a time). After an error the connection is of no use. Errors: policy_violation.
  Result<std::optional<Claim>> take(ByteView bytes);

  /// Whether the first handshake has come.
  bool greeted() const { return greeted_; }

 private:
  static constexpr std::size_t header_bytes = 32;
  enum class Operation : std::uint8_t {
    server_handshake,
    client_handshake,
    direct_message,
    routed_message,
    monitor,
    down,
    heartbeat
  };

  Status begin_frame();
  Status begin_claim(bool handshake, std::uint32_t size_min, std::uint32_t size_max);

  Side side_;
  bool greeted_ = false;
  std::array<std::byte, header_bytes> header_ = {};
  std::size_t header_size_ = 0;
  std::uint32_t payload_left_ = 0;
  bool claims_ = false;  ///< the payload that comes begins with node ids
  bool handshake_ = false;
  ByteBuffer claim_ = {};
};

}  // namespace troupe::link
