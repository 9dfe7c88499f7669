#include "core/consumer/group_consumer.hpp"

#include <algorithm>
#include <utility>

namespace troupe::consumer {
namespace {

/// Another try, later or elsewhere, may end otherwise.
bool is_passing(Errc code) {
  switch (code) {
    case Errc::coordinator_load_in_progress:
    case Errc::coordinator_not_available:
    case Errc::not_coordinator:
    case Errc::leader_not_available:
    case Errc::not_leader_or_follower:
    case Errc::not_enough_replicas:
    case Errc::not_enough_replicas_after_append:
    case Errc::leadership_lost:
    case Errc::broker_not_available:
    case Errc::request_timed_out:
    case Errc::storage_full:
    case Errc::overloaded:
    case Errc::unreleased_instance_id:  // until the one before is out
    case Errc::cancelled: return true;
    default: return false;
  }
}

/// The group has gone on without this member.
bool is_fence(Errc code) {
  return code == Errc::unknown_member_id || code == Errc::fenced_member_epoch || code == Errc::group_id_not_found;
}

}  // namespace

GroupConsumer::GroupConsumer(Options options, metadata::ImagePtr image)
    : options_(std::move(options)), image_(std::move(image)) {}

void GroupConsumer::start(MonotonicMs now, GroupConsumerEffects& effects) {
  if (phase_ != Phase::idle) return;
  phase_ = Phase::joining;
  heard_at_ = now;
  auto_commit_at_ = now + options_.auto_commit_interval_ms;
  if (!alone()) return beat(now, effects);
  phase_ = Phase::member;
  epoch_ = group::Committer{}.epoch;
  std::vector<group::AssignedPartition> all;
  for (const auto& partition : options_.partitions) all.push_back({partition, 0});
  take(all, now, effects);
}

void GroupConsumer::change(group::MemberProfile profile, MonotonicMs now, GroupConsumerEffects& effects) {
  options_.profile = std::move(profile);
  says_profile_ = true;
  if (phase_ == Phase::member) beat_soon(now, effects);
}

// --- heartbeats -----------------------------------------------------------------------------------------------------------------------

void GroupConsumer::beat(MonotonicMs now, GroupConsumerEffects& effects) {
  if (alone()) {
    if (phase_ == Phase::leaving && partitions_.empty()) end(effects);
    return;
  }
  if (beat_.under_way) {
    wants_beat_ = true;
    return;
  }
  group::HeartbeatRequest request{options_.group, options_.member, epoch_, {}, {}};
  if (phase_ == Phase::leaving && epoch_ != group::joining && partitions_.empty()) {
    const bool comes_back = options_.comes_back && !options_.profile.instance_id.empty();
    request.epoch = comes_back ? group::leaving_for_a_while : group::leaving;
  } else if (epoch_ == group::joining) {
    request.profile = options_.profile;
    says_profile_ = false;
  } else {
    if (says_profile_) request.profile = options_.profile;
    if (says_owned_) request.owned = owned();
    says_profile_ = says_owned_ = false;
  }
  beat_ = {true, false, std::nullopt};
  wants_beat_ = false;
  beat_at_ = now;
  effects.heartbeat = std::move(request);
}

void GroupConsumer::beat_soon(MonotonicMs now, GroupConsumerEffects& effects) {
  if (phase_ == Phase::member || phase_ == Phase::leaving) beat(now, effects);
}

void GroupConsumer::nudge(MonotonicMs now, GroupConsumerEffects& effects) {
  // While it joins, the answer under way may be from before the news.
  if (phase_ == Phase::member || (phase_ == Phase::joining && beat_.under_way)) beat(now, effects);
}

void GroupConsumer::on_heartbeat(const Result<group::HeartbeatAnswer>& answer, MonotonicMs now,
                                 GroupConsumerEffects& effects) {
  if (phase_ == Phase::closed || phase_ == Phase::failed || !beat_.under_way) return;
  if (!answered(beat_)) {
    beat_.due = now;
    return;
  }
  if (!answer) {
    refused(answer.error(), now, effects);
    return;
  }
  heard_at_ = beat_at_;
  if (answer->epoch == group::leaving || answer->epoch == group::leaving_for_a_while) {
    end(effects);
    return;
  }
  epoch_ = answer->epoch;
  interval_ms_ = answer->heartbeat_interval_ms;
  if (phase_ == Phase::leaving) {
    beat_.due = now + interval_ms_;
    if (partitions_.empty()) beat(now, effects);
    return;
  }
  phase_ = Phase::member;
  beat_.due = now + interval_ms_;
  if (answer->assignment && std::exchange(paused_, answer->paused) != answer->paused) effects.paused = paused_;
  if (answer->assignment) take(*answer->assignment, now, effects);
  if (wants_beat_) beat(now, effects);
}

void GroupConsumer::refused(const Error& error, MonotonicMs now, GroupConsumerEffects& effects) {
  says_owned_ = true;
  if (is_fence(error.code)) {
    lose_all(now, effects);
    if (phase_ == Phase::leaving) end(effects);
  } else if (is_passing(error.code)) {
    says_profile_ = true;  // what was said may not have arrived
    beat_.due = now + options_.retry_ms;
  } else {
    lose_all(now, effects);
    beat_.due.reset();
    if (phase_ == Phase::leaving) {
      end(effects);
    } else {
      phase_ = Phase::failed;
      effects.failed = error;
    }
  }
}

void GroupConsumer::lose_all(MonotonicMs now, GroupConsumerEffects& effects) {
  for (const auto& [id, partition] : partitions_) {
    if (partition.told) effects.lost.push_back(id);
  }
  std::erase_if(effects.assigned, [&](const auto& one) { return partitions_.contains(one.partition); });
  effects.revoking.clear();
  partitions_.clear();
  for (auto* request : {&beat_, &committing_, &locating_}) request->outdated = request->under_way;
  epoch_ = group::joining;
  if (phase_ == Phase::member) phase_ = Phase::joining;
  beat_.due = now + options_.retry_ms;
}

bool GroupConsumer::answered(Request& request) {
  request.under_way = false;
  return !std::exchange(request.outdated, false);
}

// --- partitions -----------------------------------------------------------------------------------------------------------------------

void GroupConsumer::take(const std::vector<group::AssignedPartition>& assignment, MonotonicMs now,
                         GroupConsumerEffects& effects) {
  for (auto at = partitions_.begin(); at != partitions_.end();) {
    const bool stays = std::ranges::find(assignment, at->first, &group::AssignedPartition::partition) != assignment.end();
    at = stays || at->second.state == State::revoking ? std::next(at) : give_up(at, effects);
  }
  for (const auto& one : assignment) {
    auto [at, is_new] = partitions_.try_emplace(one.partition);
    auto& partition = at->second;
    if (is_new) {
      partition.reset_epoch = one.reset_epoch;
      says_owned_ = true;
    } else if (partition.state != State::revoking && partition.reset_epoch < one.reset_epoch) {
      partition.reset_epoch = one.reset_epoch;
      partition.state = State::locating;
      partition.reset = true;
      partition.consumed.reset();
      partition.committed.reset();
    }
  }
  locate(now, effects);
  let_go(now, effects);
}

GroupConsumer::Partitions::iterator GroupConsumer::give_up(Partitions::iterator at, GroupConsumerEffects& effects) {
  if (!at->second.told) {
    says_owned_ = true;
    wants_beat_ = true;
    return partitions_.erase(at);
  }
  at->second.state = State::revoking;
  effects.revoking.push_back(at->first);
  return std::next(at);
}

void GroupConsumer::released(const group::PartitionList& partitions, MonotonicMs now, GroupConsumerEffects& effects) {
  for (const auto& id : partitions) {
    const auto found = partitions_.find(id);
    if (found != partitions_.end() && found->second.state == State::revoking) found->second.released = true;
  }
  let_go(now, effects);
}

/// Of what is released, all that needs no commit any more is gone now.
void GroupConsumer::let_go(MonotonicMs now, GroupConsumerEffects& effects) {
  const auto before = partitions_.size();
  bool waits = false;
  for (auto at = partitions_.begin(); at != partitions_.end();) {
    const auto& partition = at->second;
    const bool goes = partition.state == State::revoking && partition.released;
    const bool commits = goes && options_.auto_commit && partition.dirty();
    waits = waits || commits;
    at = goes && !commits ? partitions_.erase(at) : std::next(at);
  }
  if (waits) commit(now, effects);
  if (partitions_.size() == before) return;
  says_owned_ = true;
  beat_soon(now, effects);
}

void GroupConsumer::locate(MonotonicMs now, GroupConsumerEffects& effects) {
  if (locating_.under_way) return;
  std::vector<group::GroupPartition> names;
  for (auto& [id, partition] : partitions_) {
    if (partition.state != State::locating) continue;
    // A topic that is not in this image yet, or not any more.
    if (const auto topic = image_->find_topic(id.topic_id)) {
      names.push_back({topic->name, id.partition});
      partition.asked = true;
    } else {
      locating_.due = now + options_.retry_ms;
    }
  }
  if (names.empty()) return;
  effects.fetch_offsets = group::OffsetsRequest{options_.group, committer(), std::move(names)};
  locating_ = {true, false, std::nullopt};
}

void GroupConsumer::on_offsets(const Result<std::vector<group::Position>>& answer, MonotonicMs now,
                               GroupConsumerEffects& effects) {
  if (!locating_.under_way) return;
  if (!answered(locating_)) {
    locate(now, effects);
    return;
  }
  if (!answer) {
    if (is_fence(answer.error().code) || answer.error().code == Errc::stale_member_epoch) beat_soon(now, effects);
    locating_.due = now + options_.retry_ms;
    return;
  }
  for (const auto& [name, offset] : *answer) {
    const auto topic = image_->find_topic(name.topic);
    const auto found = topic == nullptr ? partitions_.end() : partitions_.find({topic->id, name.partition});
    // One that went and came back since it was asked for may have moved on in between.
    if (found == partitions_.end() || found->second.state != State::locating || !found->second.asked) continue;
    auto& partition = found->second;
    partition.asked = false;
    const auto reset_epoch = offset ? offset->reset_epoch : 0;
    if (reset_epoch < partition.reset_epoch) continue;  // from before the reset that it was told of
    partition.reset_epoch = reset_epoch;
    partition.state = State::reading;
    partition.told = true;
    partition.reset = false;
    partition.committed = offset ? std::optional{offset->offset} : std::nullopt;
    effects.assigned.push_back({found->first, partition.committed, offset ? offset->leader_epoch : no_leader_epoch});
  }
  locate(now, effects);
}

// --- commits --------------------------------------------------------------------------------------------------------------------------

void GroupConsumer::consumed(const TopicIdPartition& id, Offset next, LeaderEpoch leader_epoch) {
  const auto found = partitions_.find(id);
  // While its new position is looked up, what comes in is from before the reset; also when it has to go meanwhile.
  if (found == partitions_.end() || found->second.state == State::locating || found->second.reset) return;
  found->second.consumed = next;
  found->second.leader_epoch = leader_epoch;
}

bool GroupConsumer::any_dirty() const {
  return std::ranges::any_of(partitions_, [](const auto& one) { return one.second.dirty(); });
}

std::optional<Offset> GroupConsumer::committed(const TopicIdPartition& id) const {
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? std::nullopt : found->second.committed;
}

std::vector<std::pair<TopicIdPartition, Offset>> GroupConsumer::consumed_positions() const {
  std::vector<std::pair<TopicIdPartition, Offset>> all;
  for (const auto& [id, partition] : partitions_) {
    if (partition.consumed) all.emplace_back(id, *partition.consumed);
  }
  return all;
}

bool GroupConsumer::dirty(const TopicIdPartition& id) const {
  const auto found = partitions_.find(id);
  return found != partitions_.end() && found->second.dirty();
}

bool GroupConsumer::settled() const { return !committing_.under_way && !any_dirty(); }

void GroupConsumer::commit(MonotonicMs now, GroupConsumerEffects& effects) {
  auto_commit_at_ = now + options_.auto_commit_interval_ms;
  if (committing_.under_way) {
    wants_commit_ = true;
    return;
  }
  wants_commit_ = false;
  if (epoch_ == group::joining || !any_dirty()) return;
  group::CommitRequest request{options_.group, committer(), {}};
  in_commit_.clear();
  for (const auto& [id, partition] : partitions_) {
    if (!partition.dirty()) continue;
    const auto topic = image_->find_topic(id.topic_id);
    if (topic == nullptr) continue;
    request.offsets.push_back(
        {topic->name, id.partition, *partition.consumed, partition.leader_epoch, {}, partition.reset_epoch});
    in_commit_.emplace_back(id, *partition.consumed);
  }
  if (in_commit_.empty()) return;
  committing_ = {true, false, std::nullopt};
  effects.commit = std::move(request);
}

void GroupConsumer::on_commit(const Result<std::vector<Status>>& answer, MonotonicMs now, GroupConsumerEffects& effects) {
  if (!committing_.under_way) return;
  if (!answered(committing_)) {
    if (wants_commit_) commit(now, effects);
    return;
  }
  if (!answer) {
    if (alone() && !is_passing(answer.error().code)) {
      // The group has members: nothing of this is its to store.
      for (auto& [id, partition] : partitions_) partition.consumed = partition.committed;
      let_go(now, effects);
      return;
    }
    if (is_fence(answer.error().code)) {
      // The next heartbeat hears the same, and says what it means.
      beat_soon(now, effects);
      return;
    }
    if (answer.error().code == Errc::stale_member_epoch) beat_soon(now, effects);
    committing_.due = now + options_.retry_ms;
    return;
  }
  bool news = false;
  for (std::size_t at = 0; at < in_commit_.size() && at < answer->size(); ++at) {
    const auto found = partitions_.find(in_commit_[at].first);
    if (found == partitions_.end()) continue;
    auto& partition = found->second;
    if ((*answer)[at]) {
      if (partition.state != State::locating) partition.committed = in_commit_[at].second;
      continue;
    }
    // It is another's, it was reset, or its topic is gone: there is nothing to commit there.
    if (partition.consumed == in_commit_[at].second) partition.consumed = partition.committed;
    news = true;
  }
  if (news) {
    says_owned_ = true;
    beat_soon(now, effects);
  }
  let_go(now, effects);
  if (wants_commit_) commit(now, effects);
}

// --- the end, and time ----------------------------------------------------------------------------------------------------------------

void GroupConsumer::close(MonotonicMs now, GroupConsumerEffects& effects) {
  switch (phase_) {
    case Phase::idle:
    case Phase::failed: end(effects); return;
    case Phase::joining:
    case Phase::member: break;
    case Phase::leaving:
    case Phase::closed: return;
  }
  phase_ = Phase::leaving;
  leave_until_ = now + options_.profile.session_timeout_ms;
  if (epoch_ == group::joining && !beat_.under_way) {
    end(effects);
    return;
  }
  for (auto at = partitions_.begin(); at != partitions_.end();) {
    at = at->second.state == State::revoking ? std::next(at) : give_up(at, effects);
  }
  let_go(now, effects);
  if (partitions_.empty()) beat(now, effects);
}

void GroupConsumer::end(GroupConsumerEffects& effects) {
  phase_ = Phase::closed;
  beat_ = committing_ = locating_ = {};
  partitions_.clear();
  effects.closed = true;
}

void GroupConsumer::on_deadline(MonotonicMs now, GroupConsumerEffects& effects) {
  const auto is_due = [&](Request& request) {
    if (request.under_way || !request.due || *request.due > now) return false;
    request.due.reset();
    return true;
  };
  if (phase_ == Phase::leaving && leave_until_ && *leave_until_ <= now) {
    end(effects);
    return;
  }
  if (!alone() && phase_ == Phase::member && heard_at_ + options_.profile.session_timeout_ms <= now) {
    // The coordinator has given up on it, or does not live: what it has may be another's.
    lose_all(now, effects);
    heard_at_ = now;
  }
  if (is_due(locating_)) locate(now, effects);
  if (is_due(committing_)) commit(now, effects);
  if (options_.auto_commit && auto_commit_at_ <= now) commit(now, effects);
  if (is_due(beat_)) beat(now, effects);
}

std::optional<MonotonicMs> GroupConsumer::next_deadline() const {
  std::optional<MonotonicMs> next;
  const auto at = [&](std::optional<MonotonicMs> when) {
    if (when && (!next || *when < *next)) next = when;
  };
  if (phase_ == Phase::idle || phase_ == Phase::closed || phase_ == Phase::failed) return next;
  for (const auto* request : {&beat_, &committing_, &locating_}) {
    if (!request->under_way) at(request->due);
  }
  if (options_.auto_commit && any_dirty() && !committing_.under_way) at(auto_commit_at_);
  if (!alone() && phase_ == Phase::member) at(heard_at_ + options_.profile.session_timeout_ms);
  if (phase_ == Phase::leaving) at(leave_until_);
  return next;
}

group::PartitionList GroupConsumer::reading() const {
  group::PartitionList list;
  for (const auto& [id, partition] : partitions_) {
    if (partition.state == State::reading) list.push_back(id);
  }
  return list;
}

group::PartitionList GroupConsumer::owned() const {
  group::PartitionList list;
  for (const auto& [id, partition] : partitions_) list.push_back(id);
  return list;
}

}  // namespace troupe::consumer
