#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/link/greeting.hpp"
#include "core/link/packet.hpp"

/// What a LinkMachine wants done.
namespace troupe::link {

/// An actor of another node, as the shell knows it: a number that it gives out, never twice. 0: none.
using Remote = std::uint64_t;

/// What an envelope holds. Part of the wire: never renumber.
enum class EnvelopeType : std::uint16_t { hello = 1, welcome = 2, refusal = 3, packet = 4 };

/// How the attempt to open a TCP connection ended.
struct ProbeResult {
  enum class Outcome : std::uint8_t {
    open,     ///< somebody listens there
    refused,  ///< the machine is there, and nobody listens
    failed,   ///< no such name, no way, no answer in time
  };
  Outcome outcome = Outcome::failed;
  std::string address = {};  ///< the numeric address, when open: connecting to it resolves no name
  std::string reason = {};   ///< for people, when not open
};

/// -> probed
struct StartProbe {
  std::uint64_t attempt = 0;
  PeerAddress address = {};
  Millis timeout_ms = 0;
};
/// -> connected
struct StartConnect {
  std::uint64_t attempt = 0;
  PeerAddress address = {};  ///< numeric
  Millis timeout_ms = 0;
};
struct SendEnvelope {
  Remote to = 0;
  EnvelopeType type = EnvelopeType::packet;
  std::uint16_t version = 1;
  Bytes body = {};
};
/// To be told when that actor, or the way to it, is gone. -> remote_down
struct WatchRemote {
  Remote remote = 0;
};
/// It will not be spoken of again.
struct ForgetRemote {
  Remote remote = 0;
};
struct DeliverMessage {
  BrokerId from = no_broker;
  Uuid incarnation = {};
  Channel channel = Channel::quorum;
  std::uint64_t call = 0;  ///< for `answer`; 0: none is wanted
  Bytes payload = {};
};
struct EndCall {
  std::uint64_t key = 0;  ///< the shell's
  Result<Bytes> answer = Bytes{};
};
struct TellState {
  Uuid incarnation = {};
  bool up = false;
  bool refused = false;
  MonotonicMs heard_at{0};                     ///< for the last time, when it is not up
  std::optional<Error> reason = std::nullopt;  ///< why it is not up
};
/// Who answers at an address that was asked.
struct TellIdentity {
  Identity identity = {};
};
/// The link does not come up, for another reason than before.
struct NoteTrouble {
  Error error = {Errc::unknown_error, {}};
};
/// Something waits: call `flush`, after what else is to be said to the machine now.
struct WantFlush {};

using LinkEffect = std::variant<StartProbe, StartConnect, SendEnvelope, WatchRemote, ForgetRemote, DeliverMessage, EndCall,
                                TellState, TellIdentity, NoteTrouble, WantFlush>;
using LinkEffects = std::vector<LinkEffect>;

}  // namespace troupe::link
