#include "core/metadata/quorum_node.hpp"

#include <algorithm>
#include <utility>

namespace troupe::quorum {

std::string_view to_string(QuorumRole role) {
  switch (role) {
    case QuorumRole::starting: return "starting";
    case QuorumRole::unformatted: return "unformatted";
    case QuorumRole::observer: return "observer";
    case QuorumRole::follower: return "follower";
    case QuorumRole::prospective: return "prospective";
    case QuorumRole::candidate: return "candidate";
    case QuorumRole::leader: return "leader";
    case QuorumRole::failed: return "failed";
  }
  return "?";
}

QuorumNode::QuorumNode(QuorumOptions options, Prng& prng) : options_(std::move(options)), prng_(prng) {
  TROUPE_ASSERT(options_.election_timeout_min_ms > 0 && options_.election_timeout_max_ms > options_.election_timeout_min_ms);
  TROUPE_ASSERT(options_.bootstrap_voters.size() <= voters_max);
}

// --- start

QuorumEffects QuorumNode::start(StoredState stored, MonotonicMs now) {
  TROUPE_ASSERT(role_ == QuorumRole::starting);
  begin(now);
  if (stored.hard_state) {
    hard_ = std::move(*stored.hard_state);
    open_log(stored);
  } else if (stored.log_end_offset > Offset{0} || stored.snapshot) {
    fail({Errc::corrupt_message,
          "the metadata log ends at " + to_string(stored.log_end_offset) +
              " and its hard state is missing: whom this replica voted for is unknown. Empty its metadata"
              " directory, and it joins as a new replica"});
  } else {
    hard_.directory_id = Uuid::random(prng_);
    hard_dirty_ = true;
  }
  if (role_ == QuorumRole::failed) return finish();
  scanned_ = high_watermark_;
  if (scanned_ < log_.end_offset()) {
    scan_on();
  } else {
    started();
  }
  return finish();
}

/// The log behind the snapshot; an empty one, if the log that was found is not that.
void QuorumNode::open_log(const StoredState& stored) {
  snapshot_ = stored.snapshot;
  const auto start = snapshot_ ? snapshot_->end_offset : Offset{0};
  const auto bounds =
      "the metadata log is [" + to_string(stored.log_start_offset) + ", " + to_string(stored.log_end_offset) + ")";
  if (stored.log_start_offset > start) {
    return fail(
        {Errc::corrupt_message, bounds + ", its snapshot ends at " + to_string(start) + ": what lies between is lost"});
  }
  high_watermark_ = applied_ = start;
  // A crash between the two halves of InstallSnapshot leaves a log that ends before the snapshot or goes on differently.
  const bool goes_on =
      !snapshot_ || stored.log_start_offset == start || stored.epochs.epoch_at(start - 1) == snapshot_->epoch;
  if (stored.log_end_offset < start || !goes_on) {
    log_.reset(*snapshot_);
    unsent_.reset_to = start;
  } else {
    if (start < stored.log_end_offset && !stored.epochs.epoch_at(start)) {
      return fail({Errc::corrupt_message, bounds + " and the epoch at " + to_string(start) + " is unknown"});
    }
    auto epochs = stored.epochs;
    epochs.truncate_to_start(start);
    log_.open(start, snapshot_ ? snapshot_->epoch : no_leader_epoch, stored.log_end_offset, std::move(epochs), start,
              snapshot_ ? snapshot_->voters : hard_.genesis);
  }
  durable_end_ = log_.end_offset();
  if (log_.last_epoch() > hard_.epoch) {
    return fail({Errc::corrupt_message, bounds + " and its last epoch is " + to_string(log_.last_epoch()) +
                                            ", but the hard state's is " + to_string(hard_.epoch) +
                                            ": it is older than the log. Empty the metadata directory of this replica"});
  }
}

/// Reads the log through once: who votes is said in it.
void QuorumNode::scan_on() {
  own_read_ = ++read_token_;
  out_.emplace_back(ReadEntries{*own_read_, scanned_, log_.end_offset(), options_.deliver_bytes_max});
}

void QuorumNode::started() {
  if (hard_.cluster_id.is_nil()) {
    role_ = QuorumRole::unformatted;
    hello_at_ = now_;
    if (options_.bootstrap_voters == std::vector{options_.id}) found_cluster();
    return;
  }
  follow(nullptr);
  if (is_voter() && voters().size() == 1) begin_pre_vote();
}

// --- messages

QuorumEffects QuorumNode::receive(const Message& message, MonotonicMs now) {
  begin(now);
  if (role_ == QuorumRole::starting || role_ == QuorumRole::failed) return finish();
  const bool mine =
      message.to.id == options_.id && (message.to.directory_id.is_nil() || message.to.directory_id == hard_.directory_id);
  if (!mine || message.from.id == options_.id) return finish();
  gone_.erase(message.from.id);
  if (const auto* hello = std::get_if<Hello>(&message.body)) {
    on(message, *hello);
    return finish();
  }
  if (hard_.cluster_id.is_nil()) return finish();
  if (message.cluster_id != hard_.cluster_id) {
    note_once("node " + to_string(message.from.id) + " is of cluster " + to_string(message.cluster_id) + ", this one of " +
              to_string(hard_.cluster_id));
    return finish();
  }
  if (voters().contains(message.from.id)) directories_.insert_or_assign(message.from.id, message.from.directory_id);
  std::visit([&](const auto& body) { on(message, body); }, message.body);
  return finish();
}

void QuorumNode::send(const ReplicaKey& to, Message::Body body) {
  Message message{hard_.cluster_id, key(), to, hard_.epoch, std::move(body)};
  const auto needs = hard_dirty_ ? disk_token_ + 1 : hard_token_;
  if (needs <= persisted_token_) {
    out_.emplace_back(SendMessage{std::move(message)});
  } else if (held_.size() < options_.held_messages_max) {
    held_.push_back({needs, std::move(message)});
  }
}

void QuorumNode::release_held() {
  while (!held_.empty() && held_.front().token <= persisted_token_) {
    out_.emplace_back(SendMessage{std::move(held_.front().message)});
    held_.pop_front();
  }
}

// --- the disk

bool QuorumNode::installing() const {
  return unsent_install_ || std::ranges::any_of(disk_, [](const auto& work) { return work.installs; });
}

bool QuorumNode::disk_stalled() const { return !disk_.empty() && now_ - disk_.front().since > options_.disk_stall_ms; }

void QuorumNode::append_entry(LogEntry entry) {
  unsent_.entries.push_back(entry);
  log_.append(std::move(entry));
}

void QuorumNode::truncate_log(Offset offset) {
  TROUPE_ASSERT(offset >= high_watermark_ && unsent_.entries.empty());
  log_.truncate_to(offset);
  unsent_.truncate_to = offset;
  durable_end_ = std::min(durable_end_, offset);
  for (auto& work : disk_) work.log_end_offset = std::min(work.log_end_offset, offset);
}

void QuorumNode::flush_disk() {
  if (hard_dirty_ || unsent_.reset_to || unsent_.truncate_to || !unsent_.entries.empty()) {
    auto work = std::exchange(unsent_, {});
    work.token = ++disk_token_;
    if (hard_dirty_) {
      work.hard_state = hard_;
      hard_token_ = work.token;
      hard_dirty_ = false;
    }
    disk_.push_back({work.token, log_.end_offset(), false, now_});
    out_.emplace_back(std::move(work));
  }
  if (unsent_install_) {
    unsent_install_->token = ++disk_token_;
    disk_.push_back({disk_token_, unsent_install_->snapshot.end_offset, true, now_});
    out_.emplace_back(std::move(*unsent_install_));
    unsent_install_.reset();
  }
}

QuorumEffects QuorumNode::persisted(std::uint64_t token, MonotonicMs now) {
  begin(now);
  bool installed = false;
  while (!disk_.empty() && disk_.front().token <= token) {
    const auto work = disk_.front();
    disk_.pop_front();
    persisted_token_ = work.token;
    durable_end_ = work.log_end_offset;
    if (!work.installs) continue;
    log_was_reset(incoming_->snapshot);
    installed = true;
  }
  if (role_ == QuorumRole::failed) return finish();
  release_held();
  if (role_ == QuorumRole::candidate && hard_token_ <= persisted_token_) {
    granted_.insert(key());
    count_votes();
  } else if (leadership_) {
    advance_high_watermark();
  } else if (leader_ && installed) {
    send(*leader_, SnapshotResponse{snapshot_->end_offset, snapshot_->crc, snapshot_->size_bytes, leader_round_, true});
  } else if (leader_ && matched_end_ > Offset{0}) {
    acknowledge(leader_round_, matched_end_);
  }
  return finish();
}

/// The state machine has the snapshot.
void QuorumNode::log_was_reset(const SnapshotMeta& snapshot) {
  log_.reset(snapshot);
  high_watermark_ = applied_ = durable_end_ = snapshot.end_offset;
  for (auto& work : disk_) work.log_end_offset = snapshot.end_offset;
  matched_end_ = snapshot.end_offset;
  snapshot_ = snapshot;
  incoming_.reset();
  own_read_.reset();
  refresh_role();
  settle_proposals();
}

QuorumEffects QuorumNode::snapshot_rejected(std::uint64_t token, const Error& error, MonotonicMs now) {
  begin(now);
  if (disk_.empty() || disk_.front().token != token || !disk_.front().installs) return finish();
  disk_.pop_front();
  persisted_token_ = token;
  note("a snapshot that ends at " + to_string(incoming_->snapshot.end_offset) +
       " was refused, and is fetched again: " + error.message);
  incoming_.reset();
  release_held();
  return finish();
}

QuorumEffects QuorumNode::failed(const Error& error) {
  fail(error);
  return finish();
}

void QuorumNode::fail(Error error) {
  if (role_ == QuorumRole::failed) return;
  if (leadership_) resign("its disk or its log cannot be trusted");
  role_ = QuorumRole::failed;
  leader_.reset();
  held_.clear();
  report_role();
  out_.emplace_back(FailQuorum{std::move(error)});
}

QuorumEffects QuorumNode::entries_read(std::uint64_t token, Result<std::vector<LogEntry>> entries, MonotonicMs now) {
  begin(now);
  if (role_ == QuorumRole::failed) return finish();
  if (token == own_read_) {
    own_read_.reset();
    if (auto read = take_own_read(std::move(entries)); !read) fail(read.error());
  } else if (leadership_) {
    take_follower_read(token, std::move(entries));
  }
  return finish();
}

/// For the state machine, or to learn at the start who votes.
Status QuorumNode::take_own_read(Result<std::vector<LogEntry>> entries) {
  TROUPE_TRY(entries);
  if (role_ != QuorumRole::starting) {
    TROUPE_TRY(log_.check(*entries, applied_, std::min(high_watermark_, durable_end_)));
    deliver(std::move(*entries));
    return ok();
  }
  TROUPE_TRY(log_.check(*entries, scanned_, log_.end_offset()));
  for (const auto& entry : *entries) TROUPE_TRY(log_.found(entry));
  scanned_ = entries->back().end_offset();
  log_.trim(scanned_, options_.tail_bytes_max);
  if (scanned_ < log_.end_offset()) {
    scan_on();
  } else {
    started();
  }
  return ok();
}

void QuorumNode::take_follower_read(std::uint64_t token, Result<std::vector<LogEntry>> entries) {
  for (auto& [to, progress] : leadership_->followers) {
    if (progress.read_token() != token) continue;
    progress.read_token().reset();
    if (!entries) return;  // the next heartbeat tries again
    const bool wanted = progress.state() == Progress::State::replicate && progress.next() >= log_.start_offset();
    if (wanted) {
      if (auto right = log_.check(*entries, progress.next(), log_.end_offset()); !right)
        return note_once(right.error().message);
      send_append(to, progress, std::move(*entries));
    }
    return send_entries(to, progress);
  }
}

// --- delivery

void QuorumNode::advance_delivery() {
  while (role_ != QuorumRole::starting && role_ != QuorumRole::failed && !installing() && !own_read_) {
    const auto limit = std::min(high_watermark_, durable_end_);
    if (applied_ >= limit) break;
    if (applied_ >= log_.tail_offset()) {
      deliver(log_.entries(applied_, limit, options_.deliver_bytes_max));
    } else {
      own_read_ = ++read_token_;
      out_.emplace_back(ReadEntries{*own_read_, applied_, std::min(limit, log_.tail_offset()), options_.deliver_bytes_max});
    }
  }
  log_.trim(std::min(applied_, durable_end_), options_.tail_bytes_max);
}

void QuorumNode::deliver(std::vector<LogEntry> entries) {
  TROUPE_ASSERT(!entries.empty() && entries.front().base_offset == applied_);
  TROUPE_ASSERT(entries.back().end_offset() <= std::min(high_watermark_, durable_end_));
  applied_ = entries.back().end_offset();
  out_.emplace_back(Deliver{std::move(entries)});
  settle_proposals();
  if (!leadership_) return;
  if (!leadership_->ready && applied_ > leadership_->epoch_start) {
    leadership_->ready = true;
    out_.emplace_back(LeaderReady{hard_.epoch});
  }
  answer_reads();
  leave_if_voted_out();
}

/// What is in a proposal's place is now certain.
void QuorumNode::settle_proposals() {
  while (!proposals_.empty() && proposals_.begin()->first <= applied_) {
    const auto [end, proposal] = *proposals_.begin();
    proposals_.erase(proposals_.begin());
    if (leadership_ && proposal.epoch == hard_.epoch) {
      --leadership_->proposals;
      leadership_->proposed_bytes -= proposal.bytes;
    }
    const auto place = "the entry that was to end at " + to_string(end);
    if (const auto epoch = log_.epoch_before(end); !epoch) {
      answer(proposal.token,
             Error{Errc::request_timed_out, place + " lies in a snapshot that another leader sent: nobody can tell"});
    } else if (*epoch == proposal.epoch) {
      answer(proposal.token, end);
    } else {
      answer(proposal.token,
             Error{Errc::not_leader_or_follower, place + " in epoch " + to_string(proposal.epoch) +
                                                     " was replaced by the leader of epoch " + to_string(*epoch)});
    }
  }
}

// --- snapshots of this replica's own

std::optional<SnapshotMeta> QuorumNode::describe_snapshot(Offset end_offset) const {
  if (end_offset == Offset{0} || end_offset > applied_ || end_offset < log_.start_offset()) return std::nullopt;
  const auto epoch = log_.epoch_before(end_offset);
  auto voters = log_.voters_at(end_offset);
  if (!epoch || !voters) return std::nullopt;
  return SnapshotMeta{.end_offset = end_offset, .epoch = *epoch, .voters = std::move(*voters)};
}

QuorumEffects QuorumNode::snapshot_taken(const SnapshotMeta& snapshot, MonotonicMs now) {
  begin(now);
  if (role_ == QuorumRole::failed || snapshot.end_offset > applied_) return finish();
  if (snapshot_ && snapshot.end_offset < snapshot_->end_offset) return finish();  // one was installed meanwhile
  snapshot_ = snapshot;
  auto before = snapshot.end_offset;
  if (leadership_) {
    for (const auto& [to, progress] : leadership_->followers) {
      const bool near = now_ - progress.heard_at() < options_.check_quorum_ms &&
                        snapshot.end_offset - progress.durable() <= options_.cut_lag_records_max;
      if (near) before = std::min(before, progress.durable());
    }
  }
  if (before > log_.start_offset()) {
    log_.cut(before);
    out_.emplace_back(CutLog{before});
  }
  return finish();
}

// --- the end of each input

QuorumEffects QuorumNode::finish() {
  if (role_ != QuorumRole::failed) {
    advance_delivery();
    flush_disk();
    report_role();
  }
  return std::exchange(out_, {});
}

void QuorumNode::report_role() {
  const RoleChanged state{role_, hard_.epoch, leader()};
  if (reported_ && reported_->role == state.role && reported_->epoch == state.epoch && reported_->leader == state.leader)
    return;
  reported_ = state;
  out_.emplace_back(state);
}

void QuorumNode::note_once(const std::string& text) {
  constexpr std::size_t remembered_max = 64;
  if (noted_.size() >= remembered_max) noted_.clear();
  if (noted_.insert(text).second) note(text);
}

// --- time

std::optional<MonotonicMs> QuorumNode::next_deadline() const {
  switch (role_) {
    case QuorumRole::starting:
    case QuorumRole::failed: return std::nullopt;
    case QuorumRole::unformatted: return hello_at_;
    case QuorumRole::observer: return follow_at_;
    case QuorumRole::follower:
    case QuorumRole::prospective:
    case QuorumRole::candidate: return election_at_;
    case QuorumRole::leader: {
      // A cluster of one has nobody to tell, to hear from, or to hand over to: without work it sleeps.
      const bool quiet = voters().size() == 1 && is_voter() && leadership_->followers.empty() && disk_.empty() &&
                         !leadership_->hand_over && !leadership_->catch_up;
      if (quiet) return std::nullopt;
      return leadership_->heartbeat_at;
    }
  }
  return std::nullopt;
}

QuorumEffects QuorumNode::on_deadline(MonotonicMs now) {
  begin(now);
  const auto due = next_deadline();
  if (!due || *due > now) return finish();
  switch (role_) {
    case QuorumRole::starting:
    case QuorumRole::failed: break;
    case QuorumRole::unformatted: say_hello_to_all(); break;
    case QuorumRole::observer:
      leader_.reset();
      ask_to_follow();
      break;
    case QuorumRole::follower:
    case QuorumRole::prospective:
    case QuorumRole::candidate: begin_pre_vote(); break;
    case QuorumRole::leader: leader_deadline(); break;
  }
  return finish();
}

QuorumEffects QuorumNode::peer_down(BrokerId id, MonotonicMs now) {
  begin(now);
  gone_.insert(id);
  if (leadership_) {
    for (auto& [to, progress] : leadership_->followers) {
      if (to.id == id && progress.state() == Progress::State::replicate) progress.probe(progress.next());
    }
  } else if (leader_ && leader_->id == id) {
    leader_.reset();
    const auto soon = now_ + prng_.between(0, options_.peer_down_delay_ms_max);
    election_at_ = std::min(election_at_, soon);
    follow_at_ = std::min(follow_at_, soon);
  }
  return finish();
}

QuorumEffects QuorumNode::peer_up(BrokerId id, MonotonicMs now) {
  begin(now);
  gone_.erase(id);
  constexpr std::size_t met_max = 64;
  if (options_.bootstrap_voters.empty() && options_.contacts.empty() && met_.size() < met_max) met_.insert(id);
  if (leadership_) {
    for (auto& [to, progress] : leadership_->followers) {
      if (to.id != id || progress.state() == Progress::State::snapshot) continue;
      progress.probe(progress.next());
      send_entries(to, progress);
    }
  } else if (role_ == QuorumRole::unformatted) {
    say_hello({id, {}}, false);
  } else if (role_ == QuorumRole::observer && !leader_) {
    hint_ = id;
    ask_to_follow();
  }
  return finish();
}

}  // namespace troupe::quorum
