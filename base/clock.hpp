#pragma once

#include <cstdint>

#include "base/strong_int.hpp"

namespace troupe {

/// A length of time in milliseconds.
using Millis = std::int64_t;

/// Milliseconds of a clock that never goes back, from an arbitrary start. For deadlines.
using MonotonicMs = StrongInt<std::int64_t, struct MonotonicMsTag>;

/// Milliseconds since 1970-01-01T00:00:00Z; -1 means none. For timestamps in records and for retention; it can jump.
using TimestampMs = StrongInt<std::int64_t, struct TimestampMsTag>;

inline constexpr TimestampMs no_timestamp{-1};

/// Where shells take the time from. Pure code gets it as an argument.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicMs monotonic_now() const = 0;
  virtual TimestampMs wall_now() const = 0;
};

class SystemClock final : public Clock {
 public:
  MonotonicMs monotonic_now() const override;
  TimestampMs wall_now() const override;
};

}  // namespace troupe
