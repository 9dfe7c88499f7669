#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/link/link.hpp"
#include "actors/restart_policy.hpp"

namespace troupe::actors {

/// What outlives a run of link_manager.
struct LinkListener {
  std::atomic<std::uint16_t> port{0};  ///< that it listens at; 0: it does not yet
};

struct LinkManagerOptions {
  link::Identity self = {};
  link::LinkMachine::Options machine = {};  ///< self, peer, address and seed are set for each link
  /// An IP address and a port, 0 for one that the kernel chooses. nullopt: nobody can connect to this node.
  std::optional<link::PeerAddress> listen = std::nullopt;
  std::map<BrokerId, link::PeerAddress> peers = {};  ///< for ever, whatever the metadata says: voters
  std::vector<link::PeerAddress> contacts = {};      ///< of nodes whose ids are not known: --join
  std::shared_ptr<LinkDirectory> directory = {};
  std::shared_ptr<LinkListener> listener = {};
  PeerProbe* probe = nullptr;   ///< outlives the actor
  ActorTable* table = nullptr;  ///< outlives the actor
  Middleman middleman = {};
  std::shared_ptr<const NodeNames> names = {};  ///< null: nobody has to prove who it is
  std::size_t strangers_max = 1'000;            ///< links to nodes that came by themselves and are in no list
  std::uint64_t seed = 0;
};

/// The node's end of all links: it is published at the cluster listener, hears each hello first and gives it to the link of that broker;
/// and it supervises the links, one a peer, which it starts again for ever.
///
///   link_manager  <-- hello -- other nodes
///     link/2, link/3, ...        one a peer
///     link/node-4:9000           a contact, until it has said who it is
///
/// It ends with an error when the listener cannot be opened. Told to it: LinkPeers, LinkCluster.
caf::actor spawn_link_manager(caf::actor_system& system, LinkManagerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
