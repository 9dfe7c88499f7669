#pragma once

#include <mutex>

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>

namespace troupe::actors {

/// Where the run of a supervised actor that lives now is found: its start function sets it, those who need it ask each time. Holds no
/// actor alive. Any thread.
template <class Handle>
class HandleSlot {
 public:
  void set(const Handle& handle) {
    const std::lock_guard lock{mutex_};
    address_ = caf::actor_cast<caf::actor_addr>(handle);
  }
  /// Null: there was none yet, or it is gone. A handle may be of an actor that has just ended: whoever keeps it monitors it.
  Handle get() const {
    const std::lock_guard lock{mutex_};
    return caf::actor_cast<Handle>(address_);
  }

 private:
  mutable std::mutex mutex_;
  caf::actor_addr address_;
};

}  // namespace troupe::actors
