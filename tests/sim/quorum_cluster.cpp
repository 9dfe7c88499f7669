#include "tests/sim/quorum_cluster.hpp"

#include <algorithm>
#include <cstring>

#include "base/crc32c.hpp"
#include "core/metadata/quorum_storage.hpp"

namespace troupe::sim {

using namespace quorum;

namespace {

/// Of virtual time. The seeds 700000 to 702999 stay below it, storms of resent messages do not.
constexpr std::uint64_t events_per_second_max = 20'000;

struct Describe {
  std::string operator()(const Hello&) const { return "hello"; }
  std::string operator()(const VoteRequest& one) const {
    return std::string(one.pre_vote ? "would you vote" : "vote") + " for a log to " + to_string(one.log_end_offset);
  }
  std::string operator()(const VoteResponse& one) const {
    return std::string(one.pre_vote ? "pre-" : "") + (one.granted ? "yes" : "no");
  }
  std::string operator()(const AppendRequest& one) const {
    return "append at " + to_string(one.base_offset) + ", entries " + std::to_string(one.entries.size()) + ", hw " +
           to_string(one.high_watermark) + ", round " + std::to_string(one.round);
  }
  std::string operator()(const AppendResponse& one) const {
    return one.accepted ? "has " + to_string(one.matched_offset) + ", on disk " + to_string(one.durable_offset)
                        : "refuses " + to_string(one.base_offset) + ", hint " + to_string(one.hint_epoch) + " to " +
                              to_string(one.hint_end_offset);
  }
  std::string operator()(const SnapshotRequest& one) const {
    return "snapshot to " + to_string(one.snapshot.end_offset) + " at " + std::to_string(one.position);
  }
  std::string operator()(const SnapshotResponse& one) const {
    return "snapshot to " + to_string(one.end_offset) +
           (one.done ? " done" : " wanted from " + std::to_string(one.position));
  }
  std::string operator()(const TimeoutNow&) const { return "timeout now"; }
  std::string operator()(const Follow& one) const { return "follows from " + to_string(one.log_end_offset); }
  std::string operator()(const LeaderHint& one) const { return "the leader is n" + to_string(one.leader); }
};

std::string describe(const Message& message) {
  return "e" + to_string(message.epoch) + " " + std::visit(Describe{}, message.body);
}

}  // namespace

QuorumCluster::QuorumCluster(std::uint64_t seed, EventQueue* shared, QuorumShell* shell)
    : prng_(seed), queue_(shared != nullptr ? *shared : own_queue_), shell_(shell) {
  if (shell_ != nullptr) invariants_.on_committed = [this](const LogEntry& entry) { shell_->committed(entry); };
}

// --- time

void QuorumCluster::at(Millis time, std::function<void()> action) {
  queue_.after_us(std::max<std::int64_t>(0, time * 1'000 - queue_.now_us()), std::move(action));
}

void QuorumCluster::run_until(Millis time) {
  run_until(time, [] { return false; });
}

bool QuorumCluster::run_until(Millis time, const std::function<bool()>& done) {
  while (!invariants_.violation()) {
    if (done()) return true;
    if (!queue_.step(time * 1'000)) break;
    if (std::exchange(second_, now() / 1'000) != now() / 1'000) events_this_second_ = 0;
    if (++events_this_second_ > events_per_second_max) violated("Bounded", "messages beget messages without end");
  }
  queue_.pass_to(time * 1'000);
  return false;
}

MonotonicMs QuorumCluster::clock(const SimNode& one) const {
  return MonotonicMs{one.clock_base + (now() - one.clock_since) * one.clock_permille / 1000};
}

void QuorumCluster::set_clock(BrokerId id, std::int64_t permille) {
  auto& one = at_id(id);
  one.clock_base = clock(one).value();
  one.clock_since = now();
  one.clock_permille = permille;
  one.timer_for.reset();
  arm_timer(one);
}

void QuorumCluster::on_node(BrokerId id, Millis time, std::function<void(SimNode&)> action) {
  at(time, [this, id, run = at_id(id).run, action = std::move(action)] {
    auto& one = at_id(id);
    if (one.run != run || !one.node) return;
    if (one.paused) {
      one.inbox.push_back([this, id, run, action] {
        if (at_id(id).run == run) action(at_id(id));
      });
      return;
    }
    action(one);
  });
}

void QuorumCluster::arm_timer(SimNode& one) {
  if (!one.node) return;
  const auto due = one.node->next_deadline();
  if (!due || (one.timer_for && *one.timer_for <= *due)) return;
  one.timer_for = due;
  const auto left = std::max(Millis{0}, *due - clock(one));
  on_node(one.options.id, now() + (left * 1000 + one.clock_permille - 1) / one.clock_permille, [this, due](SimNode& node) {
    if (node.timer_for != due) return;
    node.timer_for.reset();
    input(node, "deadline", [](QuorumNode& machine, MonotonicMs time) { return machine.on_deadline(time); });
  });
}

// --- inputs

void QuorumCluster::input(SimNode& one, const char* what,
                          const std::function<QuorumEffects(QuorumNode&, MonotonicMs)>& call) {
  if (!one.node || invariants_.violation()) return;
  const auto epoch = one.node->epoch();
  const auto id = one.options.id;
  const auto run = one.run;
  auto effects = call(*one.node, clock(one));
  const auto role = one.node->role();
  if (!std::strcmp(what, "deadline") && one.node->epoch() > epoch && role != QuorumRole::candidate) {
    invariants_.violated("PreVoteChangesNothing", to_string(one.node->key()) + " is " + std::string(to_string(role)) +
                                                      " and went from epoch " + to_string(epoch) + " on by itself");
  }
  std::ranges::move(effects, std::back_inserter(one.todo));
  if (one.performing) return;
  one.performing = true;
  while (!one.todo.empty()) {
    const auto effect = std::move(one.todo.front());
    one.todo.pop_front();
    std::visit([&](const auto& each) { perform_effect(at_id(id), each); }, effect);
    if (one.run != run) return;
  }
  one.performing = false;
  if (!one.node || invariants_.violation()) return;
  check(one);
  arm_timer(one);
}

/// After every input.
void QuorumCluster::check(SimNode& one) {
  const auto& node = *one.node;
  if (node.role() == QuorumRole::failed) return;
  if (node.high_watermark() != one.high_watermark) {
    invariants_.committed(node.key(), node.epoch(), one.high_watermark, node.high_watermark(), one.logical);
    if (node.role() == QuorumRole::leader) check_majority(one);
    one.high_watermark = node.high_watermark();
  }
  one.voters = node.voters();
  if (std::exchange(one.truncated, false)) invariants_.truncated(node, one.logical);
  invariants_.applied(node.key(), one.applied);
  if (node.applied() != one.applied.end) {
    invariants_.violated("StateMachineSafety", to_string(node.key()) + " believes " + to_string(node.applied()) +
                                                   " applied, not " + to_string(one.applied.end));
  }
  if (node.log_end_offset() != one.logical.end()) {
    invariants_.violated("PersistIsWhole", to_string(node.key()) + " has a log that ends at " +
                                               to_string(node.log_end_offset()) + ", its disk was told " +
                                               to_string(one.logical.end()));
  }
}

/// The voters in force when it committed: those that the input found, or those that it made first. An input may commit with the old
/// ones and then, in the same breath, begin the next change.
void QuorumCluster::check_majority(const SimNode& one) {
  const auto end = one.node->high_watermark();
  const auto chain = one.logical.chain_at(end);
  if (!chain) return;
  const auto holders = [&](const quorum::VoterSet& voters) {
    std::size_t count = 0;
    for (const auto& voter : voters) {
      const auto* disk = &at_id(voter.id).disk;
      if (const auto gone = graveyard_.find(voter); gone != graveyard_.end()) disk = &gone->second;
      if (disk->log.chain_at(end) == chain || disk->applied().end >= end) ++count;
    }
    return count;
  };
  const auto& voters = one.node->voters();
  if (holders(voters) >= voters.majority()) return;
  if (!one.voters.empty() && holders(one.voters) >= one.voters.majority()) return;
  invariants_.violated("CommittedIsDurable", to_string(one.node->key()) + " commits below " + to_string(end) + ", which " +
                                                 std::to_string(holders(voters)) + " of " + std::to_string(voters.size()) +
                                                 " voters hold");
}

void QuorumCluster::say(const SimNode& one, const std::string& what) const {
  if (log) log(std::to_string(now()) + " n" + to_string(one.options.id) + " " + what);
}

void QuorumCluster::trace_in(std::uint64_t value) {
  trace_ = (trace_ ^ value ^ static_cast<std::uint64_t>(now())) * 0x100000001b3ULL;
}

// --- nodes

void QuorumCluster::add(QuorumOptions options) {
  TROUPE_ASSERT(options.id == BrokerId{static_cast<std::int32_t>(nodes_.size() + 1)});
  nodes_.push_back(SimNode{.options = std::move(options)});
  nodes_.back().clock_base = prng_.between(0, 1'000'000);
}

std::vector<BrokerId> QuorumCluster::ids() const {
  std::vector<BrokerId> all;
  for (const auto& one : nodes_) all.push_back(one.options.id);
  return all;
}

void QuorumCluster::start(BrokerId id) {
  auto& one = at_id(id);
  if (one.node) return;
  ++one.run;
  one.prng = std::make_unique<Prng>(prng_.next());
  one.node = std::make_unique<QuorumNode>(one.options, *one.prng);
  one.logical = one.disk.log;
  one.applied = one.disk.applied();
  one.high_watermark = Offset{0};
  one.voters = {};
  one.timer_for.reset();
  say(one, "starts");
  check_files(one.disk);
  input(one, "start", [&](QuorumNode& node, MonotonicMs time) { return node.start(one.disk.stored(), time); });
}

void QuorumCluster::crash(BrokerId id) {
  auto& one = at_id(id);
  if (!one.node) return;
  say(one, "crashes");
  ++marks["crash"];
  // A prefix of the work that was on its way.
  auto whole = prng_.below(one.works.size() + 1);
  for (const auto& work : one.works) {
    if (whole > 0) {
      --whole;
      perform(one.disk, work);
    } else {
      perform(one.disk, work, prng_.below(steps_of(work)));
      break;
    }
  }
  one.works.clear();
  one.todo.clear();
  one.performing = false;
  one.node.reset();
  one.paused = false;
  one.inbox.clear();
  ++one.run;
}

void QuorumCluster::wipe(BrokerId id) {
  crash(id);
  auto& one = at_id(id);
  ++marks["wipe"];
  if (one.disk.hard_state) graveyard_[{id, one.disk.hard_state->directory_id}] = one.disk;
  one.disk = {};
  // Whoever founded alone would found again; an operator lets it join instead.
  if (one.options.bootstrap_voters.size() == 1) one.options.bootstrap_voters.clear();
}

void QuorumCluster::pause(BrokerId id) {
  if (!at_id(id).node) return;
  ++marks["pause"];
  at_id(id).paused = true;
}

void QuorumCluster::resume(BrokerId id) {
  auto& one = at_id(id);
  if (!one.paused) return;
  one.paused = false;
  const auto inbox = std::exchange(one.inbox, {});
  for (const auto& action : inbox) action();
}

void QuorumCluster::hint_down(BrokerId at, BrokerId peer) {
  on_node(at, now(), [this, peer](SimNode& one) {
    input(one, "peer_down", [&](QuorumNode& node, MonotonicMs time) { return node.peer_down(peer, time); });
  });
}

void QuorumCluster::hint_up(BrokerId at, BrokerId peer) {
  on_node(at, now(), [this, peer](SimNode& one) {
    input(one, "peer_up", [&](QuorumNode& node, MonotonicMs time) { return node.peer_up(peer, time); });
  });
}

BrokerId QuorumCluster::ready_leader() const {
  BrokerId best{-1};
  for (const auto& one : nodes_) {
    if (!one.node || one.paused || !one.node->next_place()) continue;
    if (best == BrokerId{-1} || one.node->epoch() > node(best).epoch()) best = one.options.id;
  }
  return best;
}

// --- clients

std::uint64_t QuorumCluster::request(SimNode& one, RequestKind kind) {
  requests_[++last_token_] = {kind, invariants_.committed_end()};
  say(one, "request " + std::to_string(last_token_) + " of kind " + std::to_string(static_cast<int>(kind)));
  return last_token_;
}

void QuorumCluster::propose(BrokerId id, std::size_t payload_bytes) {
  auto& one = at_id(id);
  if (!one.node || one.paused) return;
  const auto token = request(one, RequestKind::proposal);
  ByteBuffer payload(std::max(payload_bytes, sizeof token));
  std::fill(payload.begin(), payload.end(), std::byte{7});
  std::memcpy(payload.data(), &token, sizeof token);
  input(one, "propose", [&](QuorumNode& node, MonotonicMs time) {
    const auto place = node.next_place().value_or(QuorumNode::Place{});
    const auto records = static_cast<std::int32_t>(prng_.between(1, 5));
    return node.propose(token, place, records, Bytes::adopt(std::move(payload)), time);
  });
}

void QuorumCluster::read(BrokerId id) {
  auto& one = at_id(id);
  if (!one.node || one.paused) return;
  const auto token = request(one, RequestKind::read);
  input(one, "read", [&](QuorumNode& node, MonotonicMs time) { return node.read(token, time); });
}

void QuorumCluster::transfer(BrokerId id, BrokerId target) {
  auto& one = at_id(id);
  if (!one.node || one.paused) return;
  const auto token = request(one, RequestKind::transfer);
  input(one, "transfer", [&](QuorumNode& node, MonotonicMs time) { return node.transfer(token, target, time); });
}

void QuorumCluster::add_voter(BrokerId id, const ReplicaKey& voter) {
  auto& one = at_id(id);
  if (!one.node || one.paused) return;
  const auto token = request(one, RequestKind::change);
  input(one, "add_voter", [&](QuorumNode& node, MonotonicMs time) { return node.add_voter(token, voter, time); });
}

void QuorumCluster::remove_voter(BrokerId id, const ReplicaKey& voter) {
  auto& one = at_id(id);
  if (!one.node || one.paused) return;
  const auto token = request(one, RequestKind::change);
  input(one, "remove_voter", [&](QuorumNode& node, MonotonicMs time) { return node.remove_voter(token, voter, time); });
}

void QuorumCluster::take_snapshot(BrokerId id) {
  auto& one = at_id(id);
  if (!one.node || one.paused) return;
  describe_own_snapshot(one, one.applied, {});
}

void QuorumCluster::take_snapshot(BrokerId id, Offset end, const Bytes& state) {
  auto& one = at_id(id);
  const auto chain = one.logical.chain_at(end);
  if (chain && describe_own_snapshot(one, {end, *chain}, state)) return;
  shell_->snapshot_written(id, Error{Errc::conflict, "no place for a snapshot any more"});
}

bool QuorumCluster::describe_own_snapshot(SimNode& one, const Applied& applied, const Bytes& state) {
  auto meta = one.node->describe_snapshot(applied.end);
  if (!meta || (one.disk.snapshot && one.disk.snapshot->meta.end_offset >= meta->end_offset)) return false;
  auto bytes = Bytes::adopt(encode_applied(applied, state));
  meta->size_bytes = bytes.size();
  meta->crc = crc32c(bytes);
  one.works.push_back(OwnSnapshot{{std::move(*meta), std::move(bytes)}});
  if (one.works.size() == 1) next_work(one);
  return true;
}

void QuorumCluster::propose(BrokerId id, std::uint64_t token, QuorumNode::Place place, std::int32_t records, Bytes payload) {
  auto& one = at_id(id);
  const auto own = request(one, RequestKind::proposal);
  requests_[own].shell_token = token;
  input(one, "propose",
        [&](QuorumNode& node, MonotonicMs time) { return node.propose(own, place, records, std::move(payload), time); });
}

void QuorumCluster::read(BrokerId id, std::uint64_t token) {
  auto& one = at_id(id);
  const auto own = request(one, RequestKind::read);
  requests_[own].shell_token = token;
  input(one, "read", [&](QuorumNode& node, MonotonicMs time) { return node.read(own, time); });
}

void QuorumCluster::check_history() {
  std::set<std::uint64_t> seen;
  for (const auto& [end, entry] : invariants_.committed_entries()) {
    if (entry.kind != EntryKind::data) continue;
    std::uint64_t token = 0;
    std::memcpy(&token, entry.payload.data(), sizeof token);
    if (!seen.insert(token).second)
      violated("AcknowledgedIsCommittedOnce", "proposal " + std::to_string(token) + " is there twice");
    if (refused_.contains(token)) {
      violated("RefusedIsNeverCommitted",
               "proposal " + std::to_string(token) + " was refused and is committed below " + to_string(end));
    }
    if (const auto at = accepted_.find(token); at != accepted_.end() && at->second != end) {
      violated("AcknowledgedIsCommittedOnce", "proposal " + std::to_string(token) + " was acknowledged at " +
                                                  to_string(at->second) + " and is at " + to_string(end));
    }
  }
  for (const auto& [token, end] : accepted_) {
    if (!seen.contains(token)) violated("AcknowledgedIsCommittedOnce", "proposal " + std::to_string(token) + " is lost");
  }
}

// --- effects: the disk

void QuorumCluster::next_work(SimNode& one) {
  auto delay = prng_.between(0, weather.disk_ms_max);
  if (prng_.chance(weather.slow_disk_permille, 1000)) delay = weather.slow_disk_ms;
  on_node(one.options.id, now() + delay, [this](SimNode& node) { work_done(node); });
}

void QuorumCluster::work_done(SimNode& one) {
  const auto work = std::move(one.works.front());
  one.works.pop_front();
  if (const auto* install = std::get_if<InstallSnapshot>(&work)) {
    if (!decode_applied(install->bytes) || prng_.chance(weather.bad_snapshot_permille, 1000)) {
      ++marks["snapshot rejected"];
      if (!one.works.empty()) next_work(one);
      return input(one, "rejected", [&](QuorumNode& node, MonotonicMs time) {
        return node.snapshot_rejected(install->token, Error{Errc::corrupt_message, "planted"}, time);
      });
    }
    perform(one.disk, work);
    one.applied = one.disk.applied();
    one.logical.reset(one.applied);
    ++marks["snapshot installed"];
    say(one, "installed a snapshot that ends at " + to_string(one.applied.end));
    if (shell_ != nullptr) shell_->installed(one.options.id, state_of(install->bytes));
  } else if (const auto* late = std::get_if<OwnSnapshot>(&work);
             late != nullptr && one.disk.snapshot && one.disk.snapshot->meta.end_offset > late->snapshot.meta.end_offset) {
    if (!one.works.empty()) next_work(one);
    if (shell_ != nullptr) shell_->snapshot_written(one.options.id, Error{Errc::conflict, "a later one was installed"});
    return;
  } else {
    perform(one.disk, work);
  }
  if (!one.works.empty()) next_work(one);
  const auto done = [&](std::uint64_t token) {
    input(one, "persisted", [&](QuorumNode& node, MonotonicMs time) { return node.persisted(token, time); });
  };
  if (const auto* persist = std::get_if<Persist>(&work)) done(persist->token);
  if (const auto* install = std::get_if<InstallSnapshot>(&work)) done(install->token);
  if (const auto* own = std::get_if<OwnSnapshot>(&work)) {
    ++marks["snapshot taken"];
    const auto meta = own->snapshot.meta;
    if (shell_ != nullptr) shell_->snapshot_written(one.options.id, ok());
    input(one, "snapshot_taken", [&](QuorumNode& node, MonotonicMs time) { return node.snapshot_taken(meta, time); });
  }
}

void QuorumCluster::perform_effect(SimNode& one, const Persist& effect) {
  if (effect.truncate_to) {
    ++marks["log truncated"];
    one.truncated = true;
    if (*effect.truncate_to < one.high_watermark)
      invariants_.violated("CommittedMetadataNeverChanges", "a committed record is cut off");
  }
  if (effect.reset_to) one.logical.reset(one.disk.applied());
  if (effect.truncate_to) one.logical.truncate_to(*effect.truncate_to);
  for (const auto& entry : effect.entries) {
    if (one.node->role() == QuorumRole::leader && entry.epoch == one.node->epoch()) {
      invariants_.proposes(*one.node, entry, one.logical);
    }
    one.logical.append(entry);
    invariants_.appended(one.node->key(), entry, one.logical);
  }
  one.works.push_back(effect);
  if (one.works.size() == 1) next_work(one);
}

void QuorumCluster::perform_effect(SimNode& one, const InstallSnapshot& effect) {
  one.works.push_back(effect);
  if (one.works.size() == 1) next_work(one);
}

void QuorumCluster::perform_effect(SimNode& one, const CutLog& effect) {
  ++marks["log cut"];
  one.works.push_back(effect);
  if (one.works.size() == 1) next_work(one);
}

void QuorumCluster::perform_effect(SimNode& one, const ReadEntries& effect) {
  ++marks["entries read from disk"];
  on_node(one.options.id, now() + prng_.between(0, weather.disk_ms_max), [this, effect](SimNode& node) {
    auto entries = node.disk.log.read(effect.from, effect.to, effect.bytes_max);
    if (shell_ != nullptr && entries) entries = as_stored(*entries, effect.from);
    input(node, "entries_read", [&](QuorumNode& machine, MonotonicMs time) {
      return machine.entries_read(effect.token, std::move(entries), time);
    });
  });
}

/// As they come out of a log on a disk.
Result<std::vector<LogEntry>> QuorumCluster::as_stored(const std::vector<LogEntry>& entries, Offset from) {
  ByteBuffer batches;
  for (const auto& entry : entries) append_bytes(batches, entry_batch(entry));
  auto read = entries_of(Bytes::adopt(std::move(batches)), from);
  if (!read || read->size() != entries.size() || read->back().end_offset() != entries.back().end_offset())
    violated("StoredEntriesAreRead", read ? "others were read" : read.error().message);
  return read;
}

/// What a disk gives back of a hard state and of a snapshot's description is what it was given.
void QuorumCluster::check_files(const DurableState& disk) {
  if (disk.hard_state) {
    const auto read = decode_hard_state(encode_hard_state(*disk.hard_state));
    if (!read || *read != *disk.hard_state) violated("StoredStateIsRead", "another hard state");
  }
  if (disk.snapshot) {
    const auto read = decode_snapshot_file(Bytes::adopt(encode_snapshot_file(disk.snapshot->meta, disk.snapshot->bytes)));
    const bool same = read && read->snapshot == disk.snapshot->meta && equal_bytes(read->image, disk.snapshot->bytes);
    if (!same) violated("StoredStateIsRead", "another snapshot");
  }
}

void QuorumCluster::perform_effect(SimNode& one, const ReadSnapshot& effect) {
  on_node(one.options.id, now() + prng_.between(0, weather.disk_ms_max), [this, effect](SimNode& node) {
    const auto& stored = node.disk.snapshot;
    Result<Bytes> chunk = Error{Errc::not_found, "another snapshot took its place"};
    if (stored && stored->meta == effect.snapshot) chunk = stored->bytes.slice(effect.position, effect.size);
    if (!chunk) ++marks["snapshot replaced while sent"];
    input(node, "snapshot_read", [&](QuorumNode& machine, MonotonicMs time) {
      return machine.snapshot_read(effect.token, std::move(chunk), time);
    });
  });
}

// --- effects: the rest

void QuorumCluster::perform_effect(SimNode& one, const SendMessage& effect) {
  const auto& message = effect.message;
  invariants_.sends(message, one.disk);
  if (const auto* vote = std::get_if<VoteResponse>(&message.body); vote != nullptr && !vote->granted)
    ++marks["vote refused"];
  if (const auto* answer = std::get_if<AppendResponse>(&message.body); answer != nullptr && !answer->accepted)
    ++marks["append refused"];
  const auto to = message.to.id;
  if (log) say(one, "-> n" + to_string(to) + " " + describe(message));
  if (to < BrokerId{1} || to > BrokerId{static_cast<std::int32_t>(nodes_.size())}) return;
  if (blocked_.contains({one.options.id, to}) || prng_.chance(weather.loss_permille, 1000)) return;
  const auto bytes = Bytes::adopt(encode_message(message));
  const int copies = prng_.chance(weather.duplicate_permille, 1000) ? 2 : 1;
  const auto clogged = clogged_.find({one.options.id, to});
  const auto from_when = clogged == clogged_.end() ? now() : std::max(now(), clogged->second);
  for (int i = 0; i < copies; ++i) {
    on_node(to, from_when + prng_.between(weather.delay_min_ms, weather.delay_max_ms),
            [this, bytes, from = one.options.id](SimNode& node) {
              if (blocked_.contains({from, node.options.id})) return;
              const auto decoded = decode_message(bytes);
              if (!decoded) return invariants_.violated("MessagesDecode", decoded.error().message);
              const auto* vote = std::get_if<VoteRequest>(&decoded->body);
              const auto epoch = node.node->epoch();
              if (shell_ != nullptr) check_entries(*decoded);
              trace_in(crc32c(bytes));
              input(node, "receive", [&](QuorumNode& machine, MonotonicMs time) { return machine.receive(*decoded, time); });
              if (vote != nullptr && vote->pre_vote && node.node && node.node->epoch() != epoch) {
                invariants_.violated("PreVoteChangesNothing", "a pre-vote request moved node " + to_string(node.options.id) +
                                                                  " to epoch " + to_string(node.node->epoch()));
              }
            });
  }
}

/// As the shell of the product does before the machine sees them.
void QuorumCluster::check_entries(const Message& message) {
  const auto* append = std::get_if<AppendRequest>(&message.body);
  if (append == nullptr) return;
  for (const auto& entry : append->entries) {
    if (const auto right = check_entry(entry); !right) invariants_.violated("MessagesDecode", right.error().message);
  }
}

void QuorumCluster::perform_effect(SimNode& one, const Deliver& effect) {
  if (const auto end = effect.entries.back().end_offset(); end > one.high_watermark) {
    // The shell looks at what is committed, and this input is not looked at before its end.
    invariants_.committed(one.node->key(), one.node->epoch(), one.high_watermark, end, one.logical);
  }
  for (const auto& entry : effect.entries) {
    if (entry.base_offset != one.applied.end) {
      invariants_.violated("StateMachineSafety", "node " + to_string(one.options.id) + " is handed " +
                                                     to_string(entry.base_offset) + " after " + to_string(one.applied.end));
    }
    one.applied = {entry.end_offset(), chain_after(one.applied.chain, entry)};
  }
  if (shell_ != nullptr) shell_->delivered(one.options.id, effect.entries);
}

void QuorumCluster::perform_effect(SimNode& one, const AnswerQuorum& effect) {
  const auto at = requests_.find(effect.token);
  if (at == requests_.end()) return invariants_.violated("AnsweredOnce", "request " + std::to_string(effect.token));
  const auto request = at->second;
  requests_.erase(at);
  const auto& answer = effect.answer;
  if (request.shell_token != 0) return shell_->proposed(one.options.id, request.shell_token, answer);
  say(one, "answers " + std::to_string(effect.token) + ": " + (answer ? to_string(*answer) : to_string(answer.error())));
  constexpr const char* names[] = {"proposal", "read", "transfer", "change of voters"};
  const auto mark = std::string(names[static_cast<std::size_t>(request.kind)]);
  ++marks[mark + (answer ? " done" : ": " + std::string(to_string(answer.error().code)))];
  switch (request.kind) {
    case RequestKind::proposal:
      if (answer) {
        accepted_[effect.token] = *answer;
      } else if (answer.error().code != Errc::request_timed_out) {
        refused_.insert(effect.token);
      }
      return;
    case RequestKind::read:
      if (answer && *answer < request.committed_before) {
        invariants_.violated("ReadsAreLinearizable", "node " + to_string(one.options.id) + " answers a read as of " +
                                                         to_string(*answer) + ", before it began all below " +
                                                         to_string(request.committed_before) + " was committed");
      }
      if (answer && one.applied.end < *answer)
        invariants_.violated("ReadsAreLinearizable", "answered before it was applied");
      return;
    case RequestKind::transfer:
    case RequestKind::change: return;
  }
}

void QuorumCluster::perform_effect(SimNode& one, const RoleChanged& effect) {
  say(one, std::string(to_string(effect.role)) + " in epoch " + to_string(effect.epoch) + ", leader " +
               to_string(effect.leader) + ", log " + to_string(one.logical.end()) + ", hw " +
               to_string(one.node->high_watermark()));
  trace_in(static_cast<std::uint64_t>(effect.epoch.value()) * 16 + static_cast<std::uint64_t>(effect.role));
  if (effect.role == QuorumRole::leader) {
    ++marks["leader elected"];
    invariants_.leads(one.node->key(), effect.epoch, one.logical);
    if (on_elected) on_elected(one.options.id);
  }
  if (shell_ != nullptr) shell_->role_changed(one.options.id, effect);
}

void QuorumCluster::perform_effect(SimNode& one, const LeaderReady& effect) {
  say(one, "ready to lead epoch " + to_string(effect.epoch));
  if (shell_ != nullptr) shell_->leader_ready(one.options.id);
}

void QuorumCluster::perform_effect(SimNode& one, const NoteQuorum& effect) { say(one, "note: " + effect.text); }

void QuorumCluster::perform_effect(SimNode& one, const FailQuorum& effect) {
  invariants_.violated("NobodyFails", "node " + to_string(one.options.id) + ": " + to_string(effect.error));
}

}  // namespace troupe::sim
