#pragma once

#include <deque>
#include <optional>

#include "base/clock.hpp"
#include "base/prng.hpp"

namespace troupe::actors {

/// When one child of a supervisor is started again after a failure, and when no longer. Pure: time and chance are arguments.
///
///   failures  x     x      x  x      x                      more than `restarts_max` within `window_ms`: give up
///   pauses     [lo]  [2 lo] [4 lo]     ... up to `backoff_ms_max`, each less up to `jitter_percent` by chance
///
/// A failure that has left the window is forgotten, so a child that ran well for that long starts again at the shortest pause.
/// Source: Erlang/OTP's supervisor (restart intensity); exponential backoff with jitter against many that restart in step.
class RestartPolicy {
 public:
  struct Options {
    std::size_t restarts_max = 5;
    Millis window_ms = 60'000;
    Millis backoff_ms_min = 50;
    Millis backoff_ms_max = 5'000;
    int jitter_percent = 20;  ///< 0 to 100
  };

  explicit RestartPolicy(const Options& options) : options_(options) {}

  /// The child has failed: how long to wait before it is started again; nullopt: it has failed too often.
  std::optional<Millis> on_failure(MonotonicMs now, Prng& random);

 private:
  Options options_;
  std::deque<MonotonicMs> failures_;  ///< within the window, oldest first; at most restarts_max + 1
};

}  // namespace troupe::actors
