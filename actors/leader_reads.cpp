#include "actors/leader_reads.hpp"

#include <algorithm>

#include <caf/event_based_actor.hpp>

#include "actors/clock.hpp"

namespace troupe::actors {

void LeaderReads::fetch(const FetchPartition& asked) {
  const auto token = next_fetch_++;
  fetches_.emplace(token, Fetch{asked});
  serve(token, true);
}

void LeaderReads::serve(std::uint64_t token, bool may_park) {
  const auto found = fetches_.find(token);
  if (found == fetches_.end()) return;
  auto& replica = *log_.replica;
  found->second.parked = false;
  const auto& request = found->second.asked.request;
  if (auto checked = replica.check_offset(request.from); !checked) return answer_fetch(token, std::move(checked).error());
  if (!replica.has_records_at(request.from)) {
    const auto now = now_of(self_);
    log_.recent_wanted_until = now + recent_wanted_ms;
    if (!may_park || request.wait_ms_max <= 0) return answer_fetch(token, response({}, request.from));
    found->second.parked = true;
    return replica.park(token, now + request.wait_ms_max);
  }
  const auto end = replica.high_watermark();
  if (const auto recent = log_.recent->read(request.from, request.bytes_max)) {
    // Also what followers do not have yet is kept in memory: not for consumers.
    auto next = request.from;
    auto batches = clip(recent->batches, request.from, std::max(request.from + 1, std::min(request.up_to, end)),
                        request.bytes_max, next);
    return answer_fetch(token, response(std::move(batches), next));
  }
  log_.readers->read({.partition = log_.partition,
                      .token = token,
                      .view = log_.view,
                      .from = request.from,
                      .bytes_max = request.bytes_max,
                      .up_to = end,
                      .reply_to = caf::actor_cast<caf::actor>(&self_)});
}

FetchResponse LeaderReads::response(Bytes batches, Offset next) const {
  return {.batches = std::move(batches),
          .next_offset = next,
          .log_start_offset = log_.replica->log_start(),
          .high_watermark = log_.replica->high_watermark(),
          .leader_epoch = log_.epoch()};
}

void LeaderReads::answer_fetch(std::uint64_t token, Result<FetchResponse> response) {
  const auto found = fetches_.find(token);
  if (found == fetches_.end()) return;
  self_.send(found->second.asked.reply_to, FetchAnswered{found->second.asked.token, std::move(response)});
  fetches_.erase(found);
}

void LeaderReads::read(const ReadResult& result) {
  const auto found = fetches_.find(result.token);
  if (found == fetches_.end()) return;
  if (!result.slice) {
    // The view was taken before a truncation: none happens while a leader leads, but a reset may have.
    return answer_fetch(result.token, result.slice.error());
  }
  const auto& request = found->second.asked.request;
  auto next = result.slice->next_offset;
  auto batches = clip(result.slice->batches, Offset{0}, std::max(request.from + 1, request.up_to), SIZE_MAX, next);
  answer_fetch(result.token, response(std::move(batches), next));
}

void LeaderReads::cancel(const CancelFetch& request) {
  const auto found = std::ranges::find_if(fetches_, [&](const auto& entry) {
    return entry.second.asked.token == request.token && entry.second.asked.reply_to == request.reply_to;
  });
  if (found == fetches_.end() || !found->second.parked) return;
  log_.replica->unpark(found->first);
  answer_fetch(found->first, Error{Errc::cancelled, "the caller gave up"});
}

// --- positions

OffsetAnswer LeaderReads::position(Offset offset) const {
  return {.offset = offset,
          .log_start_offset = log_.replica->log_start(),
          .high_watermark = log_.replica->high_watermark(),
          .leader_epoch = log_.epoch()};
}

void LeaderReads::find(const FindOffset& request) {
  switch (request.spec.kind) {
    case OffsetSpec::Kind::earliest: return answer_find(request, position(log_.replica->log_start()));
    case OffsetSpec::Kind::latest: {
      const auto end = log_.replica->committed_end();
      return answer_find(request, end ? Result<OffsetAnswer>{position(*end)} : Result<OffsetAnswer>{end.error()});
    }
    case OffsetSpec::Kind::timestamp: break;
  }
  const auto token = next_find_++;
  finds_.emplace(token, request);
  log_.readers->find({.partition = log_.partition,
                      .token = token,
                      .view = log_.view,
                      .timestamp = request.spec.timestamp,
                      .reply_to = caf::actor_cast<caf::actor>(&self_)});
}

void LeaderReads::answer_find(const FindOffset& request, Result<OffsetAnswer> answer) {
  self_.send(request.reply_to, OffsetAnswered{request.token, std::move(answer)});
}

void LeaderReads::found(const TimestampResult& result) {
  const auto asked = finds_.find(result.token);
  if (asked == finds_.end()) return;
  if (!result.found) {
    answer_find(asked->second, result.found.error());
  } else {
    const auto end = log_.replica->high_watermark();
    const auto& first = *result.found;
    answer_find(asked->second, position(first ? std::clamp(first->offset, log_.replica->log_start(), end) : end));
  }
  finds_.erase(asked);
}

}  // namespace troupe::actors
