#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/network/test_multiplexer.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include "actors/link/envelope.hpp"
#include "actors/link/link_mesh.hpp"
#include "base/prng.hpp"
#include "tests/support/catch.hpp"

namespace troupe::test {

inline Uuid uuid_of(std::uint8_t number) { return Uuid{{number, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}}; }
inline Bytes bytes_of(std::string_view text) { return Bytes::copy_of(as_bytes(text)); }

/// What an actor of one node has heard on its channels.
struct Heard {
  std::vector<std::string> messages = {};  ///< "1:hello"
  std::vector<std::string> answers = {};   ///< "7:hello" or "7:request_timed_out"
  std::vector<std::string> states = {};    ///< "2 up", "2 down", "2 refused"
  std::vector<Uuid> runs = {};             ///< of each state
  std::vector<actors::PeerMessage> calls = {};
};

inline caf::behavior hearing(caf::event_based_actor*, const std::shared_ptr<Heard>& heard) {
  return {
      [heard](const actors::PeerMessage& message) {
        heard->messages.push_back(to_string(message.from) + ":" + std::string(as_text(message.payload)));
        if (message.call != 0) heard->calls.push_back(message);
      },
      [heard](const actors::PeerAnswer& answer) {
        heard->answers.push_back(
            std::to_string(answer.token) + ":" +
            (answer.answer ? std::string(as_text(*answer.answer)) : std::string(to_string(answer.answer.error().code))));
      },
      [heard](const actors::PeerState& state) {
        heard->states.push_back(to_string(state.id) + (state.up ? " up" : state.refused ? " refused" : " down"));
        heard->runs.push_back(state.incarnation);
      },
  };
}

/// Several actor systems with CAF's whole network layer in one thread, on one virtual clock, in an order of seeded chance. Connections
/// are CAF's own, over buffers: the test cuts them (bytes wait), resets them, and ends and restarts nodes.
class SimNetwork {
 public:
  struct NodeOptions {
    std::uint8_t run = 0;  ///< 0: a new one
    Uuid cluster = uuid_of(200);
    std::set<int> peers = {};        ///< whose addresses it is given
    std::set<int> contacts = {};     ///< the same without their ids
    std::map<int, int> misled = {};  ///< an address that leads to another node: wanted, there
    std::uint16_t version = 1;
    int broker = 0;  ///< its broker id; 0: as the test calls it
  };

  explicit SimNetwork(std::uint64_t seed) : random_(seed) {}
  ~SimNetwork() {
    while (!nodes_.empty()) stop(nodes_.begin()->first);
  }
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  /// A node begins; its actor serves quorum and gateway.
  void start(int id, const NodeOptions& options) {
    REQUIRE_FALSE(nodes_.contains(id));
    auto& node = *nodes_.emplace(id, std::make_unique<Node>(*this, id)).first->second;
    node.run = options.run != 0 ? options.run : ++runs_;
    node.scheduler().clock().current_time += std::chrono::hours(1);
    node.acceptor = caf::io::accept_handle::from_int(next_handle_++);
    node.network().provide_acceptor(port_of(id), node.acceptor);
    actors::LinkMesh::Options mesh{
        .self = {options.cluster, BrokerId{options.broker != 0 ? options.broker : id}, uuid_of(node.run)},
        .listen = link::PeerAddress{"127.0.0.1", port_of(id)},
        .probe = &node.probe,
        .table = &node.table,
        .seed = random_.next()};
    mesh.machine.versions = {options.version, options.version};
    for (const auto peer : options.peers) {
      const auto leads = options.misled.contains(peer) ? options.misled.at(peer) : peer;
      mesh.peers[BrokerId{peer}] = address_of(leads);
    }
    for (const auto contact : options.contacts) mesh.contacts.push_back(address_of(contact));
    node.mesh.emplace(std::move(mesh));
    node.listener = node.system->spawn(hearing, node.heard);
    node.mesh->serve(actors::Channel::quorum, node.listener);
    node.mesh->serve(actors::Channel::gateway, node.listener);
    node.manager = node.mesh->start(*node.system, node.table.add("link_manager", "links"));
    run();
  }

  /// The process ends: its connections close, and its port refuses.
  void stop(int id) {
    auto& node = *nodes_.at(id);
    caf::anon_send_exit(node.manager, caf::exit_reason::kill);
    caf::anon_send_exit(node.listener, caf::exit_reason::kill);
    node.manager = nullptr;
    node.listener = nullptr;
    ending_ = id;
    run();
    ending_ = -1;
    for (auto& connection : connections_) {
      if (connection.ends[0].node == id || connection.ends[1].node == id) close(connection, id);
    }
    std::erase_if(connections_, [](const Connection& one) { return !one.open; });
    nodes_.erase(id);
  }

  /// The actor that all links hang on fails, and its supervisor starts it again.
  void fail_manager(int id) {
    auto& node = *nodes_.at(id);
    caf::anon_send_exit(node.manager, caf::exit_reason::kill);
    run();
    node.acceptor = caf::io::accept_handle::from_int(next_handle_++);
    node.network().provide_acceptor(port_of(id), node.acceptor);
    node.manager = node.mesh->start(*node.system, node.table.add("link_manager", "links"));
    run();
  }

  actors::LinkMesh& mesh(int id) { return *nodes_.at(id)->mesh; }
  Heard& heard(int id) { return *nodes_.at(id)->heard; }
  actors::ActorTable& table(int id) { return nodes_.at(id)->table; }
  const caf::actor& listener(int id) { return nodes_.at(id)->listener; }
  const caf::actor& manager(int id) { return nodes_.at(id)->manager; }
  Uuid run_of(int id) const { return uuid_of(nodes_.at(id)->run); }
  static link::PeerAddress address_of(int id) { return {"node-" + std::to_string(id), port_of(id)}; }
  std::vector<int> up(int id) {
    std::vector<int> ids;
    for (const auto& state : mesh(id).up()) ids.push_back(state.id.value());
    return ids;
  }
  std::string last_error(int id, const std::string& link) {
    for (const auto& row : table(id).snapshot()) {
      if (row.name == link) return row.last_error.value_or("");
    }
    return "no such link";
  }

  /// What is under way between the two waits, and nobody new gets through.
  void cut(int a, int b) { cuts_.insert(std::minmax(a, b)); }
  void heal(int a, int b) { cuts_.erase(std::minmax(a, b)); }
  /// What goes from one to the other waits; the other way is free.
  void hold(int from, int to) { held_.insert({from, to}); }
  void release(int from, int to) { held_.erase({from, to}); }
  /// Their connections break, and both see it.
  void reset(int a, int b) {
    for (auto& connection : connections_) {
      if (std::minmax(connection.ends[0].node, connection.ends[1].node) == std::minmax(a, b)) close(connection, -1);
    }
    std::erase_if(connections_, [](const Connection& one) { return !one.open; });
  }

  void send(int from, int to, std::string_view text, actors::Channel channel = actors::Channel::quorum) {
    mesh(from).send(BrokerId{to}, channel, bytes_of(text));
  }
  void call(int from, int to, std::uint64_t token, Millis timeout_ms = 1'000,
            actors::Channel channel = actors::Channel::gateway) {
    mesh(from).call(BrokerId{to}, channel, bytes_of("q" + std::to_string(token)), timeout_ms, token, listener(from));
  }

  /// Until nothing is left to do at this time.
  void run() {
    for (std::size_t steps = 0; step(); ++steps) REQUIRE(steps < 1'000'000);
  }
  void advance(Millis ms) {
    run();
    for (Millis passed = 0; passed < ms; passed += 10) {
      for (auto& [id, node] : nodes_) node->scheduler().advance_time(std::chrono::milliseconds(10));
      run();
    }
  }

 private:
  struct Config : caf::actor_system_config {
    Config() {
      set("scheduler.policy", caf::atom("testing"));
      set("logger.inline-output", true);
      actors::configure_links(*this, {.heartbeat_ms = 0, .connection_timeout_ms = 0});
      set("middleman.network-backend", caf::atom("testing"));
      set("middleman.manual-multiplexing", true);
      set("middleman.attach-utility-actors", true);
      set("middleman.workers", std::size_t{0});
    }
  };

  struct Probe final : actors::PeerProbe {
    Probe(SimNetwork& of, int node) : network(of), id(node) {}
    void probe(const link::PeerAddress& address, Millis, std::function<void(link::ProbeResult)> done) override {
      done(network.probe(id, address));
    }
    SimNetwork& network;
    const int id;
  };

  struct Node {
    Node(SimNetwork& of, int id) : probe(of, id), system(std::make_unique<caf::actor_system>(config)) {}

    caf::scheduler::test_coordinator& scheduler() {
      return dynamic_cast<caf::scheduler::test_coordinator&>(system->scheduler());
    }
    caf::io::network::test_multiplexer& network() {
      return dynamic_cast<caf::io::network::test_multiplexer&>(system->middleman().backend());
    }

    Config config;
    Probe probe;
    actors::ActorTable table;
    std::shared_ptr<Heard> heard = std::make_shared<Heard>();
    std::uint8_t run = 0;
    caf::io::accept_handle acceptor;
    std::optional<actors::LinkMesh> mesh;
    std::unique_ptr<caf::actor_system> system;
    caf::actor listener;
    caf::actor manager;
  };

  struct End {
    int node = -1;
    caf::io::connection_handle handle = {};
  };
  struct Connection {
    End ends[2] = {};
    bool open = true;
  };

  static std::uint16_t port_of(int id) { return static_cast<std::uint16_t>(9000 + id); }

  link::ProbeResult probe(int from, const link::PeerAddress& address) {
    const int to = address.port - 9000;
    if (cuts_.contains(std::minmax(from, to))) return {link::ProbeResult::Outcome::failed, {}, "no answer"};
    if (!nodes_.contains(to) || to == ending_) return {link::ProbeResult::Outcome::refused, {}, "connection refused"};
    auto& client = *nodes_.at(from);
    auto& server = *nodes_.at(to);
    // A connection that broke before CAF took it cannot be taken back: the next has another name.
    const auto host = address.host + "." + std::to_string(broken_early_[{from, to}]);
    if (!client.network().has_pending_scribe(host, address.port)) {
      Connection connection;
      connection.ends[0] = {to, caf::io::connection_handle::from_int(next_handle_++)};
      connection.ends[1] = {from, caf::io::connection_handle::from_int(next_handle_++)};
      server.network().prepare_connection(server.acceptor, connection.ends[0].handle, client.network(), host, address.port,
                                          connection.ends[1].handle);
      connections_.push_back(connection);
    }
    return {link::ProbeResult::Outcome::open, host, {}};
  }

  void close(Connection& connection, int but) {
    for (const auto& end : connection.ends) {
      if (end.node == but || !nodes_.contains(end.node)) continue;
      auto& network = nodes_.at(end.node)->network();
      if (const auto scribe = network.impl_ptr(end.handle)) {
        scribe->io_failure(&network, caf::io::network::operation::read);
      } else if (&end == &connection.ends[1]) {
        ++broken_early_[{end.node, connection.ends[0].node}];
      }
    }
    connection.open = false;
  }

  bool closed(const End& end) {
    auto& network = nodes_.at(end.node)->network();
    return network.impl_ptr(end.handle) && network.stopped_reading(end.handle);
  }

  bool readable(const End& end) {
    auto& network = nodes_.at(end.node)->network();
    return network.impl_ptr(end.handle) && !network.stopped_reading(end.handle) && !network.passive_mode(end.handle) &&
           !network.virtual_network_buffer(end.handle).empty();
  }

  bool step() {
    for (auto& [id, node] : nodes_) {
      while (node->network().try_exec_runnable() || node->network().try_accept_connection()) {}
    }
    // What CAF closes on one side is closed on the other: its network in memory does not do that.
    for (auto& connection : connections_) {
      if (closed(connection.ends[0]) || closed(connection.ends[1])) close(connection, -1);
    }
    std::erase_if(connections_, [](const Connection& one) { return !one.open; });
    struct Choice {
      Node* node;
      const End* end;
    };
    std::vector<Choice> choices;
    for (auto& [id, node] : nodes_) {
      if (!node->scheduler().jobs.empty()) choices.push_back({node.get(), nullptr});
    }
    for (const auto& connection : connections_) {
      if (cuts_.contains(std::minmax(connection.ends[0].node, connection.ends[1].node))) continue;
      for (int i = 0; i < 2; ++i) {
        const auto& end = connection.ends[i];
        if (held_.contains({connection.ends[1 - i].node, end.node})) continue;
        if (readable(end)) choices.push_back({nodes_.at(end.node).get(), &end});
      }
    }
    if (choices.empty()) return false;
    const auto& chosen = choices[random_.below(choices.size())];
    if (chosen.end != nullptr) {
      chosen.node->network().read_data(chosen.end->handle);
    } else {
      auto& jobs = chosen.node->scheduler().jobs;
      const auto which = static_cast<std::ptrdiff_t>(random_.below(jobs.size()));
      std::rotate(jobs.begin(), jobs.begin() + which, jobs.begin() + which + 1);
      chosen.node->scheduler().run_once();
    }
    return true;
  }

  Prng random_;
  std::map<int, std::unique_ptr<Node>> nodes_;
  std::vector<Connection> connections_;
  std::set<std::pair<int, int>> cuts_;
  std::set<std::pair<int, int>> held_;               ///< from, to
  std::map<std::pair<int, int>, int> broken_early_;  ///< client, server
  std::int64_t next_handle_ = 1;
  std::uint8_t runs_ = 0;
  int ending_ = -1;
};

}  // namespace troupe::test
