#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>

namespace troupe {

/// An integer with a meaning of its own: an `Offset` cannot be passed where a `LeaderEpoch` is wanted. Explicit both
/// ways; `value()` leaves the type. Distances are plain integers: `Offset + 3`, `Offset - Offset`.
template <class Rep, class Tag>
class StrongInt {
 public:
  using rep = Rep;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }

  static constexpr StrongInt min() { return StrongInt{std::numeric_limits<Rep>::min()}; }
  static constexpr StrongInt max() { return StrongInt{std::numeric_limits<Rep>::max()}; }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;

  friend constexpr StrongInt operator+(StrongInt a, Rep distance) {
    return StrongInt{static_cast<Rep>(a.value_ + distance)};
  }
  friend constexpr StrongInt operator-(StrongInt a, Rep distance) {
    return StrongInt{static_cast<Rep>(a.value_ - distance)};
  }
  friend constexpr Rep operator-(StrongInt a, StrongInt b) { return static_cast<Rep>(a.value_ - b.value_); }
  constexpr StrongInt& operator+=(Rep distance) { return *this = *this + distance; }
  constexpr StrongInt& operator++() { return *this += Rep{1}; }

 private:
  Rep value_ = 0;
};

template <class Rep, class Tag>
std::string to_string(StrongInt<Rep, Tag> value) {
  return std::to_string(value.value());
}

}  // namespace troupe

template <class Rep, class Tag>
struct std::hash<troupe::StrongInt<Rep, Tag>> {
  std::size_t operator()(troupe::StrongInt<Rep, Tag> value) const noexcept { return std::hash<Rep>{}(value.value()); }
};
