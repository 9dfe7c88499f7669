#pragma once

#include <cstdint>

namespace troupe::actors {

/// Where an actor that may block runs. The wiring decides: tests run everything in one thread, in a seeded order.
enum class SpawnMode : std::uint8_t {
  detached,   ///< a thread of its own: production
  scheduled,  ///< in the scheduler's threads: tests
};

}  // namespace troupe::actors
