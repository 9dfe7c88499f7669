#include "actors/link/link_mesh.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <caf/send.hpp>

#include "actors/link/link_messages.hpp"
#include "actors/link/wire_gate.hpp"
#include "base/assert.hpp"

namespace troupe::actors {

LinkMesh::LinkMesh(Options options) : options_(std::move(options)) {
  TROUPE_ASSERT(options_.probe != nullptr && options_.table != nullptr);
}

caf::actor LinkMesh::start(caf::actor_system& system, const ActorRowPtr& row) {
  const std::lock_guard lock{mutex_};
  Middleman middleman = [](caf::actor_system& of) { return caf::actor_cast<caf::actor>(of.middleman().actor_handle()); };
  caf::actor gate;
  const auto names = options_.wire != nullptr && options_.wire->proves() ? names_ : nullptr;
  if (options_.wire != nullptr) {
    gate = spawn_wire_gate(
        system, {.wire = options_.wire, .names = names, .connect_timeout_ms = options_.machine.connect_timeout_ms});
    middleman = [gate](caf::actor_system&) { return gate; };
  }
  const auto actor = spawn_link_manager(system,
                                        {.self = options_.self,
                                         .machine = options_.machine,
                                         .listen = options_.listen,
                                         .peers = options_.peers,
                                         .contacts = options_.contacts,
                                         .directory = directory_,
                                         .listener = listener_,
                                         .probe = options_.probe,
                                         .table = options_.table,
                                         .middleman = std::move(middleman),
                                         .names = names,
                                         .seed = options_.seed++},
                                        row);
  // Neither outlives the other.
  if (gate) caf::anon_send(gate, LinkOwner{actor});
  manager_ = actor.address();
  if (peers_) caf::anon_send(actor, LinkPeers{*peers_});
  return actor;
}

caf::actor LinkMesh::manager() const { return caf::actor_cast<caf::actor>(manager_); }

void LinkMesh::set_peers(std::map<BrokerId, link::PeerAddress> peers) {
  const std::lock_guard lock{mutex_};
  peers_ = std::move(peers);
  if (const auto to = manager()) caf::anon_send(to, LinkPeers{*peers_});
}

void LinkMesh::set_cluster_id(const Uuid& cluster_id) {
  const std::lock_guard lock{mutex_};
  options_.self.cluster_id = cluster_id;
  if (const auto to = manager()) caf::anon_send(to, LinkCluster{cluster_id});
}

void LinkMesh::serve(Channel channel, const caf::actor& receiver) { directory_->serve(channel, receiver); }

void LinkMesh::send(BrokerId to, Channel channel, Bytes payload) {
  if (const auto link = directory_->link_to(to)) caf::anon_send(link, LinkSend{channel, std::move(payload)});
}

void LinkMesh::call(BrokerId to, Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t token,
                    const caf::actor& reply_to) {
  auto ticket = std::make_shared<CallTicket>(to, token, reply_to);
  if (const auto link = directory_->link_to(to)) {
    caf::anon_send(link, LinkCall{channel, std::move(payload), timeout_ms, std::move(ticket)});
  } else {
    ticket->end(Error{Errc::broker_not_available, "there is no link to broker " + to_string(to)});
  }
}

void LinkMesh::answer(const PeerMessage& message, Result<Bytes> answer) {
  if (message.call == 0) return;
  if (const auto link = directory_->link_to(message.from)) caf::anon_send(link, LinkAnswer{message.call, std::move(answer)});
}

}  // namespace troupe::actors
