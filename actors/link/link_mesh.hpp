#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <caf/actor_addr.hpp>

#include "actors/link/link_manager.hpp"
#include "actors/link/peer_wire.hpp"
#include "actors/peer_links.hpp"

namespace troupe::actors {

/// A node's links over CAF's network: PeerLinks for the actors, and for the wiring what the links need. Made before the actors, outlives
/// them.
///
///   LinkMesh mesh{{.self = ..., .listen = ..., .peers = voters, .probe = &probe, .table = &table}};
///   children.push_back({"link_manager", "links", [&](auto& system, const auto& row) { return mesh.start(system, row); }});
///
/// The actor system was configured with `configure_links`. A peer's state is told only after it has been up once. Calls and messages to a
/// broker that no link leads to are dropped and end with broker_not_available.
class LinkMesh final : public PeerLinks {
 public:
  struct Options {
    link::Identity self = {};                                ///< cluster_id may be nil: the node is not formatted yet
    std::optional<link::PeerAddress> listen = std::nullopt;  ///< checked by link::check_listener; port 0: the kernel chooses
    std::map<BrokerId, link::PeerAddress> peers = {};        ///< those that were given at the start: voters
    std::vector<link::PeerAddress> contacts = {};            ///< addresses of which nobody knows the broker: --join
    link::LinkMachine::Options machine = {};                 ///< times and bounds
    PeerProbe* probe = nullptr;                              ///< outlives the actors
    ActorTable* table = nullptr;                             ///< outlives the actors
    PeerWire* wire = nullptr;                                ///< outlives the actors; null: CAF's own connections, for tests
    std::uint64_t seed = 0;
  };

  explicit LinkMesh(Options options);

  /// A run of the actor that all links hang on; for a supervisor's ChildSpec.
  caf::actor start(caf::actor_system& system, const ActorRowPtr& row);

  /// The brokers that the metadata names, with the addresses of their cluster listeners. Any thread.
  void set_peers(std::map<BrokerId, link::PeerAddress> peers);
  /// The node has been formatted. Any thread.
  void set_cluster_id(const Uuid& cluster_id);
  /// 0: it does not listen (yet).
  std::uint16_t port() const { return listener_->port.load(); }
  /// Those that can be spoken to now, for people and health checks.
  std::vector<PeerState> up() const { return directory_->up(); }

  /// Why there are no links to those that there are none to. -1: a contact whose id is not known yet.
  std::map<BrokerId, Error> troubles() const { return directory_->troubles(); }

  void serve(Channel channel, const caf::actor& receiver) override;
  void send(BrokerId to, Channel channel, Bytes payload) override;
  void call(BrokerId to, Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t token,
            const caf::actor& reply_to) override;
  void answer(const PeerMessage& message, Result<Bytes> answer) override;

 private:
  caf::actor manager() const;

  const std::shared_ptr<LinkDirectory> directory_ = std::make_shared<LinkDirectory>();
  /// Over all runs of the actors: connections go on without them.
  const std::shared_ptr<NodeNames> names_ = std::make_shared<NodeNames>();
  const std::shared_ptr<LinkListener> listener_ = std::make_shared<LinkListener>();
  mutable std::mutex mutex_;
  Options options_;
  std::optional<std::map<BrokerId, link::PeerAddress>> peers_ = std::nullopt;  ///< as they were last set
  caf::actor_addr manager_ = {};
};

}  // namespace troupe::actors
