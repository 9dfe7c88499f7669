#pragma once

#include <functional>

#include "core/group/group_member.hpp"

namespace troupe::group {

/// What one step of a member towards its target depends on.
struct ReconcileStep {
  GroupEpoch target_epoch{0};
  const PartitionList& target;
  const PartitionList* owned = nullptr;  ///< as the member says in this heartbeat; null: it did not say
  /// Whether another member owns it, or has not let go of it yet.
  const std::function<bool(const TopicIdPartition&)>& taken;
};

/// The next step: nothing is given to a member before the one who had it has let go, and what stays with a member never pauses.
///
///            nothing to give up, all of the target is free
///   .------------------------------------------------------> [stable]
///   |                                                          |  ^
///   |  something to give up                      a new target  |  | the rest is free
///   +--------------> [revoking] -- it let go --.               v  |
///   |                                          `-----------> (step)
///   |  some of the target is not free yet                      ^
///   `--------------> [waiting] --------------------------------'
///
///   epoch 3, owns 0 1 2; the target of epoch 4 is 0 1:   told 0 1, revoking 2, epoch stays 3; once it says "0 1": epoch 4
///
/// The epoch grows only when nothing is left to give up, so a member that does not let go is of an old epoch for everybody to see.
/// Source: KIP-848, "Reconciliation of the group".
MemberAssignment reconcile(const MemberAssignment& now, const ReconcileStep& step);

}  // namespace troupe::group
