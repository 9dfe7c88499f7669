#include "core/group/member_deadlines.hpp"

namespace troupe::group {

void MemberDeadlines::queue(const MemberName& name, Clock& clock) {
  clock.queued = clock.ends();
  queue_.emplace(clock.queued, name);
}

void MemberDeadlines::heard(const MemberName& name, const ConsumerGroup::Member& member, MonotonicMs now) {
  const auto [at, is_new] = clocks_.try_emplace(name);
  auto& clock = at->second;
  clock.session_ends = now + member.profile.session_timeout_ms;
  const auto& current = member.current;
  if (current.state != MemberState::revoking) {
    clock.rebalance_ends.reset();
    clock.revoking.clear();
  } else if (!clock.rebalance_ends || clock.revoking != current.revoking) {
    clock.rebalance_ends = now + member.profile.rebalance_timeout_ms;
    clock.revoking = current.revoking;
  }
  if (is_new || clock.ends() < clock.queued) queue(name, clock);
}

std::optional<MonotonicMs> MemberDeadlines::next() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.begin()->first;
}

std::vector<MemberName> MemberDeadlines::take_expired(MonotonicMs now) {
  std::vector<MemberName> expired;
  while (!queue_.empty() && queue_.begin()->first <= now) {
    const auto [at, name] = *queue_.begin();
    queue_.erase(queue_.begin());
    const auto found = clocks_.find(name);
    if (found == clocks_.end() || found->second.queued != at) continue;
    if (found->second.ends() > now) {
      queue(name, found->second);
      continue;
    }
    clocks_.erase(found);
    expired.push_back(name);
  }
  return expired;
}

}  // namespace troupe::group
