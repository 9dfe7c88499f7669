#include <algorithm>
#include <chrono>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/link/link.hpp"
#include "actors/link/link_messages.hpp"

namespace troupe::actors {
namespace {

constexpr std::size_t calls_max = 16'384;
constexpr Millis timeout_ms_max = Millis{24} * 3600 * 1000;

class LoopbackState {
 public:
  using Self = caf::stateful_actor<LoopbackState>;
  static constexpr const char* name = "loopback";

  caf::behavior make_behavior(Self* self, const link::Identity& identity, std::shared_ptr<LinkDirectory> directory,
                              ActorRowPtr row) {
    self_ = self;
    identity_ = identity;
    directory_ = std::move(directory);
    row_ = std::move(row);
    row_->set_state(ActorState::running);
    return {
        [this](const LinkSend& send) { handle([&] { deliver(send.channel, 0, send.payload); }); },
        [this](const LinkCall& call) { handle([&] { on_call(call); }); },
        [this](const LinkAnswer& answer) {
          handle([&] {
            if (const auto ticket = calls_.take(answer.call)) (*ticket)->end(answer.answer);
          });
        },
        [this](const LinkTick&) {
          handle([&] {
            armed_.reset();
            for (const auto number : calls_.due(now_of(*self_))) {
              (*calls_.take(number))->end(Error{Errc::request_timed_out, "no answer in time: the outcome is unknown"});
            }
            arm_timer();
          });
        },
        [](const LinkCluster&) {},
    };
  }

 private:
  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  bool deliver(Channel channel, std::uint64_t call, const Bytes& payload) {
    const auto receiver = directory_->receiver(channel);
    if (receiver) caf::anon_send(receiver, PeerMessage{identity_.broker, identity_.incarnation, channel, call, payload});
    return static_cast<bool>(receiver);
  }

  void on_call(const LinkCall& call) {
    if (calls_.full()) return call.ticket->end(Error{Errc::overloaded, "too many calls of this node to itself"});
    const auto timeout_ms = std::clamp(call.timeout_ms, Millis{0}, timeout_ms_max);
    const auto number = calls_.add(call.ticket, now_of(*self_) + timeout_ms);
    if (!deliver(call.channel, number, call.payload)) {
      calls_.take(number);
      return call.ticket->end(Error{Errc::broker_not_available, "nobody here serves that channel yet"});
    }
    arm_timer();
  }

  void arm_timer() {
    const auto due = calls_.next_deadline();
    if (!due || (armed_ && *armed_ <= *due)) return;
    armed_ = due;
    self_->delayed_send(self_, std::chrono::milliseconds(std::max<Millis>(0, *due - now_of(*self_))), LinkTick{});
  }

  Self* self_ = nullptr;
  link::Identity identity_;
  std::shared_ptr<LinkDirectory> directory_;
  ActorRowPtr row_;
  link::CallTable<CallTicketPtr> calls_{calls_max, 0};
  std::optional<MonotonicMs> armed_;
};

caf::behavior loopback(LoopbackState::Self* self, const link::Identity& identity, std::shared_ptr<LinkDirectory> directory,
                       ActorRowPtr row) {
  return self->state.make_behavior(self, identity, std::move(directory), std::move(row));
}

}  // namespace

caf::actor spawn_loopback(caf::actor_system& system, const link::Identity& self, std::shared_ptr<LinkDirectory> directory,
                          ActorRowPtr row) {
  return system.spawn(loopback, self, std::move(directory), std::move(row));
}

}  // namespace troupe::actors
