#include "http/stream/session_book.hpp"

#include <utility>
#include <vector>

namespace troupe::http {

void SessionBook::live(const std::string& session, Give give) {
  const std::lock_guard lock(mutex_);
  sessions_[session] = {.give = std::move(give)};
}

void SessionBook::park(const std::string& session, GroupStreams streams, MonotonicMs until) {
  const std::lock_guard lock(mutex_);
  sessions_[session] = {.parked = std::move(streams), .until = until};
}

void SessionBook::forget(const std::string& session) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(session);
}

void SessionBook::claim(const std::string& session, const Take& take) {
  Entry entry;
  {
    const std::lock_guard lock(mutex_);
    auto node = sessions_.extract(session);
    if (!node.empty()) entry = std::move(node.mapped());
  }
  if (entry.give) return entry.give(take);
  take(std::move(entry.parked));
}

bool SessionBook::sweep(MonotonicMs now) {
  std::vector<GroupStreams> over;  // they go after the lock
  const std::lock_guard lock(mutex_);
  bool some = false;
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    const bool parked = !at->second.give;
    if (parked && at->second.until <= now) {
      over.push_back(std::move(at->second.parked));
      at = sessions_.erase(at);
    } else {
      some = some || parked;
      ++at;
    }
  }
  return some;
}

}  // namespace troupe::http
