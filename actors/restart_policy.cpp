#include "actors/restart_policy.hpp"

#include <algorithm>

namespace troupe::actors {

std::optional<Millis> RestartPolicy::on_failure(MonotonicMs now, Prng& random) {
  while (!failures_.empty() && now - failures_.front() >= options_.window_ms) failures_.pop_front();
  failures_.push_back(now);
  if (failures_.size() > options_.restarts_max) {
    failures_.clear();
    return std::nullopt;
  }
  Millis pause = std::min(options_.backoff_ms_min, options_.backoff_ms_max);
  for (std::size_t i = 1; i < failures_.size() && pause < options_.backoff_ms_max; ++i) {
    pause = pause > options_.backoff_ms_max / 2 ? options_.backoff_ms_max : pause * 2;
  }
  const auto jitter = pause * options_.jitter_percent / 100;
  return pause - random.between(0, jitter);
}

}  // namespace troupe::actors
