#include "actors/follower_reads.hpp"

#include <algorithm>

#include <caf/event_based_actor.hpp>

#include "actors/led_log.hpp"

namespace troupe::actors {

Error FollowerReads::not_here() const {
  return {Errc::leader_not_available, "the replica of partition " + to_string(partition_.partition) +
                                          " on this node has nothing committed there, and its leader may have: retry"};
}

// --- the log

void FollowerReads::opened(storage::LogView view) {
  view_ = std::move(view);
  moved();
}

void FollowerReads::appended(Offset from, Offset next_offset, const Bytes& batches) {
  // A copy: these bytes are a piece of an answer about many partitions, which would be kept whole.
  if (tail_) recent_.push(from, next_offset, Bytes::copy_of(batches.view()));
}

void FollowerReads::cut(bool lost) {
  recent_.clear();
  if (!lost) return;
  told_ = false;
  if (const auto tail = std::exchange(tail_, nullptr)) self_.send(tail, TailEnded{});
}

void FollowerReads::moved() {
  if (!tail_ || !replica_) return;
  if (!told_ || told_epoch_ != replica_->epoch()) tell_attached();
  const auto end = replica_->high_watermark();
  if (end <= committed_) return;
  const auto from = std::exchange(committed_, end);
  Bytes batches;
  if (const auto recent = recent_.read(from, SIZE_MAX)) {
    auto next = from;
    batches = clip(recent->batches, from, end, SIZE_MAX, next);
    if (next != end) batches = {};
  }
  self_.send(tail_, TailCommitted{from, end, replica_->log_start(), std::move(batches)});
}

// --- the tail

void FollowerReads::attach(const caf::actor& tail) {
  tail_ = tail;
  told_ = false;
  moved();
}

void FollowerReads::detach() {
  tail_ = nullptr;
  recent_.clear();
}

void FollowerReads::tell_attached() {
  if (!told_) committed_ = replica_->high_watermark();
  told_ = true;
  told_epoch_ = replica_->epoch();
  self_.send(tail_, TailAttached{told_epoch_, committed_, replica_->log_start()});
}

// --- records

void FollowerReads::fetch(const FetchPartition& asked) {
  const auto refuse = [&](Error error) { self_.send(asked.reply_to, FetchAnswered{asked.token, std::move(error)}); };
  if (!replica_) return refuse(not_here());
  if (auto checked = replica_->check_read(asked.request.from); !checked) return refuse(std::move(checked).error());
  const auto token = next_token_++;
  fetches_.emplace(token, asked);
  readers_.read({.partition = partition_,
                 .token = token,
                 .view = view_,
                 .from = asked.request.from,
                 .bytes_max = asked.request.bytes_max,
                 .up_to = replica_->high_watermark(),
                 .reply_to = caf::actor_cast<caf::actor>(&self_)});
}

void FollowerReads::read(const ReadResult& result) {
  const auto asked = fetches_.extract(result.token);
  if (!asked) return;
  const auto& [token, request, reply_to] = asked.mapped();
  const auto answer = [&, to = reply_to, number = token](Result<FetchResponse> response) {
    self_.send(to, FetchAnswered{number, std::move(response)});
  };
  // A view that was cut, or a disk that does not answer: another replica may.
  if (!result.slice || !replica_) return answer(not_here());
  auto next = result.slice->next_offset;
  auto batches = clip(result.slice->batches, Offset{0}, std::max(request.from + 1, request.up_to), SIZE_MAX, next);
  if (batches.empty()) return answer(not_here());
  answer(FetchResponse{.batches = std::move(batches),
                       .next_offset = next,
                       .log_start_offset = replica_->log_start(),
                       .high_watermark = replica_->high_watermark(),
                       .leader_epoch = replica_->epoch()});
}

// --- positions

OffsetAnswer FollowerReads::position(Offset offset) const {
  return {.offset = offset,
          .log_start_offset = replica_->log_start(),
          .high_watermark = replica_->high_watermark(),
          .leader_epoch = no_leader_epoch};
}

void FollowerReads::find(const FindOffset& asked) {
  const auto answer = [&](Result<OffsetAnswer> result) {
    self_.send(asked.reply_to, OffsetAnswered{asked.token, std::move(result)});
  };
  if (!replica_) return answer(not_here());
  switch (asked.spec.kind) {
    case OffsetSpec::Kind::earliest: return answer(position(replica_->log_start()));
    case OffsetSpec::Kind::latest: return answer(position(replica_->high_watermark()));
    case OffsetSpec::Kind::timestamp: break;
  }
  const auto token = next_token_++;
  finds_.emplace(token, asked);
  readers_.find({.partition = partition_,
                 .token = token,
                 .view = view_,
                 .timestamp = asked.spec.timestamp,
                 .reply_to = caf::actor_cast<caf::actor>(&self_)});
}

void FollowerReads::found(const TimestampResult& result) {
  const auto asked = finds_.extract(result.token);
  if (!asked) return;
  const auto& [token, spec, reply_to] = asked.mapped();
  // The first such record may be one that only the leader knows to be committed.
  Result<OffsetAnswer> answer = not_here();
  if (replica_ && result.found && *result.found && (*result.found)->offset < replica_->high_watermark()) {
    answer = position(std::max((*result.found)->offset, replica_->log_start()));
  }
  self_.send(reply_to, OffsetAnswered{token, std::move(answer)});
}

}  // namespace troupe::actors
