#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include "actors/link/envelope.hpp"
#include "actors/link/link_mesh.hpp"
#include "actors/link/link_messages.hpp"
#include "runtime/node/socket_wire.hpp"
#include "runtime/node/tcp_probe.hpp"
#include "tests/support/catch.hpp"

namespace troupe::test {

inline constexpr std::chrono::seconds patience{20};

/// Whether it comes to be in time.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// What the actors of all nodes have told the test's thread.
class Board {
 public:
  void add(std::string line) {
    const std::lock_guard lock{mutex_};
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  /// Whether that line is there, or comes in time.
  bool sees(const std::string& line, std::ptrdiff_t times = 1) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, patience, [&] { return std::ranges::count(lines_, line) >= times; });
  }
  std::ptrdiff_t count(const std::string& line) {
    const std::lock_guard lock{mutex_};
    return std::ranges::count(lines_, line);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// One node of real threads and sockets. It answers each call with the size of what it was asked.
struct TcpNode {
  struct Config : caf::actor_system_config {
    Config() {
      set("scheduler.policy", caf::atom("sharing"));
      set("scheduler.max-threads", std::size_t{2});
      actors::configure_links(*this, {});
    }
  };

  /// The machine may be busy with other tests: what is slow here is no failure.
  static link::LinkMachine::Options unhurried() {
    link::LinkMachine::Options options;
    options.suspicion_ms = 15'000;
    options.hello_timeout_ms = 5'000;
    options.connect_timeout_ms = 5'000;
    options.probe_timeout_ms = 5'000;
    return options;
  }

  /// `tls`: nullopt, it speaks without.
  TcpNode(Board& board, int id, std::map<BrokerId, link::PeerAddress> peers,
          std::optional<runtime::TlsContext> tls = std::nullopt, std::uint16_t port = 0,
          const runtime::SocketWire::Options& wire_options = {})
      : wire(std::move(tls), wire_options),
        mesh({.self = {Uuid{{9}}, BrokerId{id}, Uuid::random()},
              .listen = link::PeerAddress{"127.0.0.1", port},
              .peers = std::move(peers),
              .machine = unhurried(),
              .probe = &probe,
              .table = &table,
              .wire = &wire,
              .seed = static_cast<std::uint64_t>(id)}),
        system(std::make_unique<caf::actor_system>(config)) {
    const auto name = "node " + std::to_string(id) + ": ";
    const auto serve = [](caf::event_based_actor*, Board* to, actors::PeerLinks* links,
                          const std::string& me) -> caf::behavior {
      return {
          [=](const actors::PeerMessage& message) {
            to->add(me + "message of " + std::to_string(message.payload.size()));
            links->answer(message, Bytes::copy_of(as_bytes(std::to_string(message.payload.size()))));
          },
          [=](const actors::PeerAnswer& answer) {
            to->add(
                me + "answer " +
                (answer.answer ? std::string(as_text(*answer.answer)) : std::string(to_string(answer.answer.error().code))));
          },
          [=](const actors::PeerState& state) {
            to->add(me + to_string(state.id) + (state.up ? " up" : state.refused ? " refused" : " down"));
          },
      };
    };
    actors::PeerLinks* links = &mesh;
    actor = system->spawn(serve, &board, links, name);
    mesh.serve(actors::Channel::gateway, actor);
    manager = mesh.start(*system, table.add("link_manager", "links"));
  }
  ~TcpNode() {
    caf::anon_send_exit(manager, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    manager = nullptr;
    actor = nullptr;
    system.reset();
  }

  std::uint16_t port() {
    REQUIRE(eventually([&] { return mesh.port() != 0; }));
    return mesh.port();
  }
  void call(int to, std::size_t size) {
    mesh.call(BrokerId{to}, actors::Channel::gateway, Bytes::copy_of(as_bytes(std::string(size, 'x'))), 10'000, 1, actor);
  }

  /// Why its link to that broker is not there; empty: nothing is said.
  std::string trouble(const std::string& broker) {
    for (const auto& row : table.snapshot()) {
      if (row.name == "link/" + broker && row.last_error) return *row.last_error;
    }
    return {};
  }
  bool says(const std::string& broker, const std::string& words) {
    return eventually([&] { return trouble(broker).find(words) != std::string::npos; });
  }

  runtime::TcpProbe probe;
  runtime::SocketWire wire;
  actors::ActorTable table;
  Config config;
  actors::LinkMesh mesh;
  std::unique_ptr<caf::actor_system> system;
  caf::actor actor;
  caf::actor manager;
};

inline link::PeerAddress at(std::uint16_t port) { return {"127.0.0.1", port}; }

}  // namespace troupe::test
