#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/group/consumer_group.hpp"

namespace troupe::group {

/// When members are out: silent for their session timeout, or holding on to what they shall give up for their rebalance timeout. Nothing of
/// it is in the log: a successor gives everybody the full time again.
///
/// A heartbeat costs a look-up: the queue learns of it when the old deadline comes.
class MemberDeadlines {
 public:
  void heard(const MemberName& name, const ConsumerGroup::Member& member, MonotonicMs now);
  void forget(const MemberName& name) { clocks_.erase(name); }

  std::optional<MonotonicMs> next() const;
  /// Who is out now. They are forgotten.
  std::vector<MemberName> take_expired(MonotonicMs now);

 private:
  struct Clock {
    MonotonicMs session_ends{0};
    std::optional<MonotonicMs> rebalance_ends = {};
    PartitionList revoking = {};  ///< what the rebalance timeout runs for
    MonotonicMs queued{0};        ///< the entry of the queue that counts

    MonotonicMs ends() const { return rebalance_ends && *rebalance_ends < session_ends ? *rebalance_ends : session_ends; }
  };

  void queue(const MemberName& name, Clock& clock);

  std::map<MemberName, Clock> clocks_;
  std::multimap<MonotonicMs, MemberName> queue_;
};

}  // namespace troupe::group
