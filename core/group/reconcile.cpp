#include "core/group/reconcile.hpp"

namespace troupe::group {
namespace {

bool still_has(const PartitionList* owned, const PartitionList& some) {
  // A member that does not say what it owns is taken to own all that it was given.
  return owned == nullptr || !in_both(*owned, some).empty();
}

MemberAssignment advance(const MemberAssignment& now, const ReconcileStep& step) {
  auto next = now;
  next.assigned = in_both(now.assigned, step.target);
  next.revoking = without(now.assigned, step.target);
  if (!next.revoking.empty() && still_has(step.owned, next.revoking)) {
    next.state = MemberState::revoking;
    return next;
  }
  next.revoking.clear();
  const auto wanted = without(step.target, next.assigned);
  PartitionList free;
  for (const auto& partition : wanted) {
    if (!step.taken(partition)) free.push_back(partition);
  }
  next.state = free.size() == wanted.size() ? MemberState::stable : MemberState::waiting;
  next.assigned = in_either(next.assigned, free);
  if (next.epoch != step.target_epoch) {
    next.previous_epoch = now.epoch;
    next.epoch = step.target_epoch;
  }
  return next;
}

}  // namespace

MemberAssignment reconcile(const MemberAssignment& now, const ReconcileStep& step) {
  switch (now.state) {
    case MemberState::stable: return now.epoch == step.target_epoch ? now : advance(now, step);
    case MemberState::waiting: return advance(now, step);
    case MemberState::revoking: return still_has(step.owned, now.revoking) ? now : advance(now, step);
  }
  return now;
}

}  // namespace troupe::group
