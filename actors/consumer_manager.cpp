#include "actors/consumer_manager.hpp"

#include <chrono>
#include <map>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/consumer_messages.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"

namespace troupe::actors {
namespace {

class ConsumerManagerState {
 public:
  using Self = caf::stateful_actor<ConsumerManagerState>;
  static constexpr const char* name = "consumer_manager";

  caf::behavior make_behavior(Self* self, ConsumerManagerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = options;
    row_ = std::move(row);
    self_->set_down_handler([this](const caf::down_msg& down) { handle([&] { on_down(down); }); });
    self_->set_exit_handler([this](const caf::exit_msg& exit) { handle([&] { stop(exit.reason); }); });
    row_->set_state(ActorState::running);
    return {
        [this](const AdoptConsumer& adopt) { handle([&] { on_adopt(adopt); }); },
        [this](const ConsumerDeadline&) { handle([this] { self_->quit(exit_reason_); }); },
    };
  }

 private:
  struct Child {
    caf::actor consumer;
    ActorRowPtr row;
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  void on_adopt(const AdoptConsumer& adopt) {
    self_->monitor(adopt.consumer);
    children_.emplace(adopt.consumer.address(), Child{adopt.consumer, adopt.row});
    if (stopping_) tell_to_leave(adopt.consumer);
  }

  void on_down(const caf::down_msg& down) {
    const auto found = children_.find(down.source);
    if (found == children_.end()) return;
    const auto& row = *found->second.row;
    if (down.reason && down.reason != caf::exit_reason::user_shutdown) {
      log::error("consumer failed", {log::kv("name", row.name()), log::kv("error", from_caf_error(down.reason))});
    }
    options_.table->remove(row.kind(), row.name());
    children_.erase(found);
    if (stopping_ && children_.empty()) self_->quit(exit_reason_);
  }

  void stop(const caf::error& reason) {
    if (std::exchange(stopping_, true)) return;
    exit_reason_ = reason;
    if (children_.empty() || reason == caf::exit_reason::kill) return self_->quit(exit_reason_);
    for (const auto& [address, child] : children_) tell_to_leave(child.consumer);
    self_->delayed_send(self_, std::chrono::milliseconds(options_.leave_ms_max), ConsumerDeadline{});
  }

  static void tell_to_leave(const caf::actor& consumer) {
    caf::anon_send(consumer, std::make_shared<ConsumerInput>(ConsumerAbandoned{}));
  }

  Self* self_ = nullptr;
  ConsumerManagerOptions options_;
  ActorRowPtr row_;
  std::map<caf::actor_addr, Child> children_;
  bool stopping_ = false;
  caf::error exit_reason_;
};

caf::behavior consumer_manager(ConsumerManagerState::Self* self, ConsumerManagerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, options, std::move(row));
}

}  // namespace

caf::actor spawn_consumer_manager(caf::actor_system& system, ConsumerManagerOptions options, ActorRowPtr row) {
  return system.spawn(consumer_manager, options, std::move(row));
}

}  // namespace troupe::actors
