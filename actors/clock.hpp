#pragma once

#include <chrono>
#include <cstdint>

#include <caf/actor_clock.hpp>

#include "base/clock.hpp"

namespace troupe::actors {

/// The time as CAF's clock has it: real in production, virtual under the test coordinator.
template <class Self>
MonotonicMs now_of(Self& self) {
  const auto since_start = self.clock().now().time_since_epoch();
  return MonotonicMs{std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count()};
}

/// Messages that wait behind the one that is handled: those that CAF has taken over already. (`mailbox().size()` takes over the rest,
/// in the middle of CAF's own round.)
template <class Self>
std::uint64_t mailbox_depth(Self& self) {
  return self.mailbox().queue().total_task_size();
}

}  // namespace troupe::actors
