#include "actors/link/wire_gate.hpp"

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/others.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/errors.hpp"
#include "actors/link/link_messages.hpp"
#include "actors/link/wire_scribe.hpp"

namespace troupe::actors {

/// From the wire's thread to the gate.
struct WireOpened {
  std::uint64_t number = 0;
  Result<WireConnectionPtr> connection = WireConnectionPtr{};
};
struct WireAccepted {
  WireConnectionPtr connection = {};
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::WireOpened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::WireAccepted)

namespace troupe::actors {
namespace {

using Sides = link::BaspGuard::Side;
using Interfaces = std::set<std::string>;

/// CAF answers at once, or closes the connection after its own timeout.
constexpr std::chrono::seconds basp_timeout{5};

class WireGateState {
 public:
  using Self = caf::stateful_actor<WireGateState>;
  using Connected = caf::typed_response_promise<caf::node_id, caf::strong_actor_ptr, Interfaces>;
  static constexpr const char* name = "wire_gate";

  ~WireGateState() {
    if (!listener_) return;
    options_.wire->close(*listener_);
    caf::anon_send(broker_, caf::close_atom::value, listener_->port);
  }

  caf::behavior make_behavior(Self* self, WireGateOptions options) {
    self_ = self;
    options_ = std::move(options);
    broker_ = self_->system().middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
    self_->set_exit_handler([self](const caf::exit_msg& exit) { self->quit(exit.reason); });
    self_->set_default_handler(caf::drop);
    return {
        [this](caf::connect_atom, const std::string& host, std::uint16_t port) {
          return connect({host, port});
        },
        [this](const WireOpened& opened) { on_opened(opened); },
        [this](const LinkOwner& owner) { self_->link_to(owner.owner); },
        [this](caf::publish_atom, std::uint16_t port, const caf::strong_actor_ptr& endpoint, const Interfaces&,
               const std::string& host, bool) {
          return publish({host, port}, endpoint);
        },
        [this](const WireAccepted& accepted) {
          if (endpoint_ == nullptr) return;
          caf::anon_send(broker_, caf::publish_atom::value, scribe_of(accepted.connection, Sides::accepted), listener_->port,
                         endpoint_, Interfaces{});
        },
        [this](caf::close_atom, std::uint16_t) {
          endpoint_ = nullptr;
          if (listener_) options_.wire->close(*listener_);
        },
    };
  }

 private:
  struct Waiting {
    Connected promise;
    std::uint16_t port = 0;
  };

  caf::io::scribe_ptr scribe_of(const WireConnectionPtr& connection, Sides side) {
    return make_wire_scribe(self_->system(), connection, side, options_.names);
  }

  Connected connect(const link::PeerAddress& address) {
    auto promise = self_->make_response_promise<Connected>();
    const auto number = ++last_number_;
    waiting_.emplace(number, Waiting{promise, address.port});
    const auto done = [to = self_->address(), number](Result<WireConnectionPtr> connection) {
      if (const auto gate = caf::actor_cast<caf::actor>(to)) caf::anon_send(gate, WireOpened{number, std::move(connection)});
    };
    options_.wire->connect(address, options_.connect_timeout_ms, done);
    return promise;
  }

  void on_opened(const WireOpened& opened) {
    const auto found = waiting_.find(opened.number);
    if (found == waiting_.end()) return;
    auto [promise, port] = std::move(found->second);
    waiting_.erase(found);
    if (!opened.connection) {
      promise.deliver(to_caf_error(opened.connection.error()));
      return;
    }
    self_->request(broker_, basp_timeout, caf::connect_atom::value, scribe_of(*opened.connection, Sides::opened), port)
        .then(
            [promise](caf::node_id& node, caf::strong_actor_ptr& actor, Interfaces& interfaces) mutable {
              promise.deliver(std::move(node), std::move(actor), std::move(interfaces));
            },
            [promise](caf::error& error) mutable { promise.deliver(std::move(error)); });
  }

  caf::result<std::uint16_t> publish(const link::PeerAddress& address, const caf::strong_actor_ptr& endpoint) {
    const auto accepted = [to = self_->address()](WireConnectionPtr connection) {
      if (const auto gate = caf::actor_cast<caf::actor>(to)) caf::anon_send(gate, WireAccepted{std::move(connection)});
    };
    const auto listener = options_.wire->listen(address, accepted);
    if (!listener) return to_caf_error(listener.error());
    endpoint_ = endpoint;
    listener_ = *listener;
    return listener_->port;
  }

  Self* self_ = nullptr;
  WireGateOptions options_;
  caf::actor broker_ = {};
  caf::strong_actor_ptr endpoint_ = nullptr;
  std::optional<PeerWire::Listener> listener_ = std::nullopt;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::uint64_t last_number_ = 0;
};

caf::behavior wire_gate(WireGateState::Self* self, WireGateOptions options) {
  return self->state.make_behavior(self, std::move(options));
}

}  // namespace

caf::actor spawn_wire_gate(caf::actor_system& system, WireGateOptions options) {
  return system.spawn(wire_gate, std::move(options));
}

}  // namespace troupe::actors
