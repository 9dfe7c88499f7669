#include "core/replication/leader_replica.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace troupe::replication {
namespace {

/// With these the log is as it was before.
bool nothing_written(Errc code) {
  switch (code) {
    case Errc::storage_full:
    case Errc::invalid_argument:
    case Errc::message_too_large:
    case Errc::corrupt_message:
    case Errc::log_offline:
    case Errc::unknown_topic_or_partition: return true;
    default: return false;
  }
}

}  // namespace

LeaderReplica::LeaderReplica(const Options& options, Offset log_start, Offset log_end, record::ProducerStates producers)
    : options_(options),
      log_start_(log_start),
      high_watermark_(log_end),
      next_offset_(log_end),
      producers_(std::move(producers)),
      claims_state_(log_start == log_end ? Claims::loaded : Claims::not_loaded) {}

std::optional<Error> LeaderReplica::refusal() const {
  if (failure_)
    return Error{Errc::leader_not_available, "the partition's log failed and is being recovered: " + failure_->message};
  if (refused_) return refused_;
  if (options_.min_insync_replicas > 1) {
    return Error{Errc::not_enough_replicas, "min.insync.replicas is " + std::to_string(options_.min_insync_replicas) +
                                                " and 1 replica is in sync; nothing was written"};
  }
  if (bytes_in_flight_ >= options_.bytes_in_flight_max) {
    return Error{Errc::overloaded,
                 "the partition has " + std::to_string(bytes_in_flight_) + " bytes on their way to the disk: retry later"};
  }
  return std::nullopt;
}

void LeaderReplica::on_produce(std::uint64_t slot, std::vector<NewBatch> batches, LeaderEffects& effects) {
  if (auto refused = refusal()) {
    effects.answers.push_back({slot, {batches.size(), *refused}});
    return;
  }
  const bool claims = std::ranges::any_of(batches, [](const NewBatch& batch) { return batch.claim.has_value(); });
  // What comes behind a slot that waits, waits too: a gateway's slots stay in order.
  if (waiting_for_claims_.empty() && (!claims || claims_state_ == Claims::loaded))
    return accept({slot, std::move(batches)}, effects);
  if (claims_state_ == Claims::not_loaded) {
    claims_state_ = Claims::loading;
    effects.load_claims = true;
  }
  for (const auto& batch : batches) bytes_in_flight_ += batch.bytes.size();
  waiting_for_claims_.push_back({slot, std::move(batches)});
}

void LeaderReplica::accept(Slot slot, LeaderEffects& effects) {
  LeaderEffects::Append append{.token = next_token_};
  std::vector<Result<PlacedRecords>> results;
  results.reserve(slot.batches.size());
  for (auto& batch : slot.batches) results.push_back(place(batch, append));

  const bool appends = !append.batches.empty();
  if (!appends && in_flight_.empty()) {  // retries of what is committed, or refused
    effects.answers.push_back({slot.slot, std::move(results)});
    return;
  }
  std::size_t bytes = 0;
  for (const auto& batch : append.batches) bytes += batch.bytes.size();
  bytes_in_flight_ += bytes;
  // Without an append of its own a slot may repeat what is still in flight: it is answered when that is.
  in_flight_.push_back({appends ? next_token_ : 0, slot.slot, next_offset_, bytes, std::move(results), !appends});
  if (!appends) return;
  ++next_token_;
  append.next_offset = next_offset_;
  effects.appends.push_back(std::move(append));
}

/// Gives a batch its offsets, or finds them.
Result<PlacedRecords> LeaderReplica::place(NewBatch& batch, LeaderEffects::Append& append) {
  TROUPE_TRY_ASSIGN(const auto duplicate, producers_.check(batch.header));
  if (duplicate) return PlacedRecords{duplicate->base_offset, no_timestamp, true};
  if (batch.claim) {
    TROUPE_TRY_ASSIGN(const auto claimed, claims_.check(*batch.claim));
    if (claimed) return PlacedRecords{claimed->base_offset, claimed->timestamp, true};
  }
  auto header = batch.header;
  header.base_offset = next_offset_;
  header.leader_epoch = options_.epoch;
  producers_.apply(header);
  if (batch.claim) claims_.apply(*batch.claim, {next_offset_, header.records_count, header.max_timestamp});
  append.batches.push_back({next_offset_, std::move(batch.bytes)});
  next_offset_ = header.next_offset();
  return PlacedRecords{header.base_offset, no_timestamp, false};
}

void LeaderReplica::on_appended(std::uint64_t token, const Status& status, LeaderEffects& effects) {
  const auto found = std::ranges::find(in_flight_, token, &InFlight::token);
  if (found == in_flight_.end()) return;  // of a time before the last reopening
  if (!status && !nothing_written(status.error().code)) {
    failure_ = status.error();
    return refuse_all(Error{Errc::storage_error, status.error().message + "; the outcome is unknown"}, effects);
  }
  if (!status && !refused_) refused_ = status.error();
  TROUPE_ASSERT(!status || !refused_);  // the log takes appends in order
  found->done = true;

  // Answered in order: what repeats others waits behind them.
  while (!in_flight_.empty() && in_flight_.front().done) {
    auto done = std::move(in_flight_.front());
    in_flight_.pop_front();
    bytes_in_flight_ -= done.bytes;
    if (refused_) {
      done.results.assign(done.results.size(), *refused_);
    } else {
      commit_to(done.next_offset, effects);
    }
    effects.answers.push_back({done.slot, std::move(done.results)});
  }
  if (refused_ && in_flight_.empty()) effects.reopen = true;
}

void LeaderReplica::refuse_all(const Error& error, LeaderEffects& effects) {
  for (auto& one : in_flight_) effects.answers.push_back({one.slot, {one.results.size(), error}});
  in_flight_.clear();
  const Error not_begun{Errc::leader_not_available, error.message};
  for (auto& one : waiting_for_claims_) effects.answers.push_back({one.slot, {one.batches.size(), not_begun}});
  waiting_for_claims_.clear();
  bytes_in_flight_ = 0;
}

void LeaderReplica::on_reopened(Offset log_start, Offset log_end, record::ProducerStates producers, LeaderEffects& effects) {
  TROUPE_ASSERT(in_flight_.empty() && log_end >= high_watermark_);
  refused_.reset();
  log_start_ = log_start;
  next_offset_ = log_end;
  producers_ = std::move(producers);
  if (claims_state_ == Claims::loaded) {  // what was refused had been noted as claimed
    claims_.clear();
    claims_state_ = log_start == log_end ? Claims::loaded : Claims::not_loaded;
  }
  commit_to(log_end, effects);
}

void LeaderReplica::on_claims(const record::RecordBatchView& batch) {
  if (const auto claim = claim_of(batch)) {
    claims_.apply(*claim, {batch.header.base_offset, batch.header.records_count, batch.header.max_timestamp});
  }
}

void LeaderReplica::on_claims_loaded(const Status& status, LeaderEffects& effects) {
  claims_state_ = status ? Claims::loaded : Claims::not_loaded;
  auto waiting = std::move(waiting_for_claims_);
  waiting_for_claims_.clear();
  for (auto& slot : waiting) {
    for (const auto& batch : slot.batches) bytes_in_flight_ -= batch.bytes.size();
    auto refused = refusal();
    if (!status) {
      refused =
          Error{Errc::leader_not_available, "earlier idempotent requests could not be read: " + status.error().message};
    }
    if (refused) {
      effects.answers.push_back({slot.slot, {slot.batches.size(), *refused}});
    } else {
      accept(std::move(slot), effects);
    }
  }
}

void LeaderReplica::on_log_start(Offset log_start) { log_start_ = std::max(log_start_, log_start); }

void LeaderReplica::commit_to(Offset offset, LeaderEffects& effects) {
  if (offset <= high_watermark_) return;
  high_watermark_ = offset;
  effects.high_watermark = offset;
  for (const auto& parked : parked_) effects.readable.push_back(parked.fetch);
  parked_.clear();
}

Status LeaderReplica::check_offset(Offset from) const {
  if (from >= log_start_ && from <= high_watermark_) return ok();
  return Error{Errc::offset_out_of_range, "offset " + to_string(from) + " is outside of the log, which has " +
                                              to_string(log_start_) + " to " + to_string(high_watermark_)};
}

bool LeaderReplica::unpark(std::uint64_t fetch) {
  return std::erase_if(parked_, [&](const Parked& parked) { return parked.fetch == fetch; }) > 0;
}

void LeaderReplica::on_deadline(MonotonicMs now, LeaderEffects& effects) {
  std::erase_if(parked_, [&](const Parked& parked) {
    if (parked.deadline > now) return false;
    effects.readable.push_back(parked.fetch);
    return true;
  });
}

std::optional<MonotonicMs> LeaderReplica::next_deadline() const {
  std::optional<MonotonicMs> next;
  for (const auto& parked : parked_) next = next ? std::min(*next, parked.deadline) : parked.deadline;
  return next;
}

}  // namespace troupe::replication
