#include "actors/controller_desk.hpp"

#include <chrono>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"

namespace troupe::actors {
namespace {

class ControllerDeskState {
 public:
  using Self = caf::stateful_actor<ControllerDeskState>;
  static constexpr const char* name = "controller_desk";

  caf::behavior make_behavior(Self* self, ControllerDeskOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    row_->set_state(ActorState::running);
    return {[this](const AskController& asked) { ask(asked); }};
  }

 private:
  void ask(const AskController& asked) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    const auto answer = [self = self_, token = asked.token,
                         reply_to = asked.reply_to](Result<metadata::AlterPartitionsAnswer> said) {
      self->send(reply_to, AlterPartitionsAnswered{token, std::move(said)});
    };
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return answer(Error{Errc::leader_not_available, "the metadata is not available now: retry"});
    // Somewhat longer than the request's own time: its answer says more than that there was none.
    const std::chrono::milliseconds patience{options_.timeout_ms + 1'000};
    self_->request(quorum, patience, ChangeCluster{asked.request, options_.timeout_ms})
        .then([answer](const ClusterChanged& changed) { answer(changed.answer->partitions); },
              [answer](caf::error& error) { answer(from_caf_error(error)); });
  }

  Self* self_ = nullptr;
  ControllerDeskOptions options_;
  ActorRowPtr row_;
};

caf::behavior controller_desk(ControllerDeskState::Self* self, ControllerDeskOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_controller_desk(caf::actor_system& system, ControllerDeskOptions options, ActorRowPtr row) {
  return system.spawn(controller_desk, std::move(options), std::move(row));
}

}  // namespace troupe::actors
