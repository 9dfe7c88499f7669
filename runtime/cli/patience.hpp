#pragma once

#include <algorithm>

#include "base/clock.hpp"
#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

/// How long a command that asks again and again goes on: for the session's timeout, from the beginning or from the last change.
class Patience {
 public:
  explicit Patience(NodeSession& session) : session_(session), until_(clock_.monotonic_now() + session.timeout_ms()) {}

  /// Something has changed: the time begins anew.
  void renew() { until_ = clock_.monotonic_now() + session_.timeout_ms(); }
  Millis left() const { return until_ - clock_.monotonic_now(); }
  bool is_over() const { return left() <= 0; }
  /// Before the next attempt. Errors: cancelled (interrupted).
  Status pause(Millis duration_ms) { return session_.pause(std::max<Millis>(0, std::min(duration_ms, left()))); }

  /// Whether it may be another time: nobody answered, or there was no controller.
  static bool may_come(const Result<Answer>& answer) {
    return answer ? exit_code_of(*answer) == exit_unreachable : exit_code_of(answer.error()) == exit_unreachable;
  }

 private:
  const SystemClock clock_;
  NodeSession& session_;
  MonotonicMs until_;
};

}  // namespace troupe::cli
