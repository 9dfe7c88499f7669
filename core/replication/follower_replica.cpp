#include "core/replication/follower_replica.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "core/record/batch_compaction.hpp"

namespace troupe::replication {
namespace {

/// What is to be appended, when all of it fits behind `position`.
struct Checked {
  Offset next_offset{0};
  std::vector<record::LeaderEpochCache::Entry> epochs = {};
};

/// Holds every batch against its checksum and its place: a follower stores nothing that a leader of its epoch cannot have.
Result<Checked> check(ByteView bytes, Offset from, LeaderEpoch last_epoch, LeaderEpoch leader_epoch) {
  Checked checked{.next_offset = from};
  while (!bytes.empty()) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(bytes));
    const auto& header = batch.header;
    const auto what = "batch at offset " + to_string(header.base_offset);
    if (header.base_offset != checked.next_offset)
      return Error{Errc::corrupt_message, what + ", wanted " + to_string(checked.next_offset)};
    if (header.leader_epoch < last_epoch || header.leader_epoch > leader_epoch) {
      return Error{Errc::corrupt_message, what + " is of epoch " + to_string(header.leader_epoch) + ", wanted " +
                                              to_string(last_epoch) + " to " + to_string(leader_epoch)};
    }
    if (!record::crc_matches(batch)) return Error{Errc::corrupt_message, what + ": its checksum is wrong"};
    last_epoch = header.leader_epoch;
    checked.epochs.push_back({header.leader_epoch, header.base_offset});
    checked.next_offset = header.next_offset();
    bytes = bytes.subspan(batch.bytes.size());
  }
  return checked;
}

/// The leader has compacted where this log ends: its first batch stands for records that are here, too. What it says of those behind.
Bytes without_known_gap(const Bytes& records, Offset from) {
  const auto first = record::parse_batch_header(records);
  if (!first || !record::is_gap(*first) || first->base_offset >= from || first->next_offset() <= from ||
      first->size_bytes() > records.size() || first->last_offset() - from >= record::gap_offsets_max)
    return records;
  auto rest = record::build_gap(from, first->last_offset(), first->leader_epoch, first->max_timestamp);
  append_bytes(rest, records.view().subspan(first->size_bytes()));
  return Bytes::adopt(std::move(rest));
}

}  // namespace

FollowerReplica::FollowerReplica(const Options& options, Log log) : options_(options), log_(std::move(log)) {
  log_.durable_end = std::min(log_.durable_end, log_.log_end);
  log_.high_watermark = std::clamp(log_.high_watermark, log_.log_start, log_.log_end);
}

void FollowerReplica::follow(LeaderEpoch epoch, FollowerEffects& effects) {
  if (following_ && epoch <= epoch_) return;
  if (epoch < epoch_ || epoch < log_.epochs.latest_epoch().value_or(no_leader_epoch)) {
    effects.warning =
        Error{Errc::fenced_leader_epoch, "not following epoch " + to_string(epoch) + ": the log is ahead of it"};
    return;
  }
  epoch_ = epoch;
  following_ = true;
  fenced_ = false;
  retry_at_.reset();
  leader_high_watermark_ = Offset{0};
  effects.moved = true;
}

void FollowerReplica::stop(FollowerEffects& effects) {
  following_ = false;
  retry_at_.reset();
  effects.moved = true;
}

LeaderEpoch FollowerReplica::last_epoch() const {
  if (log_.log_end == log_.log_start) return no_leader_epoch;
  return log_.epochs.epoch_at(log_.log_end - 1).value_or(no_leader_epoch);
}

std::optional<FetchPosition> FollowerReplica::position() const {
  if (!following_ || fenced_ || failed_ || storing_ || retry_at_) return std::nullopt;
  return FetchPosition{.leader_epoch = epoch_,
                       .fetch_offset = log_.log_end,
                       .last_fetched_epoch = last_epoch(),
                       .durable_offset = log_.durable_end,
                       .log_start = log_.log_start,
                       .high_watermark = log_.high_watermark};
}

void FollowerReplica::on_answer(const ReplicaAnswer& answer, MonotonicMs now, FollowerEffects& effects) {
  const auto asked = position();
  if (!asked || answer.fetch_offset != asked->fetch_offset || answer.last_fetched_epoch != asked->last_fetched_epoch) return;
  if (answer.error) return refused(answer, now, effects);
  if (answer.leader_epoch != epoch_) return;  // of a leader that has been followed before, or will be
  if (answer.diverging) return cut(answer, *answer.diverging, now, effects);
  move_log_start(answer.log_start, effects);  // first: what lies before it need not be the leader's, and is not shown
  take_watermark(answer, effects);
  if (!answer.records.empty() && !begins_inside(answer.records, effects))
    append(without_known_gap(answer.records, log_.log_end), log_.log_end, now, effects);
}

// --- consumers

Status FollowerReplica::check_read(Offset from) const {
  if (from < log_.log_start) {
    return Error{Errc::offset_out_of_range,
                 "offset " + to_string(from) + " lies before the log, which begins at " + to_string(log_.log_start)};
  }
  if (from < log_.high_watermark) return ok();
  return Error{Errc::leader_not_available, "nothing at or above offset " + to_string(log_.high_watermark) +
                                               " is known to be committed by a replica that follows: ask the leader"};
}

// --- the watermark and the log start, as the leader says

/// Only what an answer without divergence says: up to its position the logs are the same, so the watermark covers the leader's records.
void FollowerReplica::take_watermark(const ReplicaAnswer& answer, FollowerEffects& effects) {
  leader_high_watermark_ = std::max(leader_high_watermark_, answer.high_watermark);
  raise_watermark(effects);
}

void FollowerReplica::raise_watermark(FollowerEffects& effects) {
  const auto known = std::min(leader_high_watermark_, log_.log_end);
  if (known <= log_.high_watermark) return;
  log_.high_watermark = known;
  effects.high_watermark = known;
  effects.moved = true;
}

void FollowerReplica::move_log_start(Offset log_start, FollowerEffects& effects) {
  const auto start = std::min(log_start, log_.log_end);
  if (start <= log_.log_start) return;
  log_.log_start = start;
  log_.epochs.truncate_to_start(start);
  effects.log_start = start;
  effects.moved = true;
  if (log_.high_watermark < start) {
    log_.high_watermark = start;
    effects.high_watermark = start;
  }
}

// --- records, divergence, refusals

/// Records were deleted up to the middle of a batch, and an empty log was to begin there: on the disk it begins with that batch, and
/// the log start stays where it is.
bool FollowerReplica::begins_inside(const Bytes& records, FollowerEffects& effects) {
  const auto first = record::parse_batch_header(records);
  const bool inside =
      log_.log_start == log_.log_end && first && first->base_offset < log_.log_end && first->next_offset() > log_.log_end;
  if (!inside) return false;
  storing_ = Storing{next_token_++, Kind::restart, first->base_offset, {}, records};
  effects.restart = FollowerEffects::Restart{storing_->token, first->base_offset};
  effects.moved = true;
  return true;
}

void FollowerReplica::append(const Bytes& records, Offset from, MonotonicMs now, FollowerEffects& effects) {
  auto checked = check(records, from, last_epoch(), epoch_);
  if (!checked) {
    effects.warning = std::move(checked).error().with_context("records of the leader of epoch " + to_string(epoch_));
    return wait(now, effects);
  }
  storing_ = Storing{next_token_++, Kind::append, checked->next_offset, std::move(checked->epochs), {}};
  effects.append = FollowerEffects::Append{storing_->token, records, from, storing_->next_offset};
  effects.moved = true;
}

/// The leader's largest epoch that is not above our last one ends at `diverging.end_offset`. Ours may end earlier, or may be another one:
/// then the next fetch asks again from there, with an older epoch each time.
void FollowerReplica::cut(const ReplicaAnswer& answer, const DivergingEpoch& diverging, MonotonicMs now,
                          FollowerEffects& effects) {
  if (diverging.epoch > last_epoch()) return wait(now, effects);  // no answer to this position
  const auto own = log_.epochs.end_offset_for(diverging.epoch, log_.log_end);
  if (!own) return start_over(answer, effects);  // all records here are of newer epochs
  // Where the leader's epoch ends is a batch end here only in that same epoch.
  const bool same = own->epoch == diverging.epoch;
  const auto to = same ? std::min(own->start_offset, diverging.end_offset) : own->start_offset;
  if (to >= log_.log_end) return wait(now, effects);  // they do not diverge
  if (to < log_.log_start) return start_over(answer, effects);
  storing_ = Storing{next_token_++, Kind::truncate, to, {}, {}};
  effects.truncate = FollowerEffects::Truncate{storing_->token, to};
  effects.moved = true;
  if (to >= log_.high_watermark) return;
  effects.records_lost = true;
  effects.warning =
      Error{Errc::offset_out_of_range, "committed records [" + to_string(to) + ", " + to_string(log_.high_watermark) +
                                           ") are not in the log of the leader of epoch " + to_string(epoch_)};
}

/// The leader's log does not reach back to where this one ends, or has nothing in common with it.
void FollowerReplica::start_over(const ReplicaAnswer& answer, FollowerEffects& effects) {
  // What an earlier leader said to be deleted stays deleted.
  const auto start = log_.log_start <= answer.log_end ? std::max(answer.log_start, log_.log_start) : answer.log_start;
  storing_ = Storing{next_token_++, Kind::restart, start, {}, {}};
  effects.restart = FollowerEffects::Restart{storing_->token, start};
  effects.moved = true;
  effects.records_lost = start < log_.high_watermark && log_.log_start < log_.high_watermark;
  effects.warning = Error{Errc::offset_out_of_range,
                          "the log [" + to_string(log_.log_start) + ", " + to_string(log_.log_end) + ") begins again at " +
                              to_string(start) + ": the leader of epoch " + to_string(epoch_) + " has nothing older"};
}

void FollowerReplica::refused(const ReplicaAnswer& answer, MonotonicMs now, FollowerEffects& effects) {
  switch (*answer.error) {
    case Errc::fenced_leader_epoch:
      if (answer.leader_epoch <= epoch_) return;  // said of an epoch that was followed before
      fenced_ = true;
      effects.moved = true;
      return;
    case Errc::offset_out_of_range:
      if (answer.leader_epoch == epoch_) return start_over(answer, effects);
      return wait(now, effects);
    default: return wait(now, effects);
  }
}

void FollowerReplica::wait(MonotonicMs now, FollowerEffects& effects) {
  retry_at_ = now + options_.retry_ms;
  effects.moved = true;
}

void FollowerReplica::on_deadline(MonotonicMs now, FollowerEffects& effects) {
  if (!retry_at_ || *retry_at_ > now) return;
  retry_at_.reset();
  effects.moved = true;
}

// --- storage

void FollowerReplica::on_stored(std::uint64_t incarnation, std::uint64_t token, const Status& status, MonotonicMs now,
                                FollowerEffects& effects) {
  if (incarnation != options_.incarnation || !storing_ || storing_->token != token) return;
  const auto done = *std::move(storing_);
  storing_.reset();
  effects.moved = true;
  if (!status) {
    if (status.error().code == Errc::storage_full) return wait(now, effects);
    failed_ = true;
    return;
  }
  if (!done.then_append.empty()) return append(done.then_append, done.next_offset, now, effects);
  switch (done.kind) {
    case Kind::append:
      for (const auto& batch : done.epochs) log_.epochs.assign(batch.epoch, batch.start_offset);
      if (done.epochs.front().start_offset < log_.log_start) {
        log_.epochs.truncate_to_start(log_.log_start);
        effects.log_start = log_.log_start;
      }
      break;
    case Kind::truncate: log_.epochs.truncate_from(done.next_offset); break;
    case Kind::restart:
      log_.epochs.clear();
      log_.log_start = done.next_offset;
      break;
  }
  log_.log_end = done.next_offset;
  log_.durable_end = done.kind == Kind::restart ? done.next_offset : std::min(log_.durable_end, log_.log_end);
  // Below a restart's offset all is committed: leaders remove nothing else.
  const auto known = done.kind == Kind::restart ? log_.log_end : std::min(log_.high_watermark, log_.log_end);
  if (known != log_.high_watermark) effects.high_watermark = log_.high_watermark = known;
  raise_watermark(effects);
}

void FollowerReplica::on_durable(std::uint64_t incarnation, Offset durable_end, FollowerEffects& effects) {
  if (incarnation != options_.incarnation || failed_) return;
  // While an append is under way its end is durable only once it has been reported as stored.
  const auto durable = std::min(durable_end, log_.log_end);
  if (durable <= log_.durable_end) return;
  log_.durable_end = durable;
  effects.moved = true;
}

}  // namespace troupe::replication
