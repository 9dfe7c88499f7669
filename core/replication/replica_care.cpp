#include "core/replication/replica_care.hpp"

namespace troupe::replication {

ReplicaCare::Step ReplicaCare::next(const PartitionState& state, BrokerId self, bool free, MonotonicMs now) {
  if (storing_) return Step::wait;
  const bool out = state.leader_epoch > known_ && state.leader != no_broker && state.leader != self &&
                   !contains(state.isr, self) && !contains(state.eligible_leader_replicas, self);
  if (out) {
    if (!free || now < store_at_) return Step::wait;
    storing_ = true;
    return Step::set_aside;
  }
  if (refused_ && cause_ == Cause::rot) return Step::go_on;
  if (cause_ == Cause::offline && (refused_ || now - since_ >= options_.offline_ms_max)) return Step::recover;
  if (asking_ || now < ask_at_) return Step::wait;
  asking_ = true;
  return Step::ask;
}

void ReplicaCare::answered(std::optional<Errc> refusal, MonotonicMs now) {
  asking_ = false;
  refused_ = refusal == Errc::eligible_leaders_not_available;
  // Accepted: what comes next is the image; it is asked again only when that does not come.
  ask_at_ = now + (refused_ ? options_.refused_retry_ms : options_.retry_ms);
}

void ReplicaCare::not_stored(MonotonicMs now) {
  storing_ = false;
  store_at_ = now + options_.retry_ms;
}

}  // namespace troupe::replication
