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

void keep_earlier(std::optional<MonotonicMs>& earliest, std::optional<MonotonicMs> one) {
  if (one && (!earliest || *one < *earliest)) earliest = one;
}

constexpr BrokerId only_replica{0};

}  // namespace

LeaderReplica::LeaderReplica(const Options& options, Offset log_start, Offset log_end, record::ProducerStates producers)
    : LeaderReplica(
          options, {only_replica, no_broker_epoch},
          {.leader_epoch = options.epoch, .leader = only_replica, .replicas = {only_replica}, .isr = {only_replica}},
          {.log_start = log_start,
           .log_end = log_end,
           .durable_end = log_end,
           .high_watermark = log_end,
           .epochs = {},
           .producers = std::move(producers)}) {}

LeaderReplica::LeaderReplica(const Options& options, const IsrMember& self, const PartitionState& state, ReplicaStart start)
    : options_(options),
      self_(self),
      log_start_(start.log_start),
      high_watermark_(std::max(start.log_start, start.high_watermark)),
      epoch_start_(start.log_end),
      own_end_(options.flush == Flush::fsync ? start.durable_end : start.log_end),
      log_end_(start.log_end),
      next_offset_(start.log_end),
      epochs_(std::move(start.epochs)),
      producers_(std::move(start.producers)),
      claims_state_(start.log_start == start.log_end ? Claims::loaded : Claims::not_loaded),
      isr_(state.isr, state.partition_epoch),
      replicas_count_(1),
      next_request_(static_cast<std::uint64_t>(options.epoch.value()) << 32) {
  TROUPE_ASSERT(options.epoch == state.leader_epoch && own_end_ <= log_end_ && high_watermark_ <= log_end_);
  // Followers that ask about earlier epochs are told that those end here.
  epochs_.assign(options.epoch, log_end_);
  adopt(state);
}

void LeaderReplica::begin(MonotonicMs now, LeaderEffects& effects) {
  looked_at_ = now;
  for (auto& one : followers_) one.look(own_end_, options_.flush, now);
  effects.sync = own_end_ < log_end_;
  advance(effects);
  change_isr(now, effects);
}

// --- produce

std::optional<Error> LeaderReplica::refusal(Acks acks) const {
  if (failure_)
    return Error{Errc::leader_not_available, "the partition's log failed and is being recovered: " + failure_->message};
  if (resigned_) return not_leading();
  if (refused_) return refused_;
  if (acks == Acks::quorum && static_cast<std::int64_t>(isr_.committed().size()) < options_.min_insync_replicas) {
    const auto count = isr_.committed().size();
    return Error{Errc::not_enough_replicas,
                 "min.insync.replicas is " + std::to_string(options_.min_insync_replicas) + " and " + std::to_string(count) +
                     (count == 1 ? " replica is" : " replicas are") + " in sync; nothing was written"};
  }
  if (bytes_in_flight_ >= options_.bytes_in_flight_max) {
    return Error{Errc::overloaded,
                 "the partition has " + std::to_string(bytes_in_flight_) + " bytes on their way to the disk: retry later"};
  }
  if (waiting_.size() >= options_.slots_waiting_max) {
    return Error{Errc::overloaded,
                 std::to_string(waiting_.size()) + " requests wait for the partition's followers: retry later"};
  }
  return std::nullopt;
}

void LeaderReplica::on_produce(std::uint64_t slot, std::vector<NewBatch> batches, const ProduceTerms& terms,
                               LeaderEffects& effects) {
  if (auto refused = refusal(terms.acks)) {
    effects.answers.push_back({slot, {batches.size(), *refused}});
    return;
  }
  const bool claims = std::ranges::any_of(batches, [](const NewBatch& batch) { return batch.claim.has_value(); });
  // What comes behind a slot that waits, waits too: a gateway's slots stay in order.
  if (waiting_for_claims_.empty() && (!claims || claims_state_ == Claims::loaded))
    return accept({slot, std::move(batches), terms}, effects);
  if (claims_state_ == Claims::not_loaded) {
    claims_state_ = Claims::loading;
    effects.load_claims = true;
  }
  for (const auto& batch : batches) bytes_in_flight_ += batch.bytes.size();
  waiting_for_claims_.push_back({slot, std::move(batches), terms});
}

void LeaderReplica::accept(Slot slot, LeaderEffects& effects) {
  LeaderEffects::Append append{.token = next_token_};
  InFlight one{.slot = slot.slot, .terms = slot.terms};
  one.results.reserve(slot.batches.size());
  for (auto& batch : slot.batches) {
    auto placed = place(batch, append);
    if (placed) {
      one.required = std::max(one.required, placed->next_offset);
      one.results.emplace_back(placed->records);
    } else {
      one.results.emplace_back(std::move(placed).error());
    }
  }
  if (slot.terms.acks == Acks::none) effects.answers.push_back({slot.slot, one.results});

  const bool appends = !append.batches.empty();
  if (!appends && in_flight_.empty()) return settle(std::move(one), effects);  // retries of what is in the log, or refused
  for (const auto& batch : append.batches) one.bytes += batch.bytes.size();
  bytes_in_flight_ += one.bytes;
  // Without an append of its own a slot may repeat what is still in flight: it goes on when that is in the log.
  one.token = appends ? next_token_ : 0;
  one.done = !appends;
  one.next_offset = next_offset_;
  in_flight_.push_back(std::move(one));
  if (!appends) return;
  ++next_token_;
  append.next_offset = next_offset_;
  effects.appends.push_back(std::move(append));
}

/// Gives a batch its offsets, or finds them.
Result<LeaderReplica::Placed> LeaderReplica::place(NewBatch& batch, LeaderEffects::Append& append) {
  TROUPE_TRY_ASSIGN(const auto duplicate, producers_.check(batch.header));
  if (duplicate) return Placed{{duplicate->base_offset, no_timestamp, true}, duplicate->last_offset + 1};
  if (batch.claim) {
    TROUPE_TRY_ASSIGN(const auto claimed, claims_.check(*batch.claim));
    if (claimed) return Placed{{claimed->base_offset, claimed->timestamp, true}, claimed->base_offset + claimed->count};
  }
  auto header = batch.header;
  header.base_offset = next_offset_;
  header.leader_epoch = options_.epoch;
  producers_.apply(header);
  if (batch.claim) claims_.apply(*batch.claim, {next_offset_, header.records_count, header.max_timestamp});
  append.batches.push_back({next_offset_, std::move(batch.bytes)});
  next_offset_ = header.next_offset();
  return Placed{{header.base_offset, no_timestamp, false}, next_offset_};
}

/// What it stands for is in the log, or was refused.
void LeaderReplica::settle(InFlight done, LeaderEffects& effects) {
  if (done.terms.acks == Acks::none) return;  // answered long ago
  if (done.terms.acks == Acks::leader || done.required <= high_watermark_) {
    effects.answers.push_back({done.slot, std::move(done.results)});
    return;
  }
  if (!waiting_.empty()) done.required = std::max(done.required, waiting_.back().required);
  waiting_.push_back({done.slot, std::move(done.results), done.required, done.terms.deadline});
  keep_earlier(waiting_due_, done.terms.deadline);
}

void LeaderReplica::on_appended(std::uint64_t token, const Status& status, LeaderEffects& effects) {
  const auto found = std::ranges::find(in_flight_, token, &InFlight::token);
  if (found == in_flight_.end()) return;  // of a time before the last reopening, or of an ended leadership
  if (!status && !nothing_written(status.error().code)) {
    failure_ = status.error();
    return refuse_all(Error{Errc::storage_error, status.error().message + "; the outcome is unknown"},
                      Error{Errc::leader_not_available, status.error().message}, effects);
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
      done.required = Offset{0};
    } else {
      counts_now(done.next_offset, effects);
    }
    settle(std::move(done), effects);
  }
  if (refused_ && in_flight_.empty()) effects.reopen = true;
}

void LeaderReplica::refuse_all(const Error& unknown, const Error& not_begun, LeaderEffects& effects) {
  const auto answer = [&](std::uint64_t slot, std::vector<Result<PlacedRecords>> results) {
    for (auto& result : results) {
      if (result) result = unknown;  // a refusal stays one
    }
    effects.answers.push_back({slot, std::move(results)});
  };
  for (auto& one : waiting_) answer(one.slot, std::move(one.results));
  waiting_.clear();
  for (auto& one : in_flight_) {
    if (one.terms.acks != Acks::none) answer(one.slot, std::move(one.results));
  }
  in_flight_.clear();
  for (auto& one : waiting_for_claims_) effects.answers.push_back({one.slot, {one.batches.size(), not_begun}});
  waiting_for_claims_.clear();
  bytes_in_flight_ = 0;
  for (const auto& parked : parked_) effects.readable.push_back(parked.fetch);
  parked_.clear();
  for (const auto& one : followers_) effects.followers_ready.push_back(one.broker());
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
  counts_now(log_end, effects);
}

// --- claims

void LeaderReplica::on_claims(const record::RecordBatchView& batch) {
  if (const auto claim = claim_of(batch)) {
    // Not records_count: compaction may have taken some of them.
    claims_.apply(*claim, {batch.header.base_offset, batch.header.last_offset_delta + 1, batch.header.max_timestamp});
  }
}

void LeaderReplica::on_claims_loaded(const Status& status, LeaderEffects& effects) {
  claims_state_ = status ? Claims::loaded : Claims::not_loaded;
  auto waiting = std::move(waiting_for_claims_);
  waiting_for_claims_.clear();
  for (auto& slot : waiting) {
    for (const auto& batch : slot.batches) bytes_in_flight_ -= batch.bytes.size();
    auto refused = refusal(slot.terms.acks);
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

// --- commit

void LeaderReplica::commit_to(Offset offset, LeaderEffects& effects) {
  if (offset <= high_watermark_) return;
  high_watermark_ = offset;
  effects.high_watermark = offset;
  for (const auto& parked : parked_) effects.readable.push_back(parked.fetch);
  parked_.clear();
  while (!waiting_.empty() && waiting_.front().required <= high_watermark_) {
    effects.answers.push_back({waiting_.front().slot, std::move(waiting_.front().results)});
    waiting_.pop_front();
  }
}

void LeaderReplica::answer_overdue(MonotonicMs now, LeaderEffects& effects) {
  if (!waiting_due_ || *waiting_due_ > now) return;
  waiting_due_.reset();
  const Error late =
      under_min_isr()
          ? Error{Errc::not_enough_replicas_after_append, "written, but " + std::to_string(isr_.committed().size()) +
                                                              " of " + std::to_string(options_.min_insync_replicas) +
                                                              " replicas are in sync: the outcome is unknown"}
          : Error{Errc::request_timed_out, "written, but not on all replicas that are in sync: the outcome is unknown"};
  std::erase_if(waiting_, [&](Waiting& one) {
    if (!one.deadline || *one.deadline > now) {
      keep_earlier(waiting_due_, one.deadline);
      return false;
    }
    for (auto& result : one.results) {
      if (result && result->base_offset >= high_watermark_) result = late;
    }
    effects.answers.push_back({one.slot, std::move(one.results)});
    return true;
  });
}

Result<Offset> LeaderReplica::committed_end() const {
  if (ended()) return not_leading();
  if (ready()) return high_watermark_;
  return Error{Errc::offset_not_available, "the leader of epoch " + to_string(options_.epoch) +
                                               " knows what is committed up to " + to_string(high_watermark_) +
                                               ", and not yet beyond"};
}

// --- consumers

Status LeaderReplica::check_offset(Offset from) const {
  if (resigned_) return not_leading();
  // Above the watermark, too: this one may have been deposed, and not know what its successor has committed of what it wrote.
  const auto end = std::max(log_end_, epoch_start_);
  if (from >= log_start_ && from <= end) return ok();
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
  answer_overdue(now, effects);
  if (ended() || followers_.empty()) return;
  looked_at_ = now;
  for (auto& one : followers_) one.look(own_end_, options_.flush, now);
  if (expand_not_before_ && *expand_not_before_ <= now) expand_not_before_.reset();
  change_isr(now, effects);
  if (asked_ && asked_->again_at <= now) {
    asked_->again_at = now + options_.alter_retry_ms;
    effects.alter = asked_->alter;
  }
}

std::optional<MonotonicMs> LeaderReplica::next_deadline() const {
  std::optional<MonotonicMs> next = waiting_due_;
  for (const auto& parked : parked_) keep_earlier(next, parked.deadline);
  if (ended()) return next;
  if (asked_) keep_earlier(next, asked_->again_at);
  keep_earlier(next, expand_not_before_);
  const bool behind = std::ranges::any_of(followers_, [&](const FollowerProgress& one) {
    return isr_.in_maximal(one.broker()) && (one.counted(options_.flush) < own_end_ || one.unseen_since_level());
  });
  for (const auto& one : followers_) {
    const bool due = one.unlinked_since() && !isr_.changing() && contains(isr_.committed(), one.broker()) &&
                     one.counted(options_.flush) < own_end_;
    if (due) {
      const auto at = *one.unlinked_since() + options_.unlinked_max_ms;
      keep_earlier(next, std::max(at, shrink_not_before_.value_or(at)));
    }
  }
  if (behind) keep_earlier(next, looked_at_.value_or(MonotonicMs{0}) + options_.replica_lag_max_ms / 2);
  return next;
}

}  // namespace troupe::replication
