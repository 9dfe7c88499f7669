#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "http/server/session.hpp"

namespace troupe::http {

/// A request in the hands of its handler and of the broker. Knows its session only as long as that is there.
class SessionCall final : public Call {
 public:
  SessionCall(std::weak_ptr<Session> session, std::shared_ptr<IoThread> thread)
      : session_(std::move(session)), thread_(*thread), executor_(std::move(thread)) {}

  void answer(Response response) override {
    if (auto session = session_.lock()) session->answer(*this, std::move(response));
  }
  const std::shared_ptr<Executor>& executor() const override { return executor_; }
  ProduceTurn& produce_turn() override { return thread_.produce_turn(); }
  void on_hurry(Millis wait_ms, std::function<void()> hurry) override {
    auto session = session_.lock();
    if (!session) return hurry();
    hurry_ = std::move(hurry);
    wait_ms_ = wait_ms;
    session->watch_peer();
  }

  // Of the session.
  void hurry() {
    if (auto now = std::exchange(hurry_, nullptr)) now();
  }
  bool waits() const { return hurry_ != nullptr; }
  /// Of the last on_hurry; taken once.
  Millis take_wait() { return std::exchange(wait_ms_, 0); }
  void detach() { session_.reset(); }

 private:
  std::weak_ptr<Session> session_;
  IoThread& thread_;
  const std::shared_ptr<Executor> executor_;  ///< the same, held
  std::function<void()> hurry_;
  Millis wait_ms_ = 0;
};

}  // namespace troupe::http
