#include "http/server/connection_limits.hpp"

namespace troupe::http {
namespace {

constexpr Millis second_ms = 1000;
constexpr std::size_t addresses_kept = 10'000;

}  // namespace

bool ConnectionLimits::admit(const std::string& address, bool loopback, MonotonicMs now) {
  if (open_ >= limits_.connections_max) return false;
  if (addresses_.size() >= addresses_kept) forget_idle(now);
  auto& one = addresses_[address];
  if (now - one.second >= second_ms) {
    one.second = now;
    one.new_in_second = 0;
  }
  ++one.new_in_second;
  if (!loopback) {
    if (one.open >= limits_.connections_per_address_max) return false;
    if (one.new_in_second > limits_.new_connections_per_s_per_address_max) return false;
  }
  ++one.open;
  ++open_;
  return true;
}

void ConnectionLimits::release(const std::string& address) {
  const auto found = addresses_.find(address);
  if (found == addresses_.end() || found->second.open == 0) return;
  --found->second.open;
  --open_;
}

void ConnectionLimits::forget_idle(MonotonicMs now) {
  std::erase_if(addresses_,
                [&](const auto& entry) { return entry.second.open == 0 && now - entry.second.second >= second_ms; });
}

}  // namespace troupe::http
