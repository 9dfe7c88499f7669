#pragma once

#include <cstdint>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "core/ids.hpp"
#include "core/link/channel.hpp"

/// How the actors of one node speak to those of another: bytes of our own codecs, to a broker and a channel, never to a remote handle.
namespace troupe::actors {

using link::Channel;

/// What came in on a channel, for the actor that serves it. The link has checked that it comes from that run of that broker.
struct PeerMessage {
  BrokerId from{-1};
  Uuid incarnation = {};  ///< the sender's run
  Channel channel = Channel::quorum;
  std::uint64_t call = 0;  ///< to be given to `PeerLinks::answer`, once; 0: nobody waits for an answer
  Bytes payload = {};
};

/// The end of a call, once, whatever happens.
struct PeerAnswer {
  std::uint64_t token = 0;  ///< the caller's
  BrokerId from{-1};
  /// Errors: broker_not_available (there was no connection: it was not sent), request_timed_out (the outcome is unknown), and what the
  /// other side answered with.
  Result<Bytes> answer = Bytes{};
};

/// A peer can be spoken to, or not any more. Told to every actor that serves a channel, first of all peers that are up. Not told of the
/// node itself.
struct PeerState {
  BrokerId id{-1};
  Uuid incarnation = {};
  bool up = false;
  bool refused = false;     ///< its connection closed and a new one was refused: the process is gone
  MonotonicMs heard_at{0};  ///< for the last time, when it is not up; by the actors' clock
};

/// A node's links, as the actors that use them see them. Any thread; calls never block.
///
/// Messages from one sender to one peer on one channel arrive in order or not at all; none arrives twice. What is lost is not told: who
/// needs an answer uses `call`. What a node sends to its own id goes to its own actors.
class PeerLinks {
 public:
  virtual ~PeerLinks() = default;

  /// What arrives on `channel` goes to `receiver` from now on, as PeerMessage; it hears PeerState, too. A later call takes its place.
  virtual void serve(Channel channel, const caf::actor& receiver) = 0;
  /// Sent at once or dropped.
  virtual void send(BrokerId to, Channel channel, Bytes payload) = 0;
  /// Answered to `reply_to` by one PeerAnswer, within `timeout_ms` or a little later.
  virtual void call(BrokerId to, Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t token,
                    const caf::actor& reply_to) = 0;
  /// Ends the call that `message` was. Errors keep their code and their sentence.
  virtual void answer(const PeerMessage& message, Result<Bytes> answer) = 0;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PeerMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PeerAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PeerState)
