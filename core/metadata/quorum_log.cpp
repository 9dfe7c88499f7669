#include "core/metadata/quorum_log.hpp"

#include <algorithm>

namespace troupe::quorum {

void QuorumLog::open(Offset start, LeaderEpoch start_epoch, Offset end, record::LeaderEpochCache epochs, Offset voters_at,
                     VoterSet voters) {
  start_ = start;
  start_epoch_ = start_epoch;
  end_ = end;
  epochs_ = std::move(epochs);
  epochs_.truncate_from(end);
  voters_.assign(1, {std::nullopt, voters_at, std::move(voters)});
  tail_.clear();
  tail_bytes_ = 0;
}

Status QuorumLog::check(const std::vector<LogEntry>& entries, Offset from, Offset to) const {
  auto next = from;
  for (const auto& entry : entries) {
    if (entry.base_offset != next || entry.records < 1 || entry.end_offset() > to ||
        entry.epoch != epoch_before(entry.end_offset())) {
      return Error{Errc::corrupt_message, "the metadata log has an entry [" + to_string(entry.base_offset) + ", " +
                                              to_string(entry.end_offset()) + ") of epoch " + to_string(entry.epoch) +
                                              ", which is not the one that belongs at " + to_string(next)};
    }
    next = entry.end_offset();
  }
  if (entries.empty()) return Error{Errc::corrupt_message, "the metadata log has no entry at " + to_string(from)};
  return ok();
}

Status QuorumLog::found(const LogEntry& entry) {
  if (entry.kind != EntryKind::data) {
    auto control = decode_control_entry(entry.payload);
    if (!control) return control.error().with_context("the metadata log's entry at " + to_string(entry.base_offset));
    note(entry, *control);
  }
  tail_.push_back(entry);
  tail_bytes_ += entry_bytes(entry);
  return ok();
}

void QuorumLog::reset(const SnapshotMeta& snapshot) {
  open(snapshot.end_offset, snapshot.epoch, snapshot.end_offset, {}, snapshot.end_offset, snapshot.voters);
}

std::optional<LeaderEpoch> QuorumLog::epoch_before(Offset offset) const {
  if (offset < start_ || offset > end_) return std::nullopt;
  if (offset == start_) return start_epoch_;
  return epochs_.epoch_at(offset - 1);
}

std::optional<QuorumLog::EpochEnd> QuorumLog::end_of_epoch(LeaderEpoch epoch) const {
  if (const auto latest = epochs_.latest_epoch(); latest && start_ < end_) {
    if (const auto found = epochs_.end_offset_for(std::min(epoch, *latest), end_))
      return EpochEnd{found->epoch, found->start_offset};
  }
  if (start_epoch_ > epoch) return std::nullopt;
  return EpochEnd{start_epoch_, start_};
}

void QuorumLog::append(LogEntry entry) {
  TROUPE_ASSERT(entry.base_offset == end_ && entry.records > 0 && entry.epoch >= last_epoch());
  epochs_.assign(entry.epoch, entry.base_offset);
  end_ = entry.end_offset();
  if (entry.kind != EntryKind::data) {
    const auto control = decode_control_entry(entry.payload);
    TROUPE_ASSERT(control);
    note(entry, *control);
  }
  tail_bytes_ += entry_bytes(entry);
  tail_.push_back(std::move(entry));
}

void QuorumLog::note(const LogEntry& entry, const ControlEntry& control) {
  voters_.push_back({entry.base_offset, entry.end_offset(), control.voters});
}

void QuorumLog::truncate_to(Offset offset) {
  TROUPE_ASSERT(offset >= start_ && offset <= end_);
  while (!tail_.empty() && tail_.back().base_offset >= offset) {
    tail_bytes_ -= entry_bytes(tail_.back());
    tail_.pop_back();
  }
  while (voters_.size() > 1 && voters_.back().base_offset >= offset) voters_.pop_back();
  epochs_.truncate_from(offset);
  end_ = offset;
}

void QuorumLog::cut(Offset offset) {
  TROUPE_ASSERT(offset <= end_);
  if (offset <= start_) return;
  start_epoch_ = *epoch_before(offset);
  epochs_.truncate_to_start(offset);
  start_ = offset;
  trim(offset, 0);
  while (voters_.size() > 1 && voters_[1].known_from <= offset) voters_.pop_front();
}

void QuorumLog::trim(Offset below, std::size_t bytes_max) {
  while (!tail_.empty() && tail_bytes_ > bytes_max && tail_.front().end_offset() <= below) {
    tail_bytes_ -= entry_bytes(tail_.front());
    tail_.pop_front();
  }
}

std::vector<LogEntry> QuorumLog::entries(Offset from, Offset to, std::size_t bytes_max) const {
  std::vector<LogEntry> found;
  std::size_t bytes = 0;
  auto at = std::ranges::lower_bound(tail_, from, {}, &LogEntry::base_offset);
  if (at != tail_.end() && at->base_offset != from) return found;
  for (; at != tail_.end() && at->end_offset() <= to; ++at) {
    if (found.size() >= message_entries_max || (!found.empty() && bytes + entry_bytes(*at) > bytes_max)) break;
    bytes += entry_bytes(*at);
    found.push_back(*at);
  }
  return found;
}

std::optional<VoterSet> QuorumLog::voters_at(Offset offset) const {
  const auto newer = std::ranges::find_if(voters_, [&](const auto& one) { return one.known_from > offset; });
  if (newer == voters_.begin()) return std::nullopt;
  return std::prev(newer)->voters;
}

bool QuorumLog::votes_from(Offset offset, const ReplicaKey& key) const {
  for (auto at = voters_.rbegin(); at != voters_.rend(); ++at) {
    if (at->voters.contains(key)) return true;
    if (at->known_from <= offset) break;
  }
  return false;
}

}  // namespace troupe::quorum
