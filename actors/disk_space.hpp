#pragma once

#include <atomic>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::actors {

/// Whether a node's disks take what is written to them: told by the disk workers, read by any thread.
class DiskSpace {
 public:
  /// How an append ended. True: that is news, at most every `news_ms`: a small batch may fit where a large one does not.
  bool note(const Status& appended, MonotonicMs now) {
    const bool full = !appended && appended.error().code == Errc::storage_full;
    if ((!full && !appended) || full_.exchange(full) == full) return false;
    const auto told = told_at_.load();
    if (told != never && now.value() - told < news_ms) return false;
    told_at_ = now.value();
    return true;
  }
  /// The last append was refused for want of space.
  bool full() const { return full_; }

 private:
  static constexpr Millis news_ms = 10'000;
  static constexpr std::int64_t never = -1;

  std::atomic<bool> full_{false};
  std::atomic<std::int64_t> told_at_{never};
};

}  // namespace troupe::actors
