#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/link/proof.hpp"

/// How two nodes make sure of each other before anything else is said. docs/formats/link.md
namespace troupe::link {

/// Where a node's cluster listener is.
struct PeerAddress {
  std::string host = {};  ///< a name or an IP address
  std::uint16_t port = 0;

  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};
/// "host:port", "[::1]:port"
std::string to_string(const PeerAddress& address);

/// Who a node is, for one run of its process. CAF's node id is none: it repeats over restarts and over containers.
struct Identity {
  Uuid cluster_id = {};  ///< nil: the node is not formatted yet
  BrokerId broker = no_broker;
  Uuid incarnation = {};

  friend bool operator==(const Identity&, const Identity&) = default;
};

/// Versions of the packets that a node speaks, both ends included.
struct VersionRange {
  std::uint16_t low = 1;
  std::uint16_t high = 1;

  friend bool operator==(const VersionRange&, const VersionRange&) = default;
};

/// From the node that opened the connection.
struct Hello {
  VersionRange versions = {};
  Identity from = {};
  BrokerId to = no_broker;    ///< whom it believes to be there; no_broker: it does not know
  std::uint64_t session = 0;  ///< never 0; by chance, so that what is left of an earlier session is not taken for this one
  std::uint64_t attempt = 0;  ///< the sender's hellos to this node so far: one that comes late is told from one that is new
  bool asks = false;          ///< "who are you?": it wants an answer, not a session

  friend bool operator==(const Hello&, const Hello&) = default;
};

/// The session begins.
struct Welcome {
  std::uint16_t version = 1;  ///< of all packets of the session
  Identity from = {};
  std::uint64_t session = 0;
  std::uint64_t attempt = 0;  ///< the sender's hellos so far: those up to this one are void

  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Why there is no session. Part of the wire: never renumber.
enum class RefusalReason : std::uint8_t {
  version = 1,    ///< no version that both speak
  cluster = 2,    ///< of another cluster
  broker_id = 3,  ///< not the node that was wanted
  duplicate = 4,  ///< another process has this broker id, and it answers: come back, it may be about to end
  self = 5,       ///< the connection leads back to the node itself
  busy = 6,       ///< both greeted at once: the greeting of the lower broker id counts
  full = 7,       ///< no room for another peer
  proof = 8,      ///< its certificate is of another broker
};

struct Refusal {
  RefusalReason reason = RefusalReason::busy;
  Identity from = {};
  std::uint64_t session = 0;
  std::string sentence = {};  ///< for people; at most 1,000 bytes travel

  friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// The code that a refused node reacts to.
Errc to_errc(RefusalReason reason) noexcept;

/// What a node that is `self` holds against a hello, from what both say of themselves and what the connection proves; nullopt: nothing.
std::optional<Refusal> object_to(const Identity& self, VersionRange versions, const Hello& hello, const Proof& proof = {});
/// The same of the answer to a hello. Errors: inconsistent_cluster_id, wrong_owner (not the broker that was wanted, or this node
/// itself, or one with a certificate of another), policy_violation (no common version).
Status check_welcome(const Identity& self, const Hello& hello, const Welcome& welcome, const Proof& proof = {});
/// The highest version of both ranges; nullopt: they do not meet.
std::optional<std::uint16_t> common_version(VersionRange a, VersionRange b);

ByteBuffer encode(const Hello& hello);
ByteBuffer encode(const Welcome& welcome);
ByteBuffer encode(const Refusal& refusal);
/// Bytes behind the known fields are those of a later version and are not read. Errors: corrupt_message.
Result<Hello> decode_hello(ByteView bytes);
Result<Welcome> decode_welcome(ByteView bytes);
Result<Refusal> decode_refusal(ByteView bytes);

}  // namespace troupe::link
