#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/send.hpp>

#include "actors/peer_links.hpp"
#include "core/link/link_effects.hpp"

/// What is said within one node to the actors of its links.
namespace troupe::actors {

/// The caller's end of a call: answers once. A call that is dropped anywhere on its way, with an actor that fails or a message that
/// nobody takes, has its answer all the same.
class CallTicket {
 public:
  CallTicket(BrokerId to, std::uint64_t token, const caf::actor& reply_to)
      : to_(to), token_(token), reply_to_(caf::actor_cast<caf::actor_addr>(reply_to)) {}
  ~CallTicket() {
    end(Error{Errc::request_timed_out, "the link to broker " + to_string(to_) + " was ended: the outcome is unknown"});
  }
  CallTicket(const CallTicket&) = delete;
  CallTicket& operator=(const CallTicket&) = delete;

  void end(Result<Bytes> answer) {
    if (std::exchange(ended_, true)) return;
    if (const auto receiver = caf::actor_cast<caf::actor>(reply_to_)) {
      caf::anon_send(receiver, PeerAnswer{token_, to_, std::move(answer)});
    }
  }

 private:
  const BrokerId to_;
  const std::uint64_t token_;
  const caf::actor_addr reply_to_;
  bool ended_ = false;
};
using CallTicketPtr = std::shared_ptr<CallTicket>;

// --- to a link

struct LinkSend {
  Channel channel = Channel::quorum;
  Bytes payload = {};
};
struct LinkCall {
  Channel channel = Channel::quorum;
  Bytes payload = {};
  Millis timeout_ms = 0;
  CallTicketPtr ticket = {};
};
struct LinkAnswer {
  std::uint64_t call = 0;
  Result<Bytes> answer = Bytes{};
};
/// A hello that came to the node's endpoint, from that actor of the other node.
struct LinkGreeted {
  link::Hello hello = {};
  caf::actor from = {};
};
struct LinkAddress {
  std::optional<link::PeerAddress> address = std::nullopt;
};
/// The node has been formatted.
struct LinkCluster {
  Uuid cluster_id = {};
};

/// To the gate of a wire: the actor that it ends with, and that ends with it.
struct LinkOwner {
  caf::actor owner = {};
};

// --- from a link to itself

struct LinkProbed {
  std::uint64_t attempt = 0;
  link::ProbeResult result = {};
};
struct LinkFlush {};
struct LinkTick {};

// --- to link_manager

/// The brokers of the cluster: links to others are ended, unless they were given at the start.
struct LinkPeers {
  std::map<BrokerId, link::PeerAddress> peers = {};
};
/// Who answers at the address of a contact.
struct LinkContact {
  link::PeerAddress address = {};
  link::Identity identity = {};
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkSend)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkCall)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkGreeted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkAddress)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkCluster)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkOwner)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkProbed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkFlush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkTick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkPeers)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LinkContact)
