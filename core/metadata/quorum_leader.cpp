#include <algorithm>

#include "core/metadata/quorum_node.hpp"

/// Leading: entries out, answers in, the high watermark, reads.
namespace troupe::quorum {

bool QuorumNode::own_epoch_committed() const { return leadership_ && high_watermark_ > leadership_->epoch_start; }

std::optional<QuorumNode::Place> QuorumNode::next_place() const {
  if (!leadership_ || !leadership_->ready || leadership_->hand_over) return std::nullopt;
  return Place{log_.end_offset(), hard_.epoch};
}

/// Leads no longer, in the same epoch. Proposals stay: another leader may yet commit them.
void QuorumNode::resign(const char* why) {
  auto ended = std::move(*leadership_);
  leadership_.reset();
  const Error error{Errc::not_leader_or_follower, std::string("no longer the leader: ") + why};
  for (const auto token : ended.waiting_reads) answer(token, error);
  if (ended.asking) {
    for (const auto token : ended.asking->tokens) answer(token, error);
  }
  for (const auto& reads : ended.confirmed) {
    for (const auto token : reads.tokens) answer(token, error);
  }
  if (ended.catch_up) answer(ended.catch_up->token, error);
  if (ended.hand_over && !ended.hand_over->answered) answer(ended.hand_over->token, error);
  follow(nullptr);
}

// --- proposals

QuorumEffects QuorumNode::propose(std::uint64_t token, Place place, std::int32_t records, Bytes payload, MonotonicMs now) {
  begin(now);
  const auto refused = [&](Errc code, std::string why) {
    answer(token, Error{code, std::move(why)});
    return finish();
  };
  if (!leadership_) return refused(Errc::not_leader_or_follower, "this node does not lead the quorum");
  const auto next = next_place();
  if (!next) return refused(Errc::leader_not_available, "the quorum's leader is taking over, or handing over: try again");
  if (place != *next) {
    return refused(Errc::conflict, "proposed for offset " + to_string(place.base_offset) + " in epoch " +
                                       to_string(place.epoch) + ", the next place is " + to_string(next->base_offset) +
                                       " in epoch " + to_string(next->epoch));
  }
  if (records < 1) return refused(Errc::invalid_argument, "a proposal of " + std::to_string(records) + " records");
  if (payload.size() > options_.entry_bytes_max) {
    return refused(Errc::message_too_large, "a proposal of " + std::to_string(payload.size()) + " bytes: at most " +
                                                std::to_string(options_.entry_bytes_max));
  }
  LogEntry entry{place.base_offset, place.epoch, EntryKind::data, records, std::move(payload)};
  const auto bytes = entry_bytes(entry);
  if (leadership_->proposals >= options_.proposals_max ||
      (leadership_->proposals > 0 && leadership_->proposed_bytes + bytes > options_.uncommitted_bytes_max)) {
    return refused(Errc::overloaded, std::to_string(leadership_->proposals) + " proposals, " +
                                         std::to_string(leadership_->proposed_bytes) +
                                         " bytes, wait for a majority: try again");
  }
  expect_commit(token, entry);
  append_entry(std::move(entry));
  broadcast();
  return finish();
}

/// To be answered when it is certain what stands in the entry's place.
void QuorumNode::expect_commit(std::uint64_t token, const LogEntry& entry) {
  const auto bytes = entry_bytes(entry);
  proposals_.emplace(entry.end_offset(), Proposal{token, entry.epoch, bytes});
  ++leadership_->proposals;
  leadership_->proposed_bytes += bytes;
}

// --- sending

void QuorumNode::broadcast() {
  for (auto& [to, progress] : leadership_->followers) send_entries(to, progress);
}

void QuorumNode::send_entries(const ReplicaKey& to, Progress& progress) {
  constexpr std::size_t probe_bytes_max = 16U << 10;  // whoever is not there costs no more
  while (progress.may_send(options_.inflight_bytes_max, options_.inflight_messages_max)) {
    if (progress.next() < log_.start_offset()) {
      TROUPE_ASSERT(snapshot_);
      progress.send_snapshot(*snapshot_);
      return send_chunk(to, progress);
    }
    if (progress.state() == Progress::State::probe) {
      auto entries = log_.entries(progress.next(), log_.end_offset(), probe_bytes_max);
      if (!entries.empty() && entry_bytes(entries.front()) > probe_bytes_max) entries.clear();
      return send_append(to, progress, std::move(entries));
    }
    if (progress.next() >= log_.end_offset() || progress.read_token()) return;
    if (progress.next() < log_.tail_offset()) {
      progress.read_token() = ++read_token_;
      out_.emplace_back(ReadEntries{read_token_, progress.next(), log_.tail_offset(), options_.append_bytes_max});
      return;
    }
    send_append(to, progress, log_.entries(progress.next(), log_.end_offset(), options_.append_bytes_max));
  }
}

void QuorumNode::send_append(const ReplicaKey& to, Progress& progress, std::vector<LogEntry> entries) {
  const auto previous = log_.epoch_before(progress.next());
  TROUPE_ASSERT(previous);
  AppendRequest request{progress.next(), *previous, high_watermark_, leadership_->round, std::move(entries)};
  std::size_t bytes = 0;
  for (const auto& entry : request.entries) bytes += entry_bytes(entry);
  progress.sent(request.entries.empty() ? request.base_offset : request.entries.back().end_offset(), bytes);
  send(to, std::move(request));
}

/// No entries: "I lead", the high watermark, and a question whether all that was sent has come.
void QuorumNode::send_heartbeat(const ReplicaKey& to, Progress& progress) {
  if (progress.state() == Progress::State::probe) {
    progress.probe_again();
    return send_entries(to, progress);
  }
  const bool known = progress.state() == Progress::State::replicate && progress.next() >= log_.start_offset();
  const auto base = known ? progress.next() : log_.end_offset();
  send(to, AppendRequest{base, *log_.epoch_before(base), high_watermark_, leadership_->round, {}});
}

void QuorumNode::heartbeat_all() {
  for (auto& [to, progress] : leadership_->followers) {
    send_heartbeat(to, progress);
    if (progress.state() == Progress::State::replicate) send_entries(to, progress);
  }
}

void QuorumNode::send_chunk(const ReplicaKey& to, Progress& progress) {
  auto* transfer = progress.transfer();
  if (transfer == nullptr || transfer->read_token || transfer->waiting) return;
  const auto rest = transfer->snapshot.size_bytes - transfer->position;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(rest, options_.snapshot_chunk_bytes));
  transfer->since = now_;
  if (size == 0) {
    transfer->waiting = true;
    return send(to, SnapshotRequest{transfer->snapshot, transfer->position, leadership_->round, {}});
  }
  transfer->read_token = ++read_token_;
  out_.emplace_back(ReadSnapshot{read_token_, transfer->snapshot, transfer->position, size});
}

QuorumEffects QuorumNode::snapshot_read(std::uint64_t token, Result<Bytes> chunk, MonotonicMs now) {
  begin(now);
  if (!leadership_) return finish();
  for (auto& [to, progress] : leadership_->followers) {
    auto* transfer = progress.transfer();
    if (transfer == nullptr || transfer->read_token != token) continue;
    transfer->read_token.reset();
    transfer->waiting = true;  // an answer, or a new try after a time
    transfer->since = now_;
    if (chunk) {
      send(to, SnapshotRequest{transfer->snapshot, transfer->position, leadership_->round, std::move(*chunk)});
    } else if (chunk.error().code == Errc::not_found && snapshot_ && *snapshot_ != transfer->snapshot) {
      progress.send_snapshot(*snapshot_);
      send_chunk(to, progress);
    }
    break;
  }
  return finish();
}

// --- answers

/// The progress of who answered this leadership; null when the answer means nothing (any more).
Progress* QuorumNode::heard(const Message& message, std::uint64_t round) {
  if (!leadership_) return nullptr;
  if (message.epoch > hard_.epoch) {
    adopt_epoch(message.epoch);
    return nullptr;
  }
  const auto at = leadership_->followers.find(message.from);
  if (message.epoch < hard_.epoch || at == leadership_->followers.end()) return nullptr;
  at->second.heard(now_, round);
  confirm_reads();
  return &at->second;
}

void QuorumNode::on(const Message& message, const AppendResponse& response) {
  auto* const answering = heard(message, response.round);
  if (answering == nullptr) return;
  auto& progress = *answering;
  if (response.accepted) {
    if (response.matched_offset > log_.end_offset() || response.durable_offset > response.matched_offset) {
      return note_once(to_string(message.from) + " acknowledges what it was not sent");
    }
    progress.accepted(response.matched_offset, response.durable_offset);
    send_entries(message.from, progress);
    return leader_progressed();
  }
  if (progress.state() == Progress::State::snapshot || response.base_offset < progress.durable()) return;  // late
  if (progress.state() == Progress::State::probe && response.base_offset != progress.next()) return;
  constexpr int in_a_row = 20;
  const bool forgot = response.hint_end_offset < progress.durable() && progress.forgot() >= in_a_row;
  if (forgot) {
    note_once(to_string(message.from) +
              " has forgotten what it acknowledged: its disk was put back. Empty its metadata directory,"
              " and add it again");
  }
  // As far as both logs can be equal: the end of the latest epoch here that is not above the follower's.
  const auto ours = log_.end_of_epoch(response.hint_epoch);
  const auto next = ours ? std::min(ours->end_offset, response.hint_end_offset) : Offset{0};
  progress.refused();
  progress.probe(std::max(next, progress.durable()));
  if (!forgot) send_entries(message.from, progress);  // else the next heartbeat asks again
}

void QuorumNode::on(const Message& message, const SnapshotResponse& response) {
  auto* const answering = heard(message, response.round);
  if (answering == nullptr) return;
  auto& progress = *answering;
  auto* transfer = progress.transfer();
  if (transfer == nullptr || transfer->snapshot.end_offset != response.end_offset || transfer->snapshot.crc != response.crc)
    return;
  if (response.done) {
    progress.probe(response.end_offset);
    return send_entries(message.from, progress);
  }
  if (!transfer->waiting || response.position == transfer->position || response.position > transfer->snapshot.size_bytes)
    return;
  transfer->position = response.position;
  transfer->waiting = false;
  send_chunk(message.from, progress);
}

/// Whoever asks is sent the log, vote or not.
void QuorumNode::on(const Message& message, const Follow& follow) {
  if (!leadership_) {
    if (leader_ && leader_->id != message.from.id) send(message.from, LeaderHint{leader_->id});
    return;
  }
  if (message.epoch > hard_.epoch) return adopt_epoch(message.epoch);
  auto at = leadership_->followers.find(message.from);
  if (at == leadership_->followers.end()) {
    const auto others = leadership_->followers.size();
    if (others >= options_.observers_max + voters_max) {
      return note_once(std::to_string(others) + " replicas follow already: " + to_string(message.from) + " is passed over");
    }
    at = leadership_->followers.emplace(message.from, Progress{std::min(follow.log_end_offset, log_.end_offset()), now_})
             .first;
  }
  if (at->second.state() == Progress::State::probe) at->second.probe_again();
  send_entries(message.from, at->second);
}

void QuorumNode::leader_progressed() {
  advance_high_watermark();
  if (leadership_) advance_catch_up();
  if (leadership_) advance_hand_over();
}

/// Only entries of the own epoch commit by being counted; those before them with them (Raft 5.4.2, figure 8).
void QuorumNode::advance_high_watermark() {
  const auto held = [&](const ReplicaKey& voter) {
    if (voter == key()) return durable_end_;
    const auto at = leadership_->followers.find(voter);
    return at == leadership_->followers.end() ? Offset{0} : at->second.durable();
  };
  const auto majority = voters().majority_value(held);
  if (majority <= high_watermark_ || log_.epoch_before(majority) != hard_.epoch) return;
  high_watermark_ = majority;
  for (auto& [to, progress] : leadership_->followers) {
    const bool idle = progress.state() == Progress::State::replicate && progress.next() == log_.end_offset();
    if (idle) send_heartbeat(to, progress);
  }
  confirm_reads();
}

// --- reads

QuorumEffects QuorumNode::read(std::uint64_t token, MonotonicMs now) {
  begin(now);
  if (!leadership_) {
    answer(token, Error{Errc::not_leader_or_follower, "this node does not lead the quorum"});
  } else if (leadership_->reads >= options_.reads_max) {
    answer(token, Error{Errc::overloaded, std::to_string(leadership_->reads) + " reads wait for a majority: try again"});
  } else {
    ++leadership_->reads;
    leadership_->waiting_reads.push_back(token);
    confirm_reads();
  }
  return finish();
}

/// A read is as of the high watermark when its round begins, and the round ends when a majority has answered it: none of them had left
/// for a newer leader before (thesis 6.4). Reads that come during a round wait for the next one.
void QuorumNode::confirm_reads() {
  while (own_epoch_committed()) {
    auto& asking = leadership_->asking;
    if (asking) {
      const auto answered = [&](const ReplicaKey& voter) {
        if (voter == key()) return UINT64_MAX;
        const auto at = leadership_->followers.find(voter);
        return at == leadership_->followers.end() ? std::uint64_t{0} : at->second.round();
      };
      if (voters().majority_value(answered) < asking->round) break;
      leadership_->confirmed.push_back(std::move(*asking));
      asking.reset();
    }
    if (leadership_->waiting_reads.empty()) break;
    asking = Reads{std::exchange(leadership_->waiting_reads, {}), high_watermark_, ++leadership_->round};
    for (auto& [to, progress] : leadership_->followers) {
      if (voters().contains(to)) send_heartbeat(to, progress);
    }
  }
  if (leadership_) answer_reads();
}

void QuorumNode::answer_reads() {
  auto& confirmed = leadership_->confirmed;
  while (!confirmed.empty() && confirmed.front().index <= applied_) {
    for (const auto token : confirmed.front().tokens) answer(token, confirmed.front().index);
    leadership_->reads -= confirmed.front().tokens.size();
    confirmed.pop_front();
  }
}

// --- time

void QuorumNode::leader_deadline() {
  auto& leadership = *leadership_;
  const auto heard_at = [&](const ReplicaKey& voter) {
    if (voter == key()) return now_;
    const auto at = leadership.followers.find(voter);
    return at == leadership.followers.end() ? leadership.since : at->second.heard_at();
  };
  if (voters().majority_value(heard_at) + options_.check_quorum_ms <= now_) return resign("no majority answers");
  if (disk_stalled()) return resign("its disk does not answer");
  if (leadership.hand_over && now_ - leadership.hand_over->since >= options_.transfer_timeout_ms) {
    const auto ended = *std::exchange(leadership.hand_over, std::nullopt);
    if (!ended.answered) {
      answer(ended.token,
             Error{Errc::leader_not_available, "node " + to_string(ended.target.id) + " did not take over in time"});
    }
  }
  std::erase_if(leadership.followers, [&](const auto& one) {
    return !voters().contains(one.first) && now_ - one.second.heard_at() >= options_.observer_timeout_ms;
  });
  for (auto& [to, progress] : leadership.followers) {
    auto* transfer = progress.transfer();
    if (transfer == nullptr || !transfer->waiting || now_ - transfer->since < options_.chunk_timeout_ms) continue;
    transfer->waiting = false;
    send_chunk(to, progress);
  }
  leadership.heartbeat_at = now_ + options_.heartbeat_ms;
  heartbeat_all();
  advance_catch_up();
  advance_hand_over();
}

}  // namespace troupe::quorum
