#include "actors/instance_desk.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"

namespace troupe::actors {

/// From instance_desk to itself.
struct InstanceDeskTick {};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::InstanceDeskTick)

namespace troupe::actors {

void InstanceFront::serve(std::weak_ptr<InstanceServer> server) {
  const std::lock_guard lock(mutex_);
  server_ = std::move(server);
}

std::shared_ptr<InstanceServer> InstanceFront::server() const {
  const std::lock_guard lock(mutex_);
  return server_.lock();
}

void InstanceFront::call(BrokerId node, Bytes call, Millis timeout_ms, Reply<Bytes> reply) {
  const auto desk = desk_->get();
  if (!desk)
    return reply(Error{Errc::coordinator_not_available, "the node is starting or stopping: nothing was done, retry"});
  caf::anon_send(desk,
                 std::make_shared<InstanceLinkCall>(InstanceLinkCall{node, std::move(call), timeout_ms, std::move(reply)}));
}

namespace {

constexpr Millis retry_ms = 25;
constexpr auto tick_pause = std::chrono::milliseconds(25);
constexpr Millis timeout_ms_max = 600'000;

class InstanceDeskState {
 public:
  using Self = caf::stateful_actor<InstanceDeskState>;
  static constexpr const char* name = "instance_desk";

  caf::behavior make_behavior(Self* self, InstanceDeskOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    options_.links->serve(Channel::consumer, caf::actor_cast<caf::actor>(self_));
    row_->set_state(ActorState::running);
    return {
        [this](const std::shared_ptr<InstanceLinkCall>& call) { handle([&] { take(*call); }); },
        [this](const PeerMessage& message) { handle([&] { serve(message); }); },
        [this](const PeerAnswer& answer) { handle([&] { answered(answer); }); },
        [this](const PeerState& state) { handle([&] { on_state(state); }); },
        [this](const InstanceDeskTick&) { handle([&] { tick(); }); },
    };
  }

 private:
  struct OpenCall {
    BrokerId node;
    Bytes call;
    Reply<Bytes> reply;
    MonotonicMs deadline;
  };
  using Calls = std::unordered_map<std::uint64_t, OpenCall>;

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }
  MonotonicMs now() const { return now_of(*self_); }

  // --- calls of this node

  void take(InstanceLinkCall& call) {
    if (calls_.size() >= options_.calls_max) {
      return call.reply(Error{Errc::overloaded,
                              std::to_string(calls_.size()) + " calls wait for other nodes: nothing was done, retry later"});
    }
    const auto deadline = now() + std::clamp<Millis>(call.timeout_ms, 1, timeout_ms_max);
    const auto token = ++last_token_;
    const auto at = calls_.emplace(token, OpenCall{call.node, std::move(call.call), std::move(call.reply), deadline}).first;
    attempt(at);
  }

  void attempt(Calls::iterator at) {
    const auto& call = at->second;
    options_.links->call(call.node, Channel::consumer, call.call, std::max<Millis>(1, call.deadline - now()), at->first,
                         caf::actor_cast<caf::actor>(self_));
  }

  void end(Calls::iterator at, Result<Bytes> answer) {
    auto reply = std::move(at->second.reply);
    calls_.erase(at);
    reply(std::move(answer));
  }

  void answered(const PeerAnswer& answer) {
    const auto at = calls_.find(answer.token);
    if (at == calls_.end()) return;
    const bool unsent = !answer.answer && answer.answer.error().code == Errc::broker_not_available;
    if (!unsent) return end(at, answer.answer);
    if (is_gone(at->second.node)) return end(at, answer.answer);
    if (now() + retry_ms >= at->second.deadline) {
      return end(at, Error{Errc::coordinator_not_available,
                           "broker " + to_string(at->second.node) + " cannot be reached now: nothing was done, retry"});
    }
    retries_.emplace(now() + retry_ms, answer.token);
    keep_ticking();
  }

  /// It does not come back as it was: what it had is for others to take.
  bool is_gone(BrokerId node) const {
    if (refused_.contains(node)) return true;
    const auto image = options_.images->get();
    if (image->registrations().empty()) return false;  // this node does not know its cluster yet
    const auto* broker = image->find_broker(node);
    return broker == nullptr || broker->fenced;
  }

  void tick() {
    ticking_ = false;
    while (!retries_.empty() && retries_.begin()->first <= now()) {
      const auto token = retries_.begin()->second;
      retries_.erase(retries_.begin());
      if (const auto at = calls_.find(token); at != calls_.end()) attempt(at);
    }
    keep_ticking();
  }

  void keep_ticking() {
    if (!retries_.empty() && !std::exchange(ticking_, true)) self_->delayed_send(self_, tick_pause, InstanceDeskTick{});
  }

  // --- other nodes

  void serve(const PeerMessage& message) {
    if (message.call == 0) return;
    const auto server = options_.front->server();
    if (!server)
      return options_.links->answer(message, Error{Errc::not_coordinator, "no door is open here: nothing was done"});
    auto asked = message;
    asked.payload = {};
    server->on_call(message.from, message.payload,
                    Reply<Bytes>{[links = options_.links, asked = std::move(asked)](Result<Bytes> answer) {
                      links->answer(asked, std::move(answer));
                    }});
  }

  void on_state(const PeerState& state) {
    if (state.up) {
      refused_.erase(state.id);
    } else if (state.refused) {
      refused_.insert(state.id);
    }
    if (const auto server = options_.front->server()) server->on_link(state.id);
  }

  Self* self_ = nullptr;
  InstanceDeskOptions options_;
  ActorRowPtr row_;
  std::uint64_t last_token_ = 0;
  Calls calls_;
  std::set<std::pair<MonotonicMs, std::uint64_t>> retries_;
  bool ticking_ = false;
  std::set<BrokerId> refused_;
};

caf::behavior instance_desk(InstanceDeskState::Self* self, InstanceDeskOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_instance_desk(caf::actor_system& system, InstanceDeskOptions options, ActorRowPtr row) {
  return system.spawn(instance_desk, std::move(options), std::move(row));
}

}  // namespace troupe::actors
