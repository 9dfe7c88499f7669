#include "core/link/basp_guard.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/byte_codec.hpp"

namespace troupe::link {
namespace {

Error violation(std::string what) { return {Errc::policy_violation, std::move(what)}; }

}  // namespace

Status BaspGuard::begin_frame() {
  const auto operation = std::to_integer<std::uint8_t>(header_[0]);
  payload_left_ = load_big_endian<std::uint32_t>(&header_[4]);
  claims_ = false;
  if (payload_left_ > payload_bytes_max) {
    return violation("a frame of " + std::to_string(payload_left_) + " bytes, at most " + std::to_string(payload_bytes_max) +
                     " are taken");
  }
  const auto wanted = side_ == Side::accepted ? Operation::client_handshake : Operation::server_handshake;
  switch (static_cast<Operation>(operation)) {
    case Operation::server_handshake:
    case Operation::client_handshake:
      if (static_cast<Operation>(operation) != wanted) return violation("a handshake of the wrong side");
      if (greeted_ && side_ == Side::opened) return violation("a second handshake");
      return begin_claim(true, node_bytes, side_ == Side::accepted ? std::uint32_t{node_bytes} : claim_bytes_max);
    case Operation::monitor:
      if (!greeted_) break;
      return begin_claim(false, 2 * node_bytes, 2 * node_bytes);
    case Operation::down:
      if (!greeted_) break;
      return begin_claim(false, 2 * node_bytes, claim_bytes_max);
    case Operation::direct_message:
      if (payload_left_ == 0) return violation("a message without content");
      break;
    case Operation::heartbeat:
      if (payload_left_ != 0) return violation("a sign of life with a payload");
      break;
    case Operation::routed_message: return violation("a message by way of another node: each pair has a connection");
    default: return violation("no frame of CAF's protocol: operation " + std::to_string(operation));
  }
  if (!greeted_) return violation("a frame before the handshake");
  return ok();
}

Status BaspGuard::begin_claim(bool handshake, std::uint32_t size_min, std::uint32_t size_max) {
  if (payload_left_ < size_min || payload_left_ > size_max) {
    return violation("a frame about nodes of " + std::to_string(payload_left_) + " bytes");
  }
  claims_ = true;
  handshake_ = handshake;
  claim_.clear();
  return ok();
}

Result<std::optional<BaspGuard::Claim>> BaspGuard::take(ByteView bytes) {
  std::optional<Claim> complete;
  while (!bytes.empty()) {
    if (header_size_ < header_bytes) {
      const auto part = std::min(bytes.size(), header_bytes - header_size_);
      std::copy_n(bytes.begin(), part, header_.begin() + static_cast<std::ptrdiff_t>(header_size_));
      header_size_ += part;
      bytes = bytes.subspan(part);
      if (header_size_ < header_bytes) break;
      TROUPE_TRY(begin_frame());
    } else {
      const auto part = bytes.first(std::min<std::size_t>(bytes.size(), payload_left_));
      if (claims_) claim_.insert(claim_.end(), part.begin(), part.end());
      payload_left_ -= static_cast<std::uint32_t>(part.size());
      bytes = bytes.subspan(part.size());
    }
    if (payload_left_ != 0) continue;
    header_size_ = 0;
    if (!std::exchange(claims_, false)) continue;
    if (complete) return violation("two frames about nodes at once");
    complete = Claim{.handshake = handshake_};
    std::copy_n(claim_.begin(), node_bytes, complete->from.begin());
    if (!handshake_) std::copy_n(claim_.begin() + node_bytes, node_bytes, complete->to.begin());
    greeted_ = greeted_ || handshake_;
  }
  return complete;
}

}  // namespace troupe::link
