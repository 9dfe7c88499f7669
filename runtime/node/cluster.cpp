#include "runtime/node/cluster.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include "actors/controller_desk.hpp"
#include "actors/leader_server.hpp"
#include "actors/remote_leader.hpp"
#include "runtime/config/checks.hpp"

namespace troupe::runtime {
namespace {

using namespace actors;

link::PeerAddress address_of(const HostPort& at) { return {at.host, at.port}; }

LinkMesh::Options mesh_options(const NodeConfig& config, const Cluster::Parts& parts, PeerProbe& probe) {
  LinkMesh::Options options{.self = {parts.cluster_id, BrokerId{config.node_id}, parts.incarnation},
                            .probe = &probe,
                            .table = parts.table,
                            .wire = parts.wire.get(),
                            .seed = std::random_device{}()};
  if (const auto listen = parse_endpoint(config.cluster.listen)) {
    options.listen = link::PeerAddress{listen->host, listen->port};
  }
  for (const auto& text : config.cluster.voters) {
    const auto voter = parse_voter(text);
    if (voter && voter->id != config.node_id) options.peers.emplace(BrokerId{voter->id}, address_of(voter->at));
  }
  for (const auto& text : config.cluster.join) {
    if (const auto at = parse_host_port(text)) options.contacts.push_back(address_of(*at));
  }
  return options;
}

/// Brokers, where the others reach them.
std::map<BrokerId, link::PeerAddress> peers_of(const std::vector<metadata::BrokerImage>& brokers, BrokerId self) {
  std::map<BrokerId, link::PeerAddress> peers;
  for (const auto& broker : brokers) {
    if (broker.id != self && broker.cluster_port != 0) {
      peers.emplace(broker.id, link::PeerAddress{broker.cluster_host, broker.cluster_port});
    }
  }
  return peers;
}

}  // namespace

Result<std::shared_ptr<SocketWire>> Cluster::make_wire(const NodeConfig& config) {
  const auto& files = config.cluster.tls;
  if (files.certificate.empty()) return std::make_shared<SocketWire>(std::nullopt);
  TROUPE_TRY_ASSIGN(auto tls, TlsContext::read(files, BrokerId{config.node_id}));
  return std::make_shared<SocketWire>(std::move(tls));
}

Cluster::Cluster(const NodeConfig& config, Parts parts)
    : config_(config), parts_(std::move(parts)), mesh_(mesh_options(config_, parts_, probe_)) {}

void Cluster::complete(metadata::BrokerImage& self) const {
  const auto listen = parse_endpoint(config_.cluster.listen);
  self.cluster_host = listen->host;
  self.cluster_port = listen->port;
  for (const auto& text : config_.cluster.voters) {
    const auto voter = parse_voter(text);
    if (voter && voter->id == config_.node_id) {
      self.cluster_host = voter->at.host;
      self.cluster_port = voter->at.port;
    }
  }
  if (const auto advertised = parse_host_port(config_.cluster.advertise)) {
    self.cluster_host = advertised->host;
    self.cluster_port = advertised->port;
  }
  self.rack = config_.cluster.rack;
}

void Cluster::complete(MetadataQuorumOptions& options) {
  options.links = &mesh_;
  options.standing = quorum_;
  options.joins = !config_.cluster.join.empty();
  std::vector<BrokerId> voters;
  for (const auto& text : config_.cluster.voters) {
    if (const auto voter = parse_voter(text)) voters.emplace_back(voter->id);
  }
  // Who is not among them has no vote, and asks them.
  const bool votes = std::ranges::find(voters, BrokerId{config_.node_id}) != voters.end();
  (votes ? options.voters : options.contacts) = std::move(voters);
  options.duties.liveness.session_timeout_ms = config_.cluster.session_ms;
}

void Cluster::complete(PartitionManagerOptions& options) {
  options.links = &mesh_;
  options.ask_controller = [desk = desk_](metadata::AlterPartitionsRequest request, std::uint64_t token,
                                          const caf::actor& reply_to) {
    if (const auto actor = desk->get()) caf::anon_send(actor, AskController{std::move(request), token, reply_to});
  };
}

ChildSpec Cluster::link_manager() {
  return {"link_manager", "links",
          [this](caf::actor_system& system, const ActorRowPtr& row) { return mesh_.start(system, row); }};
}

std::vector<ChildSpec> Cluster::others(const metadata::BrokerImage& self) {
  std::vector<ChildSpec> children;
  children.push_back({"controller_desk", "controller_desk", [this](caf::actor_system& system, const ActorRowPtr& row) {
                        const auto actor = spawn_controller_desk(system, {.metadata_quorum = parts_.metadata_quorum}, row);
                        desk_->set(actor);
                        return actor;
                      }});
  children.push_back({"leader_server", "leader_server", [this](caf::actor_system& system, const ActorRowPtr& row) {
                        return spawn_leader_server(system, {.directory = parts_.directory, .links = &mesh_}, row);
                      }});
  const auto on_image = [this](const metadata::MetadataImage& image) {
    mesh_.set_peers(peers_of(image.brokers(), BrokerId{config_.node_id}));
    if (!image.cluster_id().is_nil()) mesh_.set_cluster_id(image.cluster_id());
  };
  children.push_back(
      {"broker_heartbeat", "broker_heartbeat", [this, self, on_image](caf::actor_system& system, const ActorRowPtr& row) {
         return spawn_broker_heartbeat(system,
                                       {.broker = self,
                                        .incarnation = parts_.incarnation,
                                        .images = parts_.images,
                                        .metadata_quorum = parts_.metadata_quorum,
                                        .links = &mesh_,
                                        .standing = standing_,
                                        .on_image = on_image,
                                        .interval_ms = std::min<Millis>(250, config_.cluster.session_ms / 4)},
                                       row);
       }});
  return children;
}

void Cluster::told_of(const std::vector<metadata::BrokerImage>& brokers) {
  mesh_.set_peers(peers_of(brokers, BrokerId{config_.node_id}));
}

caf::actor Cluster::spawn_stand_in(caf::actor_system& system, const LeaderLocator::Remote& remote) {
  const auto name = remote.topic + "/" + to_string(remote.partition.partition);
  const auto row = parts_.table->add("remote_leader", name, "partition_manager");
  const auto on_end = [on_end = remote.on_end, table = parts_.table, name](caf::actor_id id) {
    on_end(id);
    table->remove("remote_leader", name);
  };
  return spawn_remote_leader(
      system,
      {.partition = remote.partition, .broker = remote.broker, .epoch = remote.epoch, .links = &mesh_, .on_end = on_end},
      row);
}

void Cluster::leave(Millis wait_ms_max) {
  if (parts_.images->get()->registrations().size() < 2) return;  // nobody takes over
  standing_->wants_shutdown = true;
  const SystemClock clock;
  const auto deadline = clock.monotonic_now() + wait_ms_max;
  while (!standing_->may_stop && clock.monotonic_now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the actors know nothing of this thread
  }
}

/// Refusals that time alone does not end; nullptr: not one of these.
const char* way_out(Errc code) {
  switch (code) {
    case Errc::inconsistent_cluster_id:
      return "point this node at the nodes of its own cluster, or stop it and empty its data directory to let it join this "
             "one";
    case Errc::duplicate_broker_registration:
      return "give one of the two another node.id and a data directory of its own, or stop it";
    case Errc::wrong_owner: return "hold the ids and addresses in cluster.voters against the nodes that listen there";
    case Errc::invalid_config:
      return "hold the [cluster.tls] of both nodes against each other: all nodes of a cluster have certificates of one "
             "authority, or none has TLS";
    case Errc::policy_violation: return "start the older of the two nodes with a newer version";
    default: return nullptr;
  }
}

HealthCheck Cluster::check_links() const {
  std::string said;
  std::size_t away = 0;
  for (const auto& [peer, error] : mesh_.troubles()) {
    const auto* out = way_out(error.code);
    if (out == nullptr) {
      ++away;
      continue;
    }
    const auto whom = peer == no_broker ? std::string("a node of cluster.join") : "node " + to_string(peer);
    said += (said.empty() ? "" : "; ") + ("no link to " + whom + ", " + to_string(error) + ": " + out);
  }
  if (!said.empty()) return {"links", false, said};
  return {"links", true,
          away == 0 ? "no node refuses this one" : std::to_string(away) + " nodes cannot be reached, none refuses this one"};
}

std::string Cluster::reachable_voters() const {
  std::string said;
  const auto [voters, since, lost] = quorum_->get();
  if (since) said += " since " + std::to_string(std::max<Millis>(0, SystemClock{}.monotonic_now() - *since)) + " ms";
  if (voters.empty()) return said + ": this node has not found its cluster yet";
  const auto up = mesh_.up();
  const auto reachable = std::ranges::count_if(voters, [&](BrokerId voter) {
    if (std::ranges::find(lost, voter) != lost.end()) return false;
    return voter == BrokerId{config_.node_id} || std::ranges::find(up, voter, &PeerState::id) != up.end();
  });
  said += ": " + std::to_string(reachable) + " of " + std::to_string(voters.size()) + " voters can be reached";
  for (const auto voter : lost) {
    said += ", node " + to_string(voter) + " came back without the metadata directory that votes";
  }
  return static_cast<std::size_t>(reachable) <= voters.size() / 2 ? said + ", which is no majority" : said;
}

HealthCheck Cluster::check() const {
  const auto image = parts_.images->get();
  if (image->controller_id() == no_broker) {
    return {"cluster", false,
            "no controller" + reachable_voters() + "; partitions whose leader is alive go on as far as their replicas do"};
  }
  if (standing_->fenced)
    return {"cluster", false, "this node is fenced: it leads nothing until the controller has heard it"};
  return {"cluster", true,
          "controller is node " + to_string(image->controller_id()) + ", " + std::to_string(mesh_.up().size()) +
              " other nodes can be reached"};
}

}  // namespace troupe::runtime
