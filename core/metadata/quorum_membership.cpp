#include <algorithm>

#include "core/metadata/quorum_node.hpp"

/// Who votes: one change at a time, learners that catch up first, leaders that hand over or were voted out.
namespace troupe::quorum {

LogEntry QuorumNode::append_control(EntryKind kind, VoterSet voters) {
  LogEntry entry{.base_offset = log_.end_offset(),
                 .epoch = hard_.epoch,
                 .kind = kind,
                 .payload = Bytes::adopt(encode_control_entry({key(), std::move(voters)}))};
  append_entry(entry);
  return entry;
}

/// The majorities of two sets that differ by one voter share one; of sets that differ by more they need not. And an older leader's change
/// that was never committed must not come back behind this one: therefore an entry of the own epoch first.
/// Thesis 4.1, with the correction of 2015 ("bug in single-server membership changes").
Status QuorumNode::may_change_voters() const {
  if (!leadership_) return Error{Errc::not_leader_or_follower, "this node does not lead the quorum"};
  if (leadership_->hand_over || !own_epoch_committed()) {
    return Error{Errc::leader_not_available, "the quorum's leader is taking over, or handing over: try again"};
  }
  const auto latest = log_.voters_base_offset();
  if (leadership_->catch_up || (latest && *latest >= high_watermark_)) {
    return Error{Errc::conflict, "another change of voters is open: try again when it is done"};
  }
  return ok();
}

void QuorumNode::change_voters(std::uint64_t token, VoterSet voters) {
  expect_commit(token, append_control(EntryKind::voters, std::move(voters)));
  broadcast();
  advance_high_watermark();  // without the voter that goes, a majority may have it all
}

QuorumEffects QuorumNode::add_voter(std::uint64_t token, const ReplicaKey& voter, MonotonicMs now) {
  begin(now);
  const auto refused = [&](Errc code, std::string why) {
    answer(token, Error{code, std::move(why)});
    return finish();
  };
  if (auto may = may_change_voters(); !may) return refused(may.error().code, may.error().message);
  if (voters().contains(voter)) {
    answer(token, high_watermark_);
    return finish();
  }
  if (voters().contains(voter.id)) {
    return refused(Errc::conflict, "node " + to_string(voter.id) + " votes with another directory: remove that first");
  }
  if (voters().size() >= voters_max) {
    return refused(Errc::invalid_argument,
                   "there are " + std::to_string(voters().size()) + " voters: at most " + std::to_string(voters_max));
  }
  if (!leadership_->followers.contains(voter)) {
    return refused(Errc::not_found, to_string(voter) + " does not follow this leader: start it, and try again");
  }
  leadership_->catch_up = CatchUp{voter, token, log_.end_offset(), now_, now_, 1};
  advance_catch_up();
  return finish();
}

QuorumEffects QuorumNode::remove_voter(std::uint64_t token, const ReplicaKey& voter, MonotonicMs now) {
  begin(now);
  if (auto may = may_change_voters(); !may) {
    answer(token, may.error());
  } else if (!voters().contains(voter)) {
    answer(token, high_watermark_);
  } else if (voters().size() == 1) {
    answer(token,
           Error{Errc::conflict, "node " + to_string(voter.id) + " is the only voter: give another one a vote first"});
  } else {
    change_voters(token, voters().without(voter));
  }
  return finish();
}

/// A round: from now to when the learner has what was in the log when the round began. One that is shorter than an election timeout shows
/// that the learner, as a voter, will not hold up what comes (thesis 4.2.1).
void QuorumNode::advance_catch_up() {
  auto& catch_up = leadership_->catch_up;
  if (!catch_up) return;
  const auto given_up = [&](std::string why) {
    answer(std::exchange(catch_up, std::nullopt)->token, Error{Errc::request_timed_out, std::move(why)});
  };
  const auto at = leadership_->followers.find(catch_up->voter);
  const auto name = to_string(catch_up->voter);
  if (at == leadership_->followers.end()) return given_up(name + " does not answer any more: it has no vote");
  if (now_ - catch_up->since >= options_.catch_up_ms_max) return given_up(name + " is too slow: it has no vote");
  if (at->second.durable() < catch_up->target) return;
  if (now_ - catch_up->round_since < options_.election_timeout_min_ms) {
    const auto done = *std::exchange(catch_up, std::nullopt);
    return change_voters(done.token, voters().with(done.voter));
  }
  if (catch_up->rounds >= options_.catch_up_rounds_max) {
    return given_up(name + " is too slow: after " + std::to_string(catch_up->rounds) + " rounds it has no vote");
  }
  ++catch_up->rounds;
  catch_up->target = log_.end_offset();
  catch_up->round_since = now_;
}

// --- handing over

/// Of the other voters that answer, the one that has most.
std::optional<ReplicaKey> QuorumNode::best_successor() const {
  std::optional<ReplicaKey> best;
  Offset has{-1};
  for (const auto& voter : voters()) {
    const auto at = leadership_->followers.find(voter);
    if (at == leadership_->followers.end() || now_ - at->second.heard_at() >= options_.check_quorum_ms) continue;
    if (at->second.durable() <= has) continue;
    best = voter;
    has = at->second.durable();
  }
  return best;
}

QuorumEffects QuorumNode::transfer(std::uint64_t token, BrokerId target, MonotonicMs now) {
  begin(now);
  const auto refused = [&](Errc code, std::string why) {
    answer(token, Error{code, std::move(why)});
    return finish();
  };
  if (!leadership_) return refused(Errc::not_leader_or_follower, "this node does not lead the quorum");
  if (leadership_->hand_over) return refused(Errc::conflict, "leadership is being handed over already");
  if (leadership_->catch_up) return refused(Errc::conflict, "a voter is being added: try again when it is done");
  std::optional<ReplicaKey> to;
  if (target == BrokerId{-1}) {
    to = best_successor();
    if (!to) return refused(Errc::leader_not_available, "no other voter answers");
  } else {
    for (const auto& voter : voters()) {
      if (voter.id == target && voter != key()) to = voter;
    }
    if (!to) return refused(Errc::invalid_argument, "node " + to_string(target) + " is not another voter");
  }
  leadership_->hand_over = HandOver{.token = token, .target = *to, .since = now_};
  advance_hand_over();
  return finish();
}

/// No proposals are taken meanwhile; when the target has everything it is told to be elected.
void QuorumNode::advance_hand_over() {
  auto& hand_over = leadership_->hand_over;
  if (!hand_over || hand_over->told) return;
  const auto at = leadership_->followers.find(hand_over->target);
  if (at == leadership_->followers.end() || at->second.durable() != log_.end_offset()) return;
  hand_over->told = true;
  send(hand_over->target, TimeoutNow{});
}

/// A leader without a vote leads on until that is committed (thesis 4.2.2).
void QuorumNode::leave_if_voted_out() {
  if (!leadership_ || voters().contains(key())) return;
  if (const auto said = log_.voters_base_offset(); said && *said >= high_watermark_) return;
  if (const auto successor = best_successor()) send(*successor, TimeoutNow{});
  resign("voted out");
}

}  // namespace troupe::quorum
