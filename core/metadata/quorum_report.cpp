#include "core/metadata/quorum_report.hpp"

#include <algorithm>

#include "core/metadata/quorum_node.hpp"

namespace troupe::quorum {

QuorumReport QuorumNode::report(MonotonicMs now) const {
  QuorumReport report{.reporter = options_.id,
                      .leader = leader(),
                      .epoch = epoch(),
                      .high_watermark = high_watermark_,
                      .log_end = log_.end_offset()};
  const auto describe = [&](const ReplicaKey& replica) {
    ReplicaReport one{.key = replica};
    if (replica == key()) {
      one.near = true;
      one.log_end = durable_end_;
    } else if (leadership_) {
      const auto at = leadership_->followers.find(replica);
      if (at == leadership_->followers.end()) return one;
      const auto silent_ms = std::max(Millis{0}, now - at->second.heard_at());
      one.near = silent_ms < options_.check_quorum_ms;
      one.log_end = at->second.durable();
      one.last_contact_ms = silent_ms;
    }
    return one;
  };
  for (const auto& voter : voters()) report.voters.push_back(describe(voter));
  if (leadership_) {
    for (const auto& [replica, progress] : leadership_->followers) {
      if (!voters().contains(replica)) report.observers.push_back(describe(replica));
    }
  } else {
    for (const auto lost : lost_voters()) {
      report.observers.push_back(describe(lost == options_.id ? key() : ReplicaKey{lost, directories_.at(lost)}));
    }
  }
  return report;
}

std::vector<BrokerId> QuorumNode::lost_voters() const {
  std::vector<BrokerId> lost;
  for (const auto& voter : voters()) {
    const auto spoke = directories_.find(voter.id);
    const auto& directory = voter.id == options_.id       ? hard_.directory_id
                            : spoke != directories_.end() ? spoke->second
                                                          : voter.directory_id;
    if (directory != voter.directory_id) lost.push_back(voter.id);
  }
  return lost;
}

std::vector<BrokerId> QuorumReport::lost_voters() const {
  std::vector<BrokerId> lost;
  for (const auto& voter : voters) {
    const auto replaced = [&](const ReplicaReport& one) {
      return one.key.id == voter.key.id && one.key.directory_id != voter.key.directory_id && (one.near || !leads());
    };
    if (!voter.near && std::ranges::any_of(observers, replaced)) lost.push_back(voter.key.id);
  }
  return lost;
}

QuorumReport QuorumReport::without_ghosts(const std::function<bool(BrokerId)>& known) const {
  auto report = *this;
  const auto replaced = [&](const ReplicaReport& ghost) {
    const auto here = [&](const ReplicaReport& one) {
      return one.key.id == ghost.key.id && one.key != ghost.key && one.near;
    };
    return std::ranges::any_of(voters, here) || std::ranges::any_of(observers, here);
  };
  if (leads()) {
    std::erase_if(report.observers,
                  [&](const ReplicaReport& one) { return !one.near && (!known(one.key.id) || replaced(one)); });
  }
  return report;
}

}  // namespace troupe::quorum
