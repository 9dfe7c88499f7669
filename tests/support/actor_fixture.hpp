#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include "base/prng.hpp"
#include "base/result.hpp"
#include "tests/support/catch.hpp"

/// Actors in one thread, in an order and at a time that the test decides.
namespace troupe::test {

/// An actor system whose next step is chosen by seeded chance among the actors that have something to do. One step handles one
/// message; messages from one actor to another keep their order. Time stands still but for `advance`. The same seed gives the
/// same steps.
class SeededScheduler {
 public:
  explicit SeededScheduler(std::uint64_t seed) : random_(seed), system_(std::make_unique<System>()) {}

  ~SeededScheduler() { end_owned(); }
  SeededScheduler(const SeededScheduler&) = delete;
  SeededScheduler& operator=(const SeededScheduler&) = delete;

  caf::actor_system& system() { return system_->actors; }

  template <class Handle>
  Handle own(Handle actor) {
    owned_.push_back(caf::actor_cast<caf::actor>(actor));
    return actor;
  }

  /// Actors that were `owned` are ended by force: one that arms its timer for ever would keep CAF from ending. A fixture calls it before
  /// what its actors use goes away.
  void end_owned() {
    for (const auto& actor : owned_) caf::anon_send_exit(actor, caf::exit_reason::kill);
    owned_.clear();
    run();
  }

  /// One message is handled. False: nobody has anything to do.
  bool step() {
    auto& jobs = coordinator().jobs;
    if (jobs.empty()) return false;
    const auto chosen = static_cast<std::ptrdiff_t>(random_.below(jobs.size()));
    std::rotate(jobs.begin(), jobs.begin() + chosen, jobs.begin() + chosen + 1);
    if (const auto* actor = dynamic_cast<const caf::local_actor*>(jobs.front())) {
      trace_.push_back(std::string(actor->name()) + "#" + std::to_string(actor->id()));
    }
    coordinator().run_once();
    return true;
  }

  /// Steps until nobody has anything to do. Fails the test after too many.
  void run(std::size_t steps_max = 1'000'000) {
    for (std::size_t steps = 0; step(); ++steps) REQUIRE(steps < steps_max);
  }

  /// Runs, then moves the clock, then runs what became due. What is done in between may arm timers that are due within `ms`: it is
  /// done in small moves.
  void advance(std::int64_t ms) {
    constexpr std::int64_t move_ms = 10;
    run();
    for (std::int64_t left = ms; left > 0; left -= move_ms) {
      coordinator().clock().advance_time(std::chrono::milliseconds(std::min(left, move_ms)));
      run();
    }
  }

  /// Who was chosen, step by step.
  const std::vector<std::string>& trace() const { return trace_; }

  /// Sends a request, runs until nobody has anything to do, and returns the answer: fails the test when there is none.
  template <class Reply, class Handle, class Request>
  caf::expected<Reply> ask(const Handle& actor, Request request) {
    auto answer = start_asking<Reply>(actor, std::move(request));
    run();
    REQUIRE(answer->has_value());
    return std::move(**answer);
  }

  /// Only sends the request; the answer appears when it comes.
  template <class Reply, class Handle, class Request>
  std::shared_ptr<std::optional<caf::expected<Reply>>> start_asking(const Handle& actor, Request request) {
    auto answer = std::make_shared<std::optional<caf::expected<Reply>>>();
    const auto asker = [answer](caf::event_based_actor* self, const Handle& whom, const Request& what) {
      self->request(whom, caf::infinite, what)
          .then([answer](const Reply& reply) { answer->emplace(reply); },
                [answer](caf::error& error) { answer->emplace(std::move(error)); });
    };
    system().spawn(asker, actor, std::move(request));
    return answer;
  }

 private:
  struct System {
    struct Config : caf::actor_system_config {
      Config() {
        set("scheduler.policy", caf::atom("testing"));
        set("logger.inline-output", true);
      }
    };
    Config config;
    caf::actor_system actors{config};
  };

  caf::scheduler::test_coordinator& coordinator() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_->actors.scheduler());
  }

  Prng random_;
  std::vector<std::string> trace_;
  std::vector<caf::actor> owned_;
  std::unique_ptr<System> system_;
};

}  // namespace troupe::test
