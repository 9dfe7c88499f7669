#include "base/clock.hpp"

#include <chrono>

namespace troupe {

MonotonicMs SystemClock::monotonic_now() const {
  using namespace std::chrono;
  return MonotonicMs{duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count()};
}

TimestampMs SystemClock::wall_now() const {
  using namespace std::chrono;
  return TimestampMs{duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}  // namespace troupe
