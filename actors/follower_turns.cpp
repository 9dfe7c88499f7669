#include "actors/follower_turns.hpp"

#include <caf/event_based_actor.hpp>

#include "base/log.hpp"

namespace troupe::actors {

bool FollowerTurns::fetch(const replication::ReplicaFetch& fetch, MonotonicMs now, replication::LeaderEffects& effects) {
  auto& one = followers_[fetch.replica];
  one.refusal.reset();
  const auto news = log_.replica->on_fetch(fetch, now, effects);
  if (news) return *news;
  one.refusal = log_.replica->refusal_answer(fetch, news.error().code);
  return true;
}

std::optional<replication::ReplicaAnswer> FollowerTurns::turn(const FollowerTurn& turn) {
  auto& one = followers_[turn.replica];
  if (one.refusal) return std::exchange(one.refusal, std::nullopt);
  Bytes records;
  if (const auto from = log_.replica->records_wanted(turn.replica)) {
    Offset next{0};
    const auto end = log_.replica->log_end();
    if (one.ready_from == *from) {
      records = clip(one.ready, *from, end, turn.bytes_max, next);
      one.ready = {};
      one.ready_from = no_offset;
    } else if (const auto recent = log_.recent->read(*from, turn.bytes_max)) {
      records = clip(recent->batches, *from, end, turn.bytes_max, next);
    }
    if (records.empty()) {
      if (one.reading) return std::nullopt;  // of this position, or of one that it left: then there will be another read
      one.reading = *from;
      log_.readers->read({.partition = log_.partition,
                          .token = token_bit | static_cast<std::uint64_t>(turn.replica.value()),
                          .view = log_.view,
                          .from = *from,
                          .bytes_max = turn.bytes_max,
                          .up_to = end,
                          .reply_to = caf::actor_cast<caf::actor>(&self_)});
      return std::nullopt;
    }
  }
  auto answer = log_.replica->answer_follower(turn.replica);
  if (!answer) return replication::ReplicaAnswer{.error = answer.error().code, .leader_epoch = log_.epoch()};
  answer->records = std::move(records);
  return *std::move(answer);
}

bool FollowerTurns::read(const ReadResult& result) {
  auto& one = followers_[replica_of(result.token)];
  const auto from = std::exchange(one.reading, std::nullopt);
  if (!from) return true;
  if (!result.slice || result.slice->batches.empty()) {
    // stale_log_view and offset_out_of_range: the log has moved on since, and so has what this follower is told.
    if (!result.slice && result.slice.error().code == Errc::corrupt_message) {
      log::error("records cannot be copied to a replica",
                 {log::kv("partition", log_.partition), log::kv("from", *from), log::kv("error", result.slice.error())});
    }
    return false;
  }
  one.ready_from = *from;
  one.ready = result.slice->batches;
  one.stale = false;
  return true;
}

void FollowerTurns::forget_stale() {
  for (auto& [replica, one] : followers_) {
    if (!std::exchange(one.stale, true) || one.ready_from == no_offset) continue;
    one.ready = {};
    one.ready_from = no_offset;
  }
}

}  // namespace troupe::actors
