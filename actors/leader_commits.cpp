#include "actors/leader_commits.hpp"

#include <caf/event_based_actor.hpp>

#include "actors/clock.hpp"
#include "actors/partition_messages.hpp"

namespace troupe::actors {
namespace {

/// The batches of `append` as one run of bytes, with offsets and epoch.
Bytes stamped(const replication::LeaderEffects::Append& append, LeaderEpoch epoch) {
  std::size_t size = 0;
  for (const auto& batch : append.batches) size += batch.bytes.size();
  ByteBuffer bytes;
  grow_capacity(bytes, size);
  for (const auto& batch : append.batches) {
    const auto at = bytes.size();
    append_bytes(bytes, batch.bytes);
    record::stamp_batch(MutableByteView{bytes}.subspan(at), batch.base_offset, epoch);
  }
  return Bytes::adopt(std::move(bytes));
}

}  // namespace

void LeaderCommits::appended(std::uint64_t token, bool success) {
  while (!in_flight_.empty() && in_flight_.front().token <= token) {
    const auto append = std::move(in_flight_.front());
    in_flight_.pop_front();
    if (append.token != token || !success) continue;
    log_.recent->push(append.batches.front().base_offset, append.next_offset, stamped(append, log_.epoch()));
  }
}

void LeaderCommits::committed(Offset high_watermark, bool replicated) {
  if (replicated) {
    committed_by_all(high_watermark);
  } else {
    committed_alone(high_watermark);
  }
}

void LeaderCommits::committed_alone(Offset high_watermark) {
  committed_ = high_watermark;
  const bool wanted = consumers_want();
  if (!wanted) log_.recent->clear();
  Offset from = no_offset;
  Offset next{0};
  std::vector<Bytes> runs;
  while (!in_flight_.empty() && in_flight_.front().batches.front().base_offset < high_watermark) {
    const auto append = std::move(in_flight_.front());
    in_flight_.pop_front();
    if (!wanted) continue;
    auto bytes = stamped(append, log_.epoch());
    const auto first = append.batches.front().base_offset;
    next = append.next_offset;
    if (from == no_offset) from = first;
    log_.recent->push(first, next, bytes);
    runs.push_back(std::move(bytes));
  }
  if (!tail_ || runs.empty()) return;
  Bytes all = runs.size() == 1 ? runs.front() : log_.recent->read(from, SIZE_MAX).value_or(RecentBatches::Range{}).batches;
  self_.send(tail_, TailCommitted{from, next, log_.replica->log_start(), std::move(all)});
}

/// The last member of the ISR holds it. In memory is what was appended here, committed or not.
void LeaderCommits::committed_by_all(Offset high_watermark) {
  const auto from = std::exchange(committed_, high_watermark);
  if (tail_) {
    Bytes batches;
    if (const auto recent = log_.recent->read(from, SIZE_MAX)) {
      auto next = from;
      batches = clip(recent->batches, from, high_watermark, SIZE_MAX, next);
      if (next != high_watermark) batches = {};
    }
    self_.send(tail_, TailCommitted{from, high_watermark, log_.replica->log_start(), std::move(batches)});
  }
  if (high_watermark == log_.replica->log_end() && !consumers_want()) log_.recent->clear();
}

bool LeaderCommits::consumers_want() const { return tail_ != nullptr || now_of(self_) < log_.recent_wanted_until; }

void LeaderCommits::attach(const caf::actor& tail) {
  tail_ = tail;
  log_.recent_wanted_until = now_of(self_) + recent_wanted_ms;
  const auto& replica = *log_.replica;
  self_.send(tail_, TailAttached{log_.epoch(), replica.high_watermark(), replica.log_start()});
}

}  // namespace troupe::actors
