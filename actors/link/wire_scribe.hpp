#pragma once

#include <memory>

#include <caf/actor_system.hpp>
#include <caf/io/scribe.hpp>

#include "actors/link/node_names.hpp"
#include "actors/link/peer_wire.hpp"
#include "core/link/basp_guard.hpp"

namespace troupe::actors {

/// A connection as CAF's BASP broker takes it. What comes over it is guarded; what it proves is in `names` (null: it proves nothing) from
/// the handshake on, until CAF has closed it. The system's multiplexer is CAF's own.
caf::io::scribe_ptr make_wire_scribe(caf::actor_system& system, WireConnectionPtr connection, link::BaspGuard::Side side,
                                     std::shared_ptr<NodeNames> names);

}  // namespace troupe::actors
