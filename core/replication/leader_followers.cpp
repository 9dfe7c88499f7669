#include <algorithm>

#include "base/assert.hpp"
#include "core/replication/leader_replica.hpp"

/// The part of LeaderReplica that looks at other replicas: their fetches, the ISR, and with it the high watermark.
namespace troupe::replication {

Error LeaderReplica::not_leading() const {
  return {Errc::not_leader_or_follower,
          "the leadership of epoch " + to_string(options_.epoch) + " has ended; nothing was written"};
}

FollowerProgress* LeaderReplica::follower(BrokerId broker) {
  const auto found = std::ranges::find(followers_, broker, &FollowerProgress::broker);
  return found == followers_.end() ? nullptr : &*found;
}

const FollowerProgress* LeaderReplica::follower(BrokerId broker) const {
  const auto found = std::ranges::find(followers_, broker, &FollowerProgress::broker);
  return found == followers_.end() ? nullptr : &*found;
}

bool LeaderReplica::under_min_isr() const {
  return isr_.committed().size() <
         std::min<std::size_t>(replicas_count_, static_cast<std::size_t>(options_.min_insync_replicas));
}

// --- what counts

void LeaderReplica::on_written(Offset log_end, LeaderEffects& effects) {
  if (ended()) return;
  log_end_ = std::max(log_end_, std::min(log_end, next_offset_));
  if (options_.flush == Flush::interval) return counts_now(log_end_, effects);
  tell_followers(effects);
}

void LeaderReplica::on_durable(Offset durable_end, LeaderEffects& effects) {
  if (ended()) return;
  counts_now(std::min(durable_end, log_end_), effects);
}

void LeaderReplica::on_log_start(Offset log_start, LeaderEffects& effects) {
  if (log_start <= log_start_) return;
  log_start_ = log_start;
  epochs_.truncate_to_start(log_start);
  tell_followers(effects);
}

/// The leader itself holds all below `end`, in the way that counts.
void LeaderReplica::counts_now(Offset end, LeaderEffects& effects) {
  if (end > own_end_) {
    for (auto& one : followers_) one.leader_moved_from(own_end_, options_.flush);
    own_end_ = end;
    log_end_ = std::max(log_end_, end);
  }
  advance(effects);
}

/// Rules R6 (an unfollowing replica counts as holding nothing), R8 and R9.
void LeaderReplica::advance(LeaderEffects& effects) {
  if (!under_min_isr()) {
    auto held = own_end_;
    for (const auto& one : followers_) {
      if (isr_.in_maximal(one.broker())) held = std::min(held, one.counted(options_.flush));
    }
    commit_to(held, effects);
  }
  tell_followers(effects);
}

// --- fetches

/// Why a fetch tells nothing about a replica of this epoch.
std::optional<Error> LeaderReplica::fetch_refusal(const ReplicaFetch& fetch) const {
  if (ended()) return not_leading();
  const auto& position = fetch.position;
  if (position.leader_epoch < options_.epoch || position.leader_epoch > options_.epoch) {
    const bool old = position.leader_epoch < options_.epoch;
    return Error{old ? Errc::fenced_leader_epoch : Errc::unknown_leader_epoch,
                 "replica " + to_string(fetch.replica) + " fetches with leader epoch " + to_string(position.leader_epoch) +
                     ", this is the leader of epoch " + to_string(options_.epoch)};
  }
  const auto* known = follower(fetch.replica);
  if (known == nullptr)
    return Error{Errc::not_leader_or_follower, "broker " + to_string(fetch.replica) + " holds no replica of this partition"};
  if (fetch.broker_epoch < known->broker_epoch()) {
    return Error{Errc::stale_broker_epoch, "replica " + to_string(fetch.replica) + " fetches as run " +
                                               to_string(fetch.broker_epoch) + ", it has fetched as run " +
                                               to_string(known->broker_epoch())};
  }
  return std::nullopt;
}

/// Whether a log that ends like `position` is no prefix of this one: its last epoch, or the records that it has of it, are not here.
std::optional<DivergingEpoch> LeaderReplica::divergence(const FetchPosition& position) const {
  const auto last = position.last_fetched_epoch;
  if (last == no_leader_epoch) return std::nullopt;
  const auto ends = epochs_.end_offset_for(last, log_end_);
  if (!ends) return std::nullopt;  // older than everything kept here
  if (ends->epoch == last && ends->start_offset >= position.fetch_offset) return std::nullopt;
  return DivergingEpoch{ends->epoch, ends->start_offset};
}

Result<bool> LeaderReplica::on_fetch(const ReplicaFetch& fetch, MonotonicMs now, LeaderEffects& effects) {
  if (auto refused = fetch_refusal(fetch)) return *std::move(refused);
  auto& one = *follower(fetch.replica);
  if (fetch.broker_epoch > one.broker_epoch()) one.forget(fetch.broker_epoch);

  auto stated = fetch;
  auto& position = stated.position;
  position.durable_offset = std::min(position.durable_offset, position.fetch_offset);
  const bool too_old = position.fetch_offset < log_start_;
  const bool too_new = position.last_fetched_epoch == no_leader_epoch && position.fetch_offset > log_end_;
  // Of an epoch that this log has no record of any more, and reaching into those it has: nothing in common.
  const bool foreign = position.last_fetched_epoch != no_leader_epoch && position.fetch_offset > log_start_ &&
                       !epochs_.end_offset_for(position.last_fetched_epoch, log_end_);
  if (too_old || too_new || foreign) {
    one.forget(fetch.broker_epoch);
    return Error{Errc::offset_out_of_range, "replica " + to_string(fetch.replica) + " wants offset " +
                                                to_string(position.fetch_offset) + " of a log that has " +
                                                to_string(log_start_) + " to " + to_string(log_end_)};
  }
  if (const auto diverging = divergence(position)) {
    one.diverge(stated, *diverging);
    return true;
  }
  one.follow(stated);
  one.look(own_end_, options_.flush, now);
  const bool news = one.announce(log_end_, high_watermark_, log_start_);
  advance(effects);
  change_isr(now, effects);
  const bool more = std::erase(effects.followers_ready, fetch.replica) > 0;  // said by the answer
  return news || more;
}

Result<ReplicaAnswer> LeaderReplica::answer_follower(BrokerId replica) {
  auto* one = follower(replica);
  if (ended() || one == nullptr) return not_leading();
  ReplicaAnswer answer{.leader_epoch = options_.epoch,
                       .fetch_offset = one->position().fetch_offset,
                       .last_fetched_epoch = one->position().last_fetched_epoch,
                       .high_watermark = high_watermark_,
                       .log_start = log_start_,
                       .log_end = one->records_owed() ? log_end_ : one->position().fetch_offset,
                       .diverging = one->diverging()};
  one->told(log_end_, high_watermark_, log_start_);
  return answer;
}

std::optional<Offset> LeaderReplica::records_wanted(BrokerId replica) const {
  const auto* one = follower(replica);
  if (ended() || one == nullptr || !one->following() || !one->records_owed()) return std::nullopt;
  const auto from = one->position().fetch_offset;
  return from < log_end_ ? std::optional{from} : std::nullopt;
}

ReplicaAnswer LeaderReplica::refusal_answer(const ReplicaFetch& fetch, Errc error) const {
  return {.error = error,
          .leader_epoch = options_.epoch,
          .fetch_offset = fetch.position.fetch_offset,
          .last_fetched_epoch = fetch.position.last_fetched_epoch,
          .high_watermark = high_watermark_,
          .log_start = log_start_,
          .log_end = log_end_};
}

void LeaderReplica::tell_followers(LeaderEffects& effects) {
  for (auto& one : followers_) {
    if (one.announce(log_end_, high_watermark_, log_start_)) effects.followers_ready.push_back(one.broker());
  }
}

// --- the ISR

/// Rule R7. Holding everything below the start of the epoch means holding every record that an earlier leader may have committed; the
/// watermark alone would not do, since a new leader's lags behind its predecessor's. Who would have to leave again at once stays out.
bool LeaderReplica::may_join(const FollowerProgress& one, MonotonicMs now) const {
  if (!one.following() || one.counted(options_.flush) < std::max(high_watermark_, epoch_start_)) return false;
  return !is_late(one, now) && !is_cut_off(one, now);
}

bool LeaderReplica::is_late(const FollowerProgress& one, MonotonicMs now) const {
  if (one.counted(options_.flush) >= own_end_ || one.unseen_since_level() || !one.caught_up_at()) return false;
  return now - *one.caught_up_at() > options_.replica_lag_max_ms;
}

/// It would be waited for in vain until the controller, which may reach it, had another reason to fence it.
bool LeaderReplica::is_cut_off(const FollowerProgress& one, MonotonicMs now) const {
  return one.unlinked_since() && now - *one.unlinked_since() >= options_.unlinked_max_ms &&
         one.counted(options_.flush) < own_end_ && (!shrink_not_before_ || now >= *shrink_not_before_);
}

void LeaderReplica::on_link(BrokerId replica, bool up, MonotonicMs now, LeaderEffects& effects) {
  auto* one = follower(replica);
  if (ended() || one == nullptr) return;
  one->set_link(up, now);
  change_isr(now, effects);
}

/// Asks for one change, if one is due and none is under way.
void LeaderReplica::change_isr(MonotonicMs now, LeaderEffects& effects) {
  if (ended() || isr_.changing()) return;
  std::vector<BrokerId> late;
  for (const auto& one : followers_) {
    if (!contains(isr_.committed(), one.broker())) continue;
    if (is_late(one, now) || is_cut_off(one, now)) late.push_back(one.broker());
  }
  if (!late.empty()) {
    isr_.propose_shrink(std::move(late));
    return ask(now, effects);
  }
  if (expand_not_before_) return;
  for (const auto& one : followers_) {
    if (contains(isr_.committed(), one.broker()) || !may_join(one, now)) continue;
    isr_.propose_expand(one.broker());
    return ask(now, effects);
  }
}

void LeaderReplica::ask(MonotonicMs now, LeaderEffects& effects) {
  AlterPartition alter{
      .request = next_request_++, .leader_epoch = options_.epoch, .partition_epoch = isr_.partition_epoch()};
  for (const auto broker : isr_.proposed()) {
    const auto* one = follower(broker);
    alter.isr.push_back({broker, one == nullptr ? self_.broker_epoch : one->broker_epoch()});
  }
  asked_ = Asked{alter, now + options_.alter_retry_ms};
  effects.alter = std::move(alter);
}

void LeaderReplica::adopt(const PartitionState& state) {
  eligible_leader_replicas_ = state.eligible_leader_replicas;
  replicas_count_ = state.replicas.size();
  std::erase_if(followers_, [&](const FollowerProgress& one) { return !contains(state.replicas, one.broker()); });
  for (const auto broker : state.replicas) {
    if (broker != self_.broker && follower(broker) == nullptr) followers_.emplace_back(broker);
  }
}

void LeaderReplica::on_partition(const PartitionState& state, MonotonicMs now, LeaderEffects& effects) {
  if (ended() || state.leader_epoch < options_.epoch) return;
  if (state.leader_epoch > options_.epoch) return resign(effects);
  if (state.partition_epoch <= isr_.partition_epoch()) return;
  if (state.leader != self_.broker) return resign(effects);
  if (state.isr.size() > isr_.committed().size()) expand_wait_ms_ = 0;
  isr_.commit(state.isr, state.partition_epoch);
  asked_.reset();
  adopt(state);
  advance(effects);
  change_isr(now, effects);
}

void LeaderReplica::on_alter_answer(std::uint64_t request, const Result<PartitionState>& answer, MonotonicMs now,
                                    LeaderEffects& effects) {
  if (answer) return on_partition(*answer, now, effects);
  if (ended() || !asked_ || asked_->alter.request != request) return;
  switch (answer.error().code) {
    case Errc::ineligible_replica:
      if (isr_.expanding()) {
        if (isr_.take_back()) {  // else this was the answer to taking it back: asked again in a while
          expand_wait_ms_ = std::clamp(2 * expand_wait_ms_, options_.alter_retry_ms, options_.replica_lag_max_ms);
          expand_not_before_ = now + expand_wait_ms_;
          ask(now, effects);
        }
        return;
      }
      isr_.withdraw();
      asked_.reset();
      shrink_not_before_ = now + options_.alter_retry_ms;
      return;
    case Errc::fenced_leader_epoch:
    case Errc::invalid_update_version:
    case Errc::not_leader_or_follower:
    case Errc::unknown_topic_or_partition:
      // The partition has changed, perhaps by the first copy of this very request. The change stays pending until it is seen.
      asked_.reset();
      return;
    default: return;  // asked again when its time comes
  }
}

void LeaderReplica::on_broker_back(MonotonicMs now, LeaderEffects& effects) {
  expand_not_before_.reset();
  expand_wait_ms_ = 0;
  change_isr(now, effects);
}

void LeaderReplica::resign(LeaderEffects& effects) {
  if (ended()) return;
  resigned_ = true;
  refuse_all({Errc::leadership_lost,
              "the leadership of epoch " + to_string(options_.epoch) + " ended after the append: the outcome is unknown"},
             not_leading(), effects);
}

}  // namespace troupe::replication
