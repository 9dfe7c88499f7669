#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "core/replication/partition_state.hpp"

namespace troupe::replication {

/// A leader's view of the ISR: what is committed, and at most one change that it has asked for.
///
///                      propose_expand                     propose_shrink
///   [pending expand] <---------------- [committed] ----------------> [pending shrink]
///     | take_back |                        ^                                |  withdraw
///     v           `---- commit: a newer partition epoch -------------------'
///   [pending retraction] ------------------'
///
///                     committed {1,2}    pending expand {1,2}+3    pending shrink {1,2,3}-3
///   committed()          1 2                  1 2                       1 2 3
///   in_maximal()         1 2                  1 2 3                     1 2 3
///
/// While a change is under way the leader cannot know whether it is in force already, so everything that must hold for the ISR holds for
/// the larger of both: the maximal ISR. It is also why an expand ends only with a newer partition epoch: even after a refusal a copy of the
/// request may be on its way, and be accepted later. Taking it back means to ask for the committed ISR once more, which makes
/// the partition epoch of all copies an old one. A shrink can be dropped at any time, for the larger set is the committed one.
/// Source: KIP-497, KIP-966; invariant R8.
class Isr {
 public:
  Isr(std::vector<BrokerId> committed, PartitionEpoch partition_epoch)
      : committed_(std::move(committed)), partition_epoch_(partition_epoch) {}

  const std::vector<BrokerId>& committed() const { return committed_; }
  PartitionEpoch partition_epoch() const { return partition_epoch_; }
  bool in_maximal(BrokerId broker) const;
  bool changing() const { return !std::holds_alternative<Settled>(change_); }

  /// A change of the committed ISR; none may be pending. `member` is not in it.
  void propose_expand(BrokerId member);
  /// `members` are in it, and do not include the leader.
  void propose_shrink(std::vector<BrokerId> members);
  /// The ISR that the pending change would give.
  std::vector<BrokerId> proposed() const;

  /// The controller committed this. What was pending is in it, or can no longer be accepted: it named an older partition epoch.
  /// Returns false, and changes nothing, for a partition epoch that is not newer.
  bool commit(std::vector<BrokerId> isr, PartitionEpoch partition_epoch);
  /// The pending expand was refused: `proposed` is the committed ISR now. Its member counts until that is committed. False when it has
  /// been taken back already.
  bool take_back();
  /// Drops a pending shrink.
  void withdraw();
  bool expanding() const { return std::holds_alternative<Expand>(change_); }

 private:
  struct Settled {};
  struct Expand {
    BrokerId member;
    bool taken_back = false;
  };
  struct Shrink {
    std::vector<BrokerId> members;
  };

  std::vector<BrokerId> committed_;
  PartitionEpoch partition_epoch_;
  std::variant<Settled, Expand, Shrink> change_;
};

}  // namespace troupe::replication
