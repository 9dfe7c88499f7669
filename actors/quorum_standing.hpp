#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "core/ids.hpp"

namespace troupe::actors {

/// What a node knows of its metadata quorum, for people: told by metadata_quorum, read by any thread.
class QuorumStanding {
 public:
  struct Known {
    /// Who votes, as far as this node's log says; it may be ahead of the image. Empty: this node has not found its cluster yet.
    std::vector<BrokerId> voters = {};
    /// Since when this node knows of no controller; nullopt: it knows of one, or has not looked yet.
    std::optional<MonotonicMs> leaderless_since = {};
    /// Of the voters, those whose node has another directory now than the one that votes.
    std::vector<BrokerId> lost_voters = {};
  };

  Known get() const {
    const std::lock_guard lock{mutex_};
    return known_;
  }
  void set_voters(std::vector<BrokerId> voters) {
    const std::lock_guard lock{mutex_};
    known_.voters = std::move(voters);
  }
  void set_lost_voters(std::vector<BrokerId> voters) {
    const std::lock_guard lock{mutex_};
    known_.lost_voters = std::move(voters);
  }
  void set_leaderless_since(std::optional<MonotonicMs> since) {
    const std::lock_guard lock{mutex_};
    known_.leaderless_since = since;
  }

 private:
  mutable std::mutex mutex_;
  Known known_;
};

}  // namespace troupe::actors
