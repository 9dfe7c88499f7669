#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include "actors/peer_links.hpp"
#include "base/assert.hpp"

namespace troupe::test {

/// A call of FakeLinks that has come to its deadline.
struct FakeCallExpired {
  std::uint64_t call;
};

}  // namespace troupe::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::test::FakeCallExpired)

namespace troupe::test {

/// The links of a whole cluster within one actor system: what one node sends is a message to the actor that serves the channel on
/// another. Without orders all nodes that were started hear each other at once; the test cuts, holds, loses and restarts. Deadlines of
/// calls run on the system's clock.
///
///   FakeLinks network{scheduler.system()};
///   auto& one = network.start(BrokerId{1});
///   auto& two = network.start(BrokerId{2});
///   two.serve(actors::Channel::quorum, actor);
///   one.send(BrokerId{2}, actors::Channel::quorum, Bytes::copy_of(as_bytes("hello")));
///
/// Goes before the scheduler does, and after the actors that use it have ended or no longer call it.
class FakeLinks {
 public:
  /// A message on its way. `call` is 0 for `send`; `is_answer`: it goes back to the caller.
  struct Passing {
    BrokerId from{-1};
    BrokerId to{-1};
    actors::Channel channel = actors::Channel::quorum;
    std::uint64_t call = 0;
    bool is_answer = false;
    Bytes payload = {};
  };

  explicit FakeLinks(caf::actor_system& system) : state_(std::make_shared<State>()) {
    const auto timer = [](caf::event_based_actor*, const std::weak_ptr<State>& weak) -> caf::behavior {
      return {[weak](const FakeCallExpired& expired) {
        if (const auto state = weak.lock()) state->expire(expired.call);
      }};
    };
    state_->system = &system;
    state_->timer = system.spawn<caf::hidden>(timer, std::weak_ptr<State>(state_));
  }
  ~FakeLinks() { caf::anon_send_exit(std::exchange(state_->timer, nullptr), caf::exit_reason::kill); }
  FakeLinks(const FakeLinks&) = delete;
  FakeLinks& operator=(const FakeLinks&) = delete;

  /// A run of the node begins, the first or another one; who served channels of an earlier run no longer does. A nil incarnation:
  /// one that counts up.
  actors::PeerLinks& start(BrokerId id, const Uuid& incarnation = {}) { return state_->start(id, incarnation); }
  /// The node's process is gone: the others hear `refused`, and their calls to it end.
  void stop(BrokerId id) { state_->stop(id); }
  /// Of a node that was started.
  actors::PeerLinks& of(BrokerId id) { return state_->node(id); }
  Uuid incarnation_of(BrokerId id) const { return state_->node(id).incarnation; }

  /// Both lose each other, and hear of it. What is on its way between them is lost.
  void cut(BrokerId a, BrokerId b) { state_->cut(a, b); }
  void heal(BrokerId a, BrokerId b) { state_->heal(a, b); }
  /// From now on what goes from one to the other waits, in order, until `release`. Nobody hears of it.
  void hold(BrokerId from, BrokerId to) { state_->hold(from, to); }
  void release(BrokerId from, BrokerId to) { state_->release(from, to); }
  /// What this says true of is lost, and nobody hears of it. It must not use the network. Null: nothing.
  void lose_if(std::function<bool(const Passing&)> loses) { state_->loses = std::move(loses); }
  /// Each message that is sent, before it is known whether it arrives. It must not use the network.
  void watch(std::function<void(const Passing&)> watcher) { state_->watcher = std::move(watcher); }

 private:
  using Pair = std::pair<BrokerId, BrokerId>;

  struct State;
  struct Node final : actors::PeerLinks {
    Node(State& network_state, BrokerId broker) : network(network_state), id(broker) {}

    void serve(actors::Channel channel, const caf::actor& receiver) override { network.serve(*this, channel, receiver); }
    void send(BrokerId to, actors::Channel channel, Bytes payload) override {
      network.pass({id, to, channel, 0, false, std::move(payload)}, std::nullopt);
    }
    void call(BrokerId to, actors::Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t token,
              const caf::actor& reply_to) override {
      network.call(*this, to, channel, std::move(payload), timeout_ms, token, reply_to);
    }
    void answer(const actors::PeerMessage& message, Result<Bytes> answer) override {
      network.answer(*this, message, std::move(answer));
    }

    State& network;
    const BrokerId id;
    Uuid incarnation = {};
    bool runs = false;
    std::map<actors::Channel, caf::actor_addr> served = {};
  };

  struct Call {
    BrokerId caller{-1};
    BrokerId callee{-1};
    Uuid run = {};  ///< of the caller
    actors::Channel channel = actors::Channel::quorum;
    std::uint64_t token = 0;
    caf::actor_addr reply_to = {};
  };

  struct OnItsWay {
    Passing passing;
    std::optional<Error> error = std::nullopt;  ///< of an answer
  };

  /// The lock is recursive: what is sent may go to an actor that CAF lets run at once.
  struct State {
    using Lock = std::lock_guard<std::recursive_mutex>;

    actors::PeerLinks& start(BrokerId id, Uuid run) {
      const Lock lock(mutex);
      stop(id);
      auto& started = nodes.try_emplace(id, *this, id).first->second;
      const auto number = ++runs;
      if (run.is_nil())
        run = Uuid{{0xfa, 0xfe, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(number >> 8),
                    static_cast<std::uint8_t>(number)}};
      started.incarnation = run;
      started.runs = true;
      for (auto& [other, there] : nodes) {
        if (other != id && hears(other, id)) tell_all(there, state_of(started, true, false));
      }
      return started;
    }

    void stop(BrokerId id) {
      const Lock lock(mutex);
      const auto found = nodes.find(id);
      if (found == nodes.end() || !found->second.runs) return;
      auto& gone = found->second;
      for (auto& [other, there] : nodes) {
        if (other == id || !hears(other, id)) continue;
        forget(other, id);
        tell_all(there, state_of(gone, false, true));
      }
      gone.runs = false;
      gone.served.clear();
      std::erase_if(calls, [&](const auto& one) { return one.second.caller == id; });
    }

    Node& node(BrokerId id) {
      const Lock lock(mutex);
      const auto found = nodes.find(id);
      TROUPE_ASSERT(found != nodes.end());
      return found->second;
    }

    void serve(Node& node, actors::Channel channel, const caf::actor& receiver) {
      const Lock lock(mutex);
      node.served[channel] = caf::actor_cast<caf::actor_addr>(receiver);
      for (auto& [other, there] : nodes) {
        if (other != node.id && hears(node.id, other)) caf::anon_send(receiver, state_of(there, true, false));
      }
    }

    void call(Node& node, BrokerId to, actors::Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t token,
              const caf::actor& reply_to) {
      const Lock lock(mutex);
      if (to != node.id && !hears(node.id, to)) {
        caf::anon_send(reply_to,
                       actors::PeerAnswer{token, to, Error{Errc::broker_not_available, "no link to " + to_string(to)}});
        return;
      }
      const auto number = ++numbers;
      calls[number] = {node.id, to, node.incarnation, channel, token, caf::actor_cast<caf::actor_addr>(reply_to)};
      caf::delayed_anon_send(timer, std::chrono::milliseconds(timeout_ms), FakeCallExpired{number});
      pass({node.id, to, channel, number, false, std::move(payload)}, std::nullopt);
    }

    void answer(Node& node, const actors::PeerMessage& message, Result<Bytes> answer) {
      const Lock lock(mutex);
      const auto found = calls.find(message.call);
      if (found == calls.end() || found->second.callee != node.id) return;
      Passing back{node.id, message.from, message.channel, message.call, true, {}};
      std::optional<Error> error;
      if (answer) {
        back.payload = std::move(*answer);
      } else {
        error = std::move(answer).error();
      }
      pass(std::move(back), std::move(error));
    }

    void pass(Passing passing, std::optional<Error> error) {
      const Lock lock(mutex);
      if (watcher) watcher(passing);
      if (passing.to != passing.from && !hears(passing.from, passing.to)) return;
      if (loses && loses(passing)) return;
      const Pair way{passing.from, passing.to};
      if (held.contains(way)) {
        waiting[way].push_back({std::move(passing), std::move(error)});
      } else {
        deliver({std::move(passing), std::move(error)});
      }
    }

    void deliver(OnItsWay arriving) {
      auto& passing = arriving.passing;
      if (passing.is_answer) {
        if (arriving.error) return end_call(passing.call, std::move(*arriving.error));
        return end_call(passing.call, std::move(passing.payload));
      }
      const auto& to = node(passing.to);
      const auto served = to.served.find(passing.channel);
      const auto receiver = served == to.served.end() ? caf::actor{} : caf::actor_cast<caf::actor>(served->second);
      if (!receiver) {
        if (passing.call != 0) end_call(passing.call, Error{Errc::broker_not_available, "nobody serves that channel"});
        return;
      }
      caf::anon_send(receiver, actors::PeerMessage{passing.from, node(passing.from).incarnation, passing.channel,
                                                   passing.call, std::move(passing.payload)});
    }

    void end_call(std::uint64_t number, Result<Bytes> answer) {
      const auto found = calls.find(number);
      if (found == calls.end()) return;
      const auto ended = found->second;
      calls.erase(found);
      if (const auto to = caf::actor_cast<caf::actor>(ended.reply_to)) {
        caf::anon_send(to, actors::PeerAnswer{ended.token, ended.callee, std::move(answer)});
      }
    }

    void expire(std::uint64_t number) {
      const Lock lock(mutex);
      end_call(number, Error{Errc::request_timed_out, "no answer in time"});
    }

    void cut(BrokerId a, BrokerId b) {
      const Lock lock(mutex);
      if (!cuts.insert(ordered(a, b)).second) return;
      forget(a, b);
      for (const auto& [here, there] : {Pair{a, b}, Pair{b, a}}) tell_of(here, there, false);
    }
    void heal(BrokerId a, BrokerId b) {
      const Lock lock(mutex);
      if (cuts.erase(ordered(a, b)) == 0) return;
      for (const auto& [here, there] : {Pair{a, b}, Pair{b, a}}) tell_of(here, there, true);
    }
    void hold(BrokerId from, BrokerId to) {
      const Lock lock(mutex);
      held.insert({from, to});
    }
    void release(BrokerId from, BrokerId to) {
      const Lock lock(mutex);
      held.erase({from, to});
      for (auto& one : std::exchange(waiting[{from, to}], {})) deliver(std::move(one));
    }

    // --- helpers

    static Pair ordered(BrokerId a, BrokerId b) { return {std::min(a, b), std::max(a, b)}; }

    bool hears(BrokerId a, BrokerId b) const {
      const auto runs_now = [this](BrokerId id) {
        const auto found = nodes.find(id);
        return found != nodes.end() && found->second.runs;
      };
      return runs_now(a) && runs_now(b) && !cuts.contains(ordered(a, b));
    }
    actors::PeerState state_of(const Node& node, bool up, bool refused) const {
      const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(system->clock().now().time_since_epoch());
      return {node.id, node.incarnation, up, refused, MonotonicMs{now.count()}};
    }
    void tell_of(BrokerId here, BrokerId there, bool up) {
      const auto a = nodes.find(here);
      const auto b = nodes.find(there);
      if (a == nodes.end() || b == nodes.end() || !a->second.runs || !b->second.runs) return;
      tell_all(a->second, state_of(b->second, up, false));
    }
    /// Each actor hears once, however many channels it serves.
    static void tell_all(const Node& node, const actors::PeerState& state) {
      std::set<caf::actor_addr> told;
      for (const auto& [channel, address] : node.served) {
        if (!told.insert(address).second) continue;
        if (const auto receiver = caf::actor_cast<caf::actor>(address)) caf::anon_send(receiver, state);
      }
    }
    /// What is between the two is lost: held messages, and calls that wait for an answer.
    void forget(BrokerId a, BrokerId b) {
      waiting.erase({a, b});
      waiting.erase({b, a});
      std::vector<std::uint64_t> ended;
      for (const auto& [number, call] : calls) {
        if (ordered(call.caller, call.callee) == ordered(a, b)) ended.push_back(number);
      }
      for (const auto number : ended)
        end_call(number, Error{Errc::request_timed_out, "the link went down: the outcome is unknown"});
    }

    caf::actor_system* system = nullptr;
    std::recursive_mutex mutex;
    std::map<BrokerId, Node> nodes;
    std::map<std::uint64_t, Call> calls;
    std::set<Pair> cuts;
    std::set<Pair> held;
    std::map<Pair, std::deque<OnItsWay>> waiting;
    std::function<bool(const Passing&)> loses;
    std::function<void(const Passing&)> watcher;
    caf::actor timer;
    std::uint64_t numbers = 0;
    std::uint64_t runs = 0;
  };

  std::shared_ptr<State> state_;
};

}  // namespace troupe::test
