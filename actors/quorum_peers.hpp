#pragma once

#include <cstdint>
#include <unordered_map>

#include "actors/peer_links.hpp"
#include "core/metadata/quorum_messages.hpp"

namespace troupe::actors {

/// What other nodes say to this node's replica of the quorum, and what they ask of its controller until it is answered. A part of
/// metadata_quorum.
class QuorumPeers {
 public:
  /// `links` outlive this; null: there are no other nodes.
  explicit QuorumPeers(PeerLinks* links) : links_(links) {}

  /// A message of the quorum from a node that may send it. Error: it is not to be heard; the error's message says why.
  static Result<quorum::Message> heard(const PeerMessage& message, const Uuid& cluster_id);

  /// Waits for `answer`, or `end`.
  void asked(std::uint64_t token, const PeerMessage& message);
  /// Nothing, when nobody asked with this token.
  void answer(std::uint64_t token, Result<Bytes> answer);
  void end(const Error& error);

 private:
  PeerLinks* links_;
  std::unordered_map<std::uint64_t, PeerMessage> open_;  ///< without their payloads
};

}  // namespace troupe::actors
