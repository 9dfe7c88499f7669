#pragma once

#include <memory>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/link/node_names.hpp"
#include "actors/link/peer_wire.hpp"

namespace troupe::actors {

struct WireGateOptions {
  PeerWire* wire = nullptr;               ///< outlives the actor
  std::shared_ptr<NodeNames> names = {};  ///< null: connections prove nothing
  Millis connect_timeout_ms = 1'000;
};

/// Stands where CAF's middleman actor stood, and is spoken to like it: `connect`, `publish` at one port, `close`. It connects and listens
/// by our own wire, and gives CAF's BASP broker connections that are there already: CAF opens and accepts none. CAF's own remembers to
/// whom an address led, and may hand out an actor that is gone; this one does not.
///
/// It and its LinkOwner end together; then it listens no more.
caf::actor spawn_wire_gate(caf::actor_system& system, WireGateOptions options);

}  // namespace troupe::actors
