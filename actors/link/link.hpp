#pragma once

#include <functional>
#include <memory>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/link/link_directory.hpp"
#include "actors/link/node_names.hpp"
#include "actors/link/peer_probe.hpp"
#include "core/link/link_machine.hpp"

namespace troupe::actors {

/// The actor that connects and publishes: CAF's middleman, or spawn_wire_gate.
using Middleman = std::function<caf::actor(caf::actor_system&)>;

/// Keeps the link to one other node: a shell around LinkMachine. It holds the only handle of an actor of that node, its link.
struct LinkOptions {
  link::LinkMachine::Options machine = {};
  std::shared_ptr<LinkDirectory> directory = {};
  PeerProbe* probe = nullptr;  ///< outlives the actor
  Middleman middleman = {};
  std::shared_ptr<const NodeNames> names = {};  ///< null: nobody has to prove who it is
  caf::actor manager = {};                      ///< told who answers, when machine.peer is not known
};

/// It ends by itself, without error, when it has found out who a contact is, and when it has neither a session nor an address.
caf::actor spawn_link(caf::actor_system& system, LinkOptions options, ActorRowPtr row);

/// The link of a node to itself: what it is given goes to the node's own actors.
caf::actor spawn_loopback(caf::actor_system& system, const link::Identity& self, std::shared_ptr<LinkDirectory> directory,
                          ActorRowPtr row);

}  // namespace troupe::actors
