#include "actors/supervisor.hpp"

#include <algorithm>
#include <chrono>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"

namespace troupe::actors {

/// From a supervisor to itself.
struct SupervisorWakeup {
  enum class Kind : std::uint8_t { restart, stop_deadline };
  Kind kind;
  std::size_t child;  ///< of a restart
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SupervisorWakeup)

namespace troupe::actors {
namespace {

using SupervisorSelf = Supervisor::extend<caf::reacts_to<SupervisorWakeup>>;

/// It ended because it was done, or because somebody asked it to.
bool wanted(const caf::error& reason) {
  return !reason || reason == caf::exit_reason::normal || reason == caf::exit_reason::user_shutdown;
}

class SupervisorState {
 public:
  using Pointer = SupervisorSelf::stateful_pointer<SupervisorState>;
  static constexpr const char* name = "supervisor";

  explicit SupervisorState(Pointer self) : self_(self) {}

  ~SupervisorState() {
    // Ended by force: the children do not outlive it, and nobody waits for ever.
    for (const auto& child : children_) {
      if (child.handle) caf::anon_send_exit(child.handle, caf::exit_reason::user_shutdown);
    }
    for (auto& promise : stop_promises_) promise.deliver(to_caf_error({Errc::unknown_error, "the supervisor was ended"}));
  }

  SupervisorSelf::behavior_type make_behavior(SupervisorOptions options) {
    TROUPE_ASSERT(options.table != nullptr);
    options_ = std::move(options);
    random_ = Prng{options_.seed};
    row_ = options_.table->add("supervisor", options_.name, options_.parent);
    row_->set_state(ActorState::running);
    self_->set_down_handler([this](caf::down_msg& message) { on_down(message); });
    self_->set_exit_handler([this](caf::exit_msg& message) { begin_stop(options_.stop_deadline_ms, message.reason); });
    for (auto& spec : options_.children) {
      auto row = options_.table->add(spec.kind, spec.name, options_.name);
      children_.push_back({std::move(spec), std::move(row), RestartPolicy{options_.restart}, {}});
    }
    for (auto& child : children_) start(child);
    return {
        [this](const GetChild& request) -> caf::result<Child> {
          const Handling handling{*row_, now()};
          const auto found = std::find_if(children_.begin(), children_.end(),
                                          [&](const auto& child) { return child.spec.name == request.name; });
          if (found == children_.end()) {
            return to_caf_error({Errc::not_found, options_.name + " has no child named \"" + request.name + "\""});
          }
          return Child{found->handle, found->row->state()};
        },
        [this](const StopChildren& request) {
          const Handling handling{*row_, now()};
          auto promise = self_->make_response_promise<ChildrenStopped>();
          stop_promises_.push_back(promise);
          begin_stop(request.deadline_ms, {});
          return promise;
        },
        [this](const SupervisorWakeup& wakeup) {
          const Handling handling{*row_, now()};
          if (wakeup.kind == SupervisorWakeup::Kind::stop_deadline) return kill_rest();
          if (!stopping_) restart(children_[wakeup.child]);
        },
    };
  }

 private:
  struct ChildSlot {
    ChildSpec spec;
    ActorRowPtr row;
    RestartPolicy policy;
    caf::actor handle;  ///< null unless it runs
  };

  MonotonicMs now() const { return now_of(*self_); }

  void start(ChildSlot& child) {
    child.row->set_state(ActorState::starting);
    child.handle = child.spec.start(self_->system(), child.row);
    TROUPE_ASSERT(child.handle);
    self_->monitor(child.handle);
  }

  void restart(ChildSlot& child) {
    child.row->count_restart();
    start(child);
  }

  void on_down(const caf::down_msg& message) {
    const Handling handling{*row_, now()};
    const auto found = std::find_if(children_.begin(), children_.end(), [&](const auto& child) {
      return child.handle && child.handle.address() == message.source;
    });
    if (found == children_.end()) return;
    auto& child = *found;
    child.handle = nullptr;
    if (wanted(message.reason)) {
      child.row->set_state(ActorState::stopped);
      return stop_next();
    }
    const auto error = from_caf_error(message.reason);
    child.row->set_last_error(to_string(error));
    if (stopping_) {
      child.row->set_state(ActorState::failed);
      return stop_next();
    }
    const auto pause = child.policy.on_failure(now(), random_);
    if (!pause) {
      child.row->set_state(ActorState::failed);
      log::error("actor failed too often", {log::kv("supervisor", options_.name), log::kv("name", child.spec.name),
                                            log::kv("restarts", child.row->restarts()), log::kv("error", error)});
      return begin_stop(options_.stop_deadline_ms, message.reason);
    }
    log::warn("actor failed", {log::kv("supervisor", options_.name), log::kv("name", child.spec.name),
                               log::kv("restart_in_ms", *pause), log::kv("error", error)});
    child.row->set_state(ActorState::waiting_restart);
    const auto index = static_cast<std::size_t>(found - children_.begin());
    self_->delayed_send(self_, std::chrono::milliseconds(*pause), SupervisorWakeup{SupervisorWakeup::Kind::restart, index});
  }

  // --- stopping: one child after the other, the last one first

  void begin_stop(Millis deadline_ms, const caf::error& reason) {
    if (stopping_) return;
    stopping_ = true;
    exit_reason_ = reason;
    to_stop_ = children_.size();
    self_->delayed_send(self_, std::chrono::milliseconds(deadline_ms),
                        SupervisorWakeup{SupervisorWakeup::Kind::stop_deadline, 0});
    stop_next();
  }

  void stop_next() {
    if (!stopping_) return;
    while (to_stop_ > 0) {
      auto& child = children_[to_stop_ - 1];
      if (child.handle) {
        if (child.row->state() == ActorState::stopping) return;
        child.row->set_state(ActorState::stopping);
        self_->send_exit(child.handle, caf::exit_reason::user_shutdown);
        return;
      }
      if (child.row->state() == ActorState::waiting_restart) child.row->set_state(ActorState::stopped);
      --to_stop_;
    }
    finish();
  }

  /// The deadline has come.
  void kill_rest() {
    for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
      if (!child->handle) continue;
      log::error("actor did not stop in time", {log::kv("supervisor", options_.name), log::kv("name", child->spec.name)});
      child->row->set_last_error("did not stop in time");
      child->row->set_state(ActorState::failed);
      killed_.push_back(child->spec.name);
      self_->demonitor(child->handle);
      self_->send_exit(child->handle, caf::exit_reason::kill);
      child->handle = nullptr;
    }
    finish();
  }

  void finish() {
    for (auto& promise : stop_promises_) promise.deliver(ChildrenStopped{killed_});
    stop_promises_.clear();
    row_->set_state(wanted(exit_reason_) ? ActorState::stopped : ActorState::failed);
    self_->quit(exit_reason_);
  }

  const Pointer self_;
  SupervisorOptions options_;
  Prng random_{0};
  ActorRowPtr row_;
  std::vector<ChildSlot> children_;

  bool stopping_ = false;
  std::size_t to_stop_ = 0;  ///< children [0, to_stop_) have not been stopped yet
  caf::error exit_reason_;
  std::vector<caf::typed_response_promise<ChildrenStopped>> stop_promises_;
  std::vector<std::string> killed_;
};

SupervisorSelf::behavior_type supervisor(SupervisorState::Pointer self, SupervisorOptions options) {
  return self->state.make_behavior(std::move(options));
}

}  // namespace

Supervisor spawn_supervisor(caf::actor_system& system, SupervisorOptions options) {
  return system.spawn(supervisor, std::move(options));
}

}  // namespace troupe::actors
