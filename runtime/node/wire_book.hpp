#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace troupe::runtime {

/// What a SocketWire and its connections count, and what they say of strangers: those may not fill the log. Any thread.
class WireBook {
 public:
  std::atomic<std::uint64_t> accepted = 0;
  std::atomic<std::uint64_t> open = 0;  ///< of those that were accepted
  std::atomic<std::uint64_t> refused = 0;

  /// Counts a connection that was refused, and logs it unless one was logged just before.
  void refuse(const std::string& remote, const std::string& why);
  /// No connection can be accepted now. Logged like a refusal.
  void cannot_accept(const std::string& why);

 private:
  void tell(const char* event, const std::string& remote, const std::string& why);

  std::mutex mutex_;
  std::optional<std::chrono::steady_clock::time_point> told_ = std::nullopt;
  std::uint64_t untold_ = 0;
};

}  // namespace troupe::runtime
