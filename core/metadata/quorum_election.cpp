#include <algorithm>

#include "core/metadata/quorum_node.hpp"

/// Who leads: pre-vote, vote, and the promise of a majority.
namespace troupe::quorum {

/// Has a vote, or had one before a change that may yet be undone: until that is committed this replica can be the only one that can lead,
/// for it may have what others lack (thesis 4.2.2). It counts itself only if it has a vote.
bool QuorumNode::is_voter() const { return !hard_.cluster_id.is_nil() && log_.votes_from(high_watermark_, key()); }

/// A leader in whose time nobody else needs a vote (thesis 4.2.3): this one, or one that was heard of within the shortest timeout.
bool QuorumNode::leader_is_near() const {
  return leadership_ || (leader_ && now_ - leader_heard_at_ < options_.election_timeout_min_ms);
}

/// Longer when elections come to nothing: it may take longer than that to ask, to write a vote down and to answer. KRaft backs off, too.
Millis QuorumNode::election_timeout() {
  constexpr std::int64_t epochs_at_first = 3;
  constexpr std::int64_t stretch_max = 4;
  const auto stretch = std::clamp<std::int64_t>(leaderless_epochs_ - epochs_at_first, 1, stretch_max);
  return stretch * prng_.between(options_.election_timeout_min_ms, options_.election_timeout_max_ms - 1);
}

/// A newer epoch: whoever led before does not any more, and this replica has not voted in it.
void QuorumNode::adopt_epoch(LeaderEpoch epoch) {
  TROUPE_ASSERT(epoch > hard_.epoch);
  if (leadership_ && leadership_->hand_over && !leadership_->hand_over->answered) {
    leadership_->hand_over->answered = true;
    answer(leadership_->hand_over->token, log_.end_offset());
  }
  const bool led = leadership_.has_value();
  if (led) resign("there is a newer epoch");
  hard_.epoch = epoch;
  hard_.voted_for.reset();
  hard_dirty_ = true;
  ++leaderless_epochs_;
  follow(nullptr);
  // Perhaps nobody leads in it: a voter that lost an election was met again. Then the gap should be short; a pre-vote shows.
  if (led) election_at_ = now_ + prng_.between(0, options_.peer_down_delay_ms_max);
}

/// Follows `leader`, or waits for one (null).
void QuorumNode::follow(const ReplicaKey* leader) {
  if (leader == nullptr || leader_ != *leader) {
    matched_end_ = Offset{0};
    leader_round_ = 0;
  }
  leader_.reset();
  if (leader != nullptr) {
    leader_ = *leader;
    leader_heard_at_ = now_;
    leaderless_epochs_ = 0;
  }
  granted_.clear();
  refused_.clear();
  role_ = is_voter() ? QuorumRole::follower : QuorumRole::observer;
  election_at_ = now_ + election_timeout();
  follow_at_ = leader == nullptr ? now_ + options_.heartbeat_ms : election_at_;
}

/// Who votes has changed, and this replica may be among them, or no longer.
void QuorumNode::refresh_role() {
  if (leadership_ || role_ == QuorumRole::starting || role_ == QuorumRole::failed) return;
  if (is_voter() == (role_ != QuorumRole::observer)) return;
  role_ = is_voter() ? QuorumRole::follower : QuorumRole::observer;
  election_at_ = follow_at_ = now_ + election_timeout();
}

/// Would a majority vote for this replica? Changes nobody's epoch, so that a replica that was cut off does not disturb when it comes back.
void QuorumNode::begin_pre_vote() {
  election_at_ = now_ + election_timeout();
  if (!is_voter() || installing() || disk_stalled()) return;
  leader_.reset();
  role_ = QuorumRole::prospective;
  granted_ = {key()};  // counts if it is among the voters
  refused_.clear();
  ask_for_votes(true, false);
  count_votes();
}

void QuorumNode::begin_election(bool transfer) {
  if (hard_.epoch == LeaderEpoch::max()) return fail({Errc::unknown_error, "the quorum has run out of epochs"});
  ++hard_.epoch;
  ++leaderless_epochs_;
  hard_.voted_for = key();
  hard_dirty_ = true;
  leader_.reset();
  matched_end_ = Offset{0};
  leader_round_ = 0;
  role_ = QuorumRole::candidate;
  granted_.clear();  // its own vote counts when it is on the disk
  refused_.clear();
  election_at_ = now_ + election_timeout();
  ask_for_votes(false, transfer);
}

void QuorumNode::ask_for_votes(bool pre_vote, bool transfer) {
  for (const auto& voter : voters()) {
    if (voter != key()) send(voter, VoteRequest{pre_vote, transfer, log_.end_offset(), log_.last_epoch()});
  }
}

void QuorumNode::count_votes() {
  if (role_ == QuorumRole::candidate && !granted_.contains(key())) return;  // its own vote is not on the disk
  const auto among = [](const std::set<ReplicaKey>& some) {
    return [&](const ReplicaKey& one) { return some.contains(one); };
  };
  const auto granted = static_cast<std::size_t>(std::ranges::count_if(voters(), among(granted_)));
  const auto refused = static_cast<std::size_t>(std::ranges::count_if(voters(), among(refused_)));
  if (granted >= voters().majority()) {
    if (role_ == QuorumRole::prospective) return begin_election(false);
    return become_leader();
  }
  // Who is gone does not answer. Somebody else has to have: else there is nobody to ask again.
  const auto silent = static_cast<std::size_t>(std::ranges::count_if(voters(), [&](const ReplicaKey& one) {
    return gone_.contains(one.id) && !granted_.contains(one) && !refused_.contains(one);
  }));
  const bool open = voters().size() - refused - silent >= voters().majority();
  if (open || refused == 0 || voters().size() - silent < voters().majority()) return;
  // A pre-vote is refused while the leader is near. It soon will not be, if what is gone is the leader.
  if (role_ == QuorumRole::prospective && silent == 0) return;
  // Lost, or the votes were split: another try soon, and not at the same time as the others.
  refused_.clear();
  election_at_ =
      std::min(election_at_, now_ + prng_.between(options_.lost_election_pause_ms, 2 * options_.lost_election_pause_ms));
}

void QuorumNode::become_leader() {
  role_ = QuorumRole::leader;
  leader_ = key();
  leaderless_epochs_ = 0;
  if (proposals_.size() > options_.proposals_max) {
    for (const auto& [end, proposal] : std::exchange(proposals_, {})) {
      answer(proposal.token, Error{Errc::request_timed_out, "leadership came and went too often: nobody can tell"});
    }
  }
  leadership_.emplace();
  leadership_->epoch_start = log_.end_offset();
  leadership_->since = now_;
  leadership_->heartbeat_at = now_ + options_.heartbeat_ms;
  for (const auto& voter : voters()) {
    if (voter != key()) leadership_->followers.emplace(voter, Progress{log_.end_offset(), now_});
  }
  append_control(EntryKind::leader_change, voters());
  broadcast();
}

void QuorumNode::on(const Message& message, const VoteRequest& request) {
  // A vote is a disk's, not a node's: one for the disk that was here before is not given.
  if (message.to != key()) return;
  const bool up_to_date = request.last_epoch > log_.last_epoch() ||
                          (request.last_epoch == log_.last_epoch() && request.log_end_offset >= log_.end_offset());
  const bool disturbs = leader_is_near() && !request.transfer && leader_ != message.from;  // whoever asks leads no longer
  bool granted = false;
  if (request.pre_vote) {
    granted = !disturbs && up_to_date && message.epoch >= hard_.epoch;
  } else if (!disturbs && message.epoch >= hard_.epoch) {
    if (message.epoch > hard_.epoch) adopt_epoch(message.epoch);
    granted = up_to_date && !leader_ && (!hard_.voted_for || *hard_.voted_for == message.from) && !installing();
    if (granted && !hard_.voted_for) {
      hard_.voted_for = message.from;
      hard_dirty_ = true;
    }
    if (granted) election_at_ = now_ + election_timeout();
  }
  send(message.from, VoteResponse{request.pre_vote, granted, message.epoch, leader()});
}

void QuorumNode::on(const Message& message, const VoteResponse& response) {
  const bool asking = role_ == QuorumRole::prospective || role_ == QuorumRole::candidate;
  if (!asking) return;
  // Whoever is told of a leader and does not hear it may have been voted out without having been told.
  if (!response.granted && response.leader != BrokerId{-1} && response.leader != options_.id) {
    send({response.leader, {}}, Follow{log_.end_offset()});
  }
  if (message.epoch > hard_.epoch) return adopt_epoch(message.epoch);
  if (response.asked != hard_.epoch || response.pre_vote != (role_ == QuorumRole::prospective)) return;
  (response.granted ? granted_ : refused_).insert(message.from);
  count_votes();
}

void QuorumNode::on(const Message& message, const TimeoutNow&) {
  if (message.epoch != hard_.epoch || leader_ != message.from || leadership_ || !is_voter() || installing()) return;
  begin_election(true);
}

}  // namespace troupe::quorum
