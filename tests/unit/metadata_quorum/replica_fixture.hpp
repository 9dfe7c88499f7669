#pragma once

#include <algorithm>
#include <vector>

#include "base/crc32c.hpp"
#include "core/metadata/quorum_node.hpp"
#include "tests/support/catch.hpp"

namespace troupe::test {

inline Uuid uuid_of(std::uint8_t number) { return Uuid{{number}}; }
/// The disk of node `id` in these tests.
inline quorum::ReplicaKey replica(int id) { return {BrokerId{id}, uuid_of(static_cast<std::uint8_t>(id))}; }
inline quorum::VoterSet voters(std::initializer_list<int> ids) {
  std::vector<quorum::ReplicaKey> keys;
  for (const auto id : ids) keys.push_back(replica(id));
  return *quorum::VoterSet::of(std::move(keys));
}
inline const Uuid cluster_id = uuid_of(77);
inline Bytes payload_of(std::size_t size, char fill = 'x') { return Bytes::copy_of(as_bytes(std::string(size, fill))); }
inline quorum::LogEntry data_entry(std::int64_t base, std::int32_t epoch, std::int32_t records = 1, std::size_t bytes = 10) {
  return {Offset{base}, LeaderEpoch{epoch}, quorum::EntryKind::data, records, payload_of(bytes)};
}
inline quorum::LogEntry control_entry(std::int64_t base, std::int32_t epoch, quorum::EntryKind kind, int leader,
                                      const quorum::VoterSet& set) {
  return {Offset{base}, LeaderEpoch{epoch}, kind, 1, Bytes::adopt(quorum::encode_control_entry({replica(leader), set}))};
}

/// Node 1 of a cluster, driven by hand: time, messages and the disk move when the test says so.
class ReplicaFixture {
 public:
  explicit ReplicaFixture(const quorum::VoterSet& genesis, quorum::QuorumOptions options = {})
      : options_(std::move(options)) {
    options_.id = BrokerId{1};
    disk.hard_state = quorum::HardState{.directory_id = uuid_of(1), .cluster_id = cluster_id, .genesis = genesis};
  }

  /// The disk before the start: entries, and the epoch on it.
  ReplicaFixture& with_log(const std::vector<quorum::LogEntry>& entries, std::int32_t epoch) {
    log = entries;
    disk.hard_state->epoch = LeaderEpoch{epoch};
    return *this;
  }

  void start() {
    disk.log_end_offset = log.empty() ? disk.log_start_offset : log.back().end_offset();
    disk.epochs = {};
    for (const auto& entry : log) disk.epochs.assign(entry.epoch, entry.base_offset);
    if (!log.empty()) disk.log_start_offset = log.front().base_offset;
    node_.emplace(options_, prng_);
    take(node_->start(disk, now));
    while (!reads.empty()) serve_read();
  }
  /// Only what is on the disk is left.
  void crash_and_start() {
    clear();
    unpersisted.clear();
    start();
  }

  quorum::QuorumNode& node() { return *node_; }

  void take(quorum::QuorumEffects effects) {
    for (auto& effect : effects) {
      if (auto* send = std::get_if<quorum::SendMessage>(&effect)) sent_.push_back(std::move(send->message));
      if (auto* persist = std::get_if<quorum::Persist>(&effect)) unpersisted.push_back(std::move(*persist));
      if (auto* read = std::get_if<quorum::ReadEntries>(&effect)) reads.push_back(*read);
      if (auto* read = std::get_if<quorum::ReadSnapshot>(&effect)) snapshot_reads.push_back(*read);
      if (auto* install = std::get_if<quorum::InstallSnapshot>(&effect)) installs.push_back(std::move(*install));
      if (auto* deliver = std::get_if<quorum::Deliver>(&effect)) {
        delivered.insert(delivered.end(), deliver->entries.begin(), deliver->entries.end());
      }
      if (auto* answer = std::get_if<quorum::AnswerQuorum>(&effect)) answers.emplace(answer->token, answer->answer);
      if (auto* note = std::get_if<quorum::NoteQuorum>(&effect)) notes.push_back(note->text);
      if (auto* failed = std::get_if<quorum::FailQuorum>(&effect)) failure = failed->error;
      if (auto* cut = std::get_if<quorum::CutLog>(&effect)) cuts.push_back(cut->before);
    }
  }

  // --- inputs

  void receive(int from, std::int32_t epoch, quorum::Message::Body body) {
    take(node_->receive({cluster_id, replica(from), replica(1), LeaderEpoch{epoch}, std::move(body)}, now));
  }
  void persist_one() {
    REQUIRE(!unpersisted.empty());
    auto work = std::move(unpersisted.front());
    unpersisted.erase(unpersisted.begin());
    if (work.hard_state) disk.hard_state = work.hard_state;
    if (work.truncate_to) std::erase_if(log, [&](const auto& entry) { return entry.base_offset >= *work.truncate_to; });
    if (work.reset_to) log.clear();
    log.insert(log.end(), work.entries.begin(), work.entries.end());
    take(node_->persisted(work.token, now));
  }
  void persist() {
    while (!unpersisted.empty()) persist_one();
  }
  void serve_read() {
    REQUIRE(!reads.empty());
    const auto read = reads.front();
    reads.erase(reads.begin());
    std::vector<quorum::LogEntry> found;
    for (const auto& entry : log) {
      if (entry.base_offset >= read.from && entry.end_offset() <= read.to) found.push_back(entry);
    }
    take(node_->entries_read(read.token, std::move(found), now));
  }
  void pass(Millis time) {
    now += time;
    take(node_->on_deadline(now));
  }
  /// To the next deadline, and over it.
  void time_out() {
    const auto due = node_->next_deadline();
    REQUIRE(due);
    now = std::max(now, *due);
    take(node_->on_deadline(now));
  }
  std::uint64_t propose(std::int32_t records = 1, std::size_t bytes = 10) {
    const auto place = node_->next_place();
    REQUIRE(place);
    take(node_->propose(++token_, *place, records, payload_of(bytes), now));
    return token_;
  }
  std::uint64_t token() { return ++token_; }

  // --- shorthands

  void grant(int from, std::int32_t epoch, bool pre_vote = false) {
    receive(from, epoch, quorum::VoteResponse{pre_vote, true, LeaderEpoch{epoch}});
  }
  void accept(int from, std::int32_t epoch, std::int64_t matched, std::int64_t durable, std::uint64_t round = 0) {
    receive(from, epoch,
            quorum::AppendResponse{
                .accepted = true, .round = round, .matched_offset = Offset{matched}, .durable_offset = Offset{durable}});
  }
  void append(int from, std::int32_t epoch, std::int64_t base, std::int32_t previous, std::vector<quorum::LogEntry> entries,
              std::int64_t high_watermark = 0, std::uint64_t round = 0) {
    receive(from, epoch,
            quorum::AppendRequest{Offset{base}, LeaderEpoch{previous}, Offset{high_watermark}, round, std::move(entries)});
  }
  /// Elected by `by`, everything on the disk.
  void lead(std::initializer_list<int> by) {
    time_out();
    const auto asked = node_->epoch().value();
    for (const auto id : by) grant(id, asked, true);
    persist_one();
    for (const auto id : by) grant(id, asked + 1);
    REQUIRE(node_->role() == quorum::QuorumRole::leader);
    persist();
  }
  /// Leads, and its own epoch is committed.
  void lead_ready(std::initializer_list<int> by) {
    lead(by);
    for (const auto id : by) accept(id, node_->epoch().value(), end(), end());
    REQUIRE(node_->next_place());
    clear();
  }
  std::int64_t end() const { return node_->log_end_offset().value(); }

  /// Messages of one kind since the last `clear`, to one node or (0) to all.
  template <class Body>
  std::vector<Body> sent(int to = 0) const {
    std::vector<Body> found;
    for (const auto& message : sent_) {
      if (const auto* body = std::get_if<Body>(&message.body);
          body != nullptr && (to == 0 || message.to.id == BrokerId{to})) {
        found.push_back(*body);
      }
    }
    return found;
  }
  const std::vector<quorum::Message>& all_sent() const { return sent_; }
  void clear() {
    sent_.clear();
    reads.clear();
    installs.clear();
    snapshot_reads.clear();
  }
  /// The error's code; unknown_error for "not answered", nullopt for success.
  std::optional<Errc> refused(std::uint64_t token) const {
    const auto at = answers.find(token);
    if (at == answers.end()) return Errc::unknown_error;
    return at->second ? std::nullopt : std::optional{at->second.error().code};
  }
  bool answered(std::uint64_t token) const { return answers.contains(token); }

  quorum::StoredState disk;
  std::vector<quorum::LogEntry> log;  ///< on the disk
  MonotonicMs now{1'000};
  std::vector<quorum::Persist> unpersisted;
  std::vector<quorum::ReadEntries> reads;
  std::vector<quorum::ReadSnapshot> snapshot_reads;
  std::vector<quorum::InstallSnapshot> installs;
  std::vector<quorum::LogEntry> delivered;
  std::map<std::uint64_t, Result<Offset>> answers;
  std::vector<std::string> notes;
  std::vector<Offset> cuts;
  std::optional<Error> failure;

 private:
  quorum::QuorumOptions options_;
  Prng prng_{7};
  std::optional<quorum::QuorumNode> node_;
  std::vector<quorum::Message> sent_;
  std::uint64_t token_ = 100;
};

}  // namespace troupe::test
