#include "core/metadata/quorum_report.hpp"

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
  }
  return report;
}

}  // namespace troupe::quorum
