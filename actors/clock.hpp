#pragma once

#include <chrono>

#include <caf/actor_clock.hpp>

#include "base/clock.hpp"

namespace troupe::actors {

/// The time as CAF's clock has it: real in production, virtual under the test coordinator.
template <class Self>
MonotonicMs now_of(Self& self) {
  const auto since_start = self.clock().now().time_since_epoch();
  return MonotonicMs{std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count()};
}

}  // namespace troupe::actors
