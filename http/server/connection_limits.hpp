#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "http/limits.hpp"

namespace troupe::http {

/// Counts connections, in all and by address, and refuses those beyond the limits. Clients on this machine are exempt from what holds
/// for one address. Pure: the time is an argument. Not thread-safe.
class ConnectionLimits {
 public:
  explicit ConnectionLimits(const Limits& limits) : limits_(limits) {}

  /// Whether one more connection from `address` may be served; if so it counts until `release`.
  bool admit(const std::string& address, bool loopback, MonotonicMs now);
  void release(const std::string& address);
  std::size_t open() const { return open_; }

 private:
  struct Address {
    std::size_t open = 0;
    std::size_t new_in_second = 0;
    MonotonicMs second{0};
  };
  void forget_idle(MonotonicMs now);

  const Limits limits_;
  std::size_t open_ = 0;
  std::unordered_map<std::string, Address> addresses_;
};

}  // namespace troupe::http
