#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/prng.hpp"
#include "core/metadata/quorum_effects.hpp"
#include "core/metadata/quorum_leadership.hpp"
#include "core/metadata/quorum_log.hpp"
#include "core/metadata/quorum_options.hpp"
#include "core/metadata/quorum_report.hpp"

namespace troupe::quorum {

/// One replica of the metadata quorum (Raft) as a pure machine: inputs in, effects out.
///
///            no cluster id                        a vote                          majority says yes
///   starting -------------> unformatted     .----> follower --timeout--> prospective --------> candidate
///      |                        |           |       ^  ^  ^                |   ^                 |   |
///      `------ formatted -------+-----------+       |  |  `- leader seen --'   `---- timeout ----'   | majority of votes,
///                                           |       |  |                                             v on disk, own included
///                              no vote      `--> observer <--- voted out ---------------------- leader
///                                                      `--------- newer epoch, no majority heard --'
///
/// `failed` is reached from everywhere, when the disk fails or a peer shows that a committed record would change; it is final.
///
/// What a message promises is on the disk before it goes out: an epoch and a vote before any message of that epoch, entries
/// before they are acknowledged and before they are delivered. A leader's entries go to followers while it writes them itself
/// (thesis 10.2.1), and count for itself when they are written.
///
/// Time is what the caller says; it decides when to vote and when to send, never what is committed or may be read.
class QuorumNode {
 public:
  /// Where the next proposal belongs.
  struct Place {
    Offset base_offset{0};
    LeaderEpoch epoch{0};

    friend bool operator==(const Place&, const Place&) = default;
  };

  /// `prng` must outlive the node.
  QuorumNode(QuorumOptions options, Prng& prng);

  // --- inputs. The first is `start`, once.

  QuorumEffects start(StoredState stored, MonotonicMs now);
  /// A message from the replica that it names as its sender: the link has to have checked that.
  QuorumEffects receive(const Message& message, MonotonicMs now);
  QuorumEffects on_deadline(MonotonicMs now);

  /// All disk work up to `token` is done.
  QuorumEffects persisted(std::uint64_t token, MonotonicMs now);
  QuorumEffects snapshot_rejected(std::uint64_t token, const Error& error, MonotonicMs now);
  /// The disk failed, or work on it ended in a way that nobody knows.
  QuorumEffects failed(const Error& error);
  /// Errors: offset_out_of_range (no longer in the log), others mean "not now".
  QuorumEffects entries_read(std::uint64_t token, Result<std::vector<LogEntry>> entries, MonotonicMs now);
  /// Errors: not_found (that snapshot is gone), others mean "not now".
  QuorumEffects snapshot_read(std::uint64_t token, Result<Bytes> chunk, MonotonicMs now);

  /// `payload` is data, `place` is `next_place()`; several can be on their way. Tokens: the caller's, each once.
  /// Answered also after leadership is lost: when it is certain what became of it.
  QuorumEffects propose(std::uint64_t token, Place place, std::int32_t records, Bytes payload, MonotonicMs now);
  /// ReadIndex (thesis 6.4): answered when the state machine has all that was committed anywhere when this was called.
  QuorumEffects read(std::uint64_t token, MonotonicMs now);
  /// Hands leadership to `target`, or to the voter that has most (-1). Answered when another epoch has begun. Thesis 3.10
  QuorumEffects transfer(std::uint64_t token, BrokerId target, MonotonicMs now);
  /// `voter` must follow this leader as an observer; it gets its vote when it has caught up (thesis 4.2.1).
  /// Errors: not_leader_or_follower, leader_not_available, conflict (another change is open, or that node votes already with another
  /// directory), not_found, invalid_argument (too many), request_timed_out.
  QuorumEffects add_voter(std::uint64_t token, const ReplicaKey& voter, MonotonicMs now);
  /// Errors: as add_voter; conflict also: it is the only voter.
  QuorumEffects remove_voter(std::uint64_t token, const ReplicaKey& voter, MonotonicMs now);

  /// A hint: the connection to that node closed, and could not be opened again.
  QuorumEffects peer_down(BrokerId id, MonotonicMs now);
  /// A hint: that node can be reached (again). Whoever was told of nobody asks those for the cluster and its leader.
  QuorumEffects peer_up(BrokerId id, MonotonicMs now);

  /// What belongs to a snapshot of the state machine that has applied all below `end_offset`, without its size and checksum.
  /// nullopt: not (any more) a place for one.
  std::optional<SnapshotMeta> describe_snapshot(Offset end_offset) const;
  /// A snapshot with that description is on the disk. It must not be older than the one before.
  QuorumEffects snapshot_taken(const SnapshotMeta& snapshot, MonotonicMs now);

  // --- what it knows

  std::optional<MonotonicMs> next_deadline() const;
  QuorumRole role() const { return role_; }
  LeaderEpoch epoch() const { return hard_.epoch; }
  /// Whom this replica follows, itself included; -1: nobody known.
  BrokerId leader() const { return leader_ ? leader_->id : BrokerId{-1}; }
  ReplicaKey key() const { return {options_.id, hard_.directory_id}; }
  const Uuid& cluster_id() const { return hard_.cluster_id; }
  const VoterSet& voters() const { return log_.voters(); }
  /// All below is committed.
  Offset high_watermark() const { return high_watermark_; }
  /// All below was delivered or is in the snapshot.
  Offset applied() const { return applied_; }
  Offset log_start_offset() const { return log_.start_offset(); }
  Offset log_end_offset() const { return log_.end_offset(); }
  /// Leads, is ready, takes proposals. nullopt: not so.
  std::optional<Place> next_place() const;
  QuorumReport report(MonotonicMs now) const;
  /// Voters whose node speaks as another replica: the directory that votes is not there any more, as far as this replica has heard.
  std::vector<BrokerId> lost_voters() const;
  /// Bytes of entries in memory.
  std::size_t tail_bytes() const { return log_.tail_bytes(); }

 private:
  /// Disk work on its way.
  struct DiskWork {
    std::uint64_t token;
    Offset log_end_offset;  ///< afterwards, as far as it is still wanted
    bool installs;
    MonotonicMs since;
  };
  struct Held {
    std::uint64_t token;  ///< goes out when this is persisted
    Message message;
  };
  struct Proposal {
    std::uint64_t token;
    LeaderEpoch epoch;
    std::size_t bytes;
  };
  struct Incoming {
    SnapshotMeta snapshot;
    ByteBuffer bytes;
  };
  struct Greeting {
    ReplicaKey key;
    std::vector<BrokerId> listed;
    MonotonicMs at;
  };

  // quorum_node.cpp: start, disk, delivery
  void begin(MonotonicMs now) { now_ = now; }
  QuorumEffects finish();
  void open_log(const StoredState& stored);
  void scan_on();
  Status take_own_read(Result<std::vector<LogEntry>> entries);
  void take_follower_read(std::uint64_t token, Result<std::vector<LogEntry>> entries);
  void started();
  void flush_disk();
  void report_role();
  void fail(Error error);
  void note(std::string text) { out_.emplace_back(NoteQuorum{std::move(text)}); }
  void note_once(const std::string& text);
  void answer(std::uint64_t token, Result<Offset> answer) { out_.emplace_back(AnswerQuorum{token, std::move(answer)}); }
  void send(const ReplicaKey& to, Message::Body body);
  void release_held();
  void append_entry(LogEntry entry);
  void truncate_log(Offset offset);
  void log_was_reset(const SnapshotMeta& snapshot);
  void advance_delivery();
  void deliver(std::vector<LogEntry> entries);
  void settle_proposals();
  bool disk_stalled() const;
  bool installing() const;

  // quorum_election.cpp
  bool is_voter() const;
  bool leader_is_near() const;
  Millis election_timeout();
  void adopt_epoch(LeaderEpoch epoch);
  void follow(const ReplicaKey* leader);
  void refresh_role();
  void begin_pre_vote();
  void begin_election(bool transfer);
  void ask_for_votes(bool pre_vote, bool transfer);
  void count_votes();
  void become_leader();
  void on(const Message& message, const VoteRequest& request);
  void on(const Message& message, const VoteResponse& response);
  void on(const Message& message, const TimeoutNow& request);

  // quorum_follower.cpp
  bool accept_leader(const Message& message);
  void on(const Message& message, const AppendRequest& request);
  void refuse(const Message& message, const AppendRequest& request, LeaderEpoch hint_epoch, Offset hint_end);
  void acknowledge(std::uint64_t round, Offset base_offset);
  Offset take_entries(const AppendRequest& request, std::size_t first, Offset base);
  void on(const Message& message, const SnapshotRequest& request);
  void snapshot_complete();
  void on(const Message& message, const LeaderHint& hint);
  void ask_to_follow();

  // quorum_leader.cpp
  void resign(const char* why);
  void expect_commit(std::uint64_t token, const LogEntry& entry);
  void broadcast();
  void send_entries(const ReplicaKey& to, Progress& progress);
  void send_append(const ReplicaKey& to, Progress& progress, std::vector<LogEntry> entries);
  void send_heartbeat(const ReplicaKey& to, Progress& progress);
  void heartbeat_all();
  void send_chunk(const ReplicaKey& to, Progress& progress);
  void on(const Message& message, const AppendResponse& response);
  void on(const Message& message, const SnapshotResponse& response);
  void on(const Message& message, const Follow& follow);
  Progress* heard(const Message& message, std::uint64_t round);
  void advance_high_watermark();
  void confirm_reads();
  void answer_reads();
  void leader_deadline();
  void leader_progressed();
  bool own_epoch_committed() const;

  // quorum_membership.cpp
  Status may_change_voters() const;
  void change_voters(std::uint64_t token, VoterSet voters);
  LogEntry append_control(EntryKind kind, VoterSet voters);
  void advance_catch_up();
  void advance_hand_over();
  void leave_if_voted_out();
  std::optional<ReplicaKey> best_successor() const;

  // quorum_bootstrap.cpp
  void on(const Message& message, const Hello& hello);
  void say_hello(const ReplicaKey& to, bool reply);
  void say_hello_to_all();
  void found_cluster();
  void format(const Uuid& cluster_id, VoterSet genesis);
  std::vector<BrokerId> everybody() const;

  const QuorumOptions options_;
  Prng& prng_;
  MonotonicMs now_{0};
  QuorumEffects out_;

  QuorumRole role_ = QuorumRole::starting;
  std::optional<RoleChanged> reported_;
  HardState hard_;
  QuorumLog log_;
  std::optional<SnapshotMeta> snapshot_;
  Offset high_watermark_{0};
  Offset applied_{0};
  Offset scanned_{0};  ///< while starting

  // the disk
  std::uint64_t disk_token_ = 0;
  std::uint64_t persisted_token_ = 0;
  std::uint64_t hard_token_ = 0;  ///< the latest that carries a hard state
  Offset durable_end_{0};
  std::deque<DiskWork> disk_;
  Persist unsent_;
  std::optional<InstallSnapshot> unsent_install_;
  bool hard_dirty_ = false;
  std::deque<Held> held_;
  std::uint64_t read_token_ = 0;
  std::optional<std::uint64_t> own_read_;  ///< for the state machine, or while starting

  // elections
  std::optional<ReplicaKey> leader_;
  MonotonicMs leader_heard_at_{0};
  MonotonicMs election_at_{0};
  std::int64_t leaderless_epochs_ = 0;    ///< since a leader was known
  std::set<BrokerId> gone_;               ///< whose process has ended, as the links say
  std::map<BrokerId, Uuid> directories_;  ///< of nodes that vote: as they spoke last
  std::set<ReplicaKey> granted_;
  std::set<ReplicaKey> refused_;

  // following
  Offset matched_end_{0};  ///< all below is as this epoch's leader has it
  std::uint64_t leader_round_ = 0;
  std::optional<Incoming> incoming_;
  MonotonicMs follow_at_{0};
  BrokerId hint_{-1};
  std::set<BrokerId> met_;  ///< by who was told of nobody
  std::size_t asked_ = 0;

  std::optional<Leadership> leadership_;
  std::multimap<Offset, Proposal> proposals_;  ///< by end offset; outlive leadership, at most twice proposals_max

  // before there is a cluster
  std::map<BrokerId, Greeting> greetings_;
  MonotonicMs hello_at_{0};

  std::set<std::string> noted_;
};

}  // namespace troupe::quorum
