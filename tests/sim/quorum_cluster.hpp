#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/event_queue.hpp"
#include "tests/sim/quorum_invariants.hpp"

/// Replicas of the metadata quorum, the real machines, on a simulated network, disk and clock. One thread, one seed, one history.
namespace troupe::sim {

/// What the network and the disks do; may be changed while the cluster runs.
struct Weather {
  Millis delay_min_ms = 0;
  Millis delay_max_ms = 5;
  std::uint64_t loss_permille = 0;
  std::uint64_t duplicate_permille = 0;
  Millis disk_ms_max = 3;
  std::uint64_t slow_disk_permille = 0;  ///< of disk works that take `slow_disk_ms`
  Millis slow_disk_ms = 300;
  std::uint64_t bad_snapshot_permille = 0;  ///< of installs that the shell refuses
};

/// How often things came to pass: what a run has covered.
using Marks = std::map<std::string, std::uint64_t>;

/// What stands on the replicas' logs. Called in the order of a replica's effects; what it asks of the replica meanwhile is done behind what
/// waits, as in actors/metadata_quorum.
class QuorumShell {
 public:
  virtual ~QuorumShell() = default;
  virtual void delivered(BrokerId id, const std::vector<quorum::LogEntry>& entries) = 0;
  virtual void installed(BrokerId id, const Bytes& state) = 0;
  virtual void proposed(BrokerId id, std::uint64_t token, const Result<Offset>& answer) = 0;
  virtual void role_changed(BrokerId id, const quorum::RoleChanged& role) = 0;
  virtual void leader_ready(BrokerId id) = 0;
  virtual void snapshot_written(BrokerId id, const Status& status) = 0;
  /// Seen committed for the first time, anywhere.
  virtual void committed(const quorum::LogEntry& entry) = 0;
};

class QuorumCluster {
 public:
  /// `shell`: null for replicas whose state machine is the chain of what they applied. Both outlive this.
  explicit QuorumCluster(std::uint64_t seed, EventQueue* shared = nullptr, QuorumShell* shell = nullptr);

  /// A node that does not run yet. Ids from 1, in order.
  void add(quorum::QuorumOptions options);
  std::size_t size() const { return nodes_.size(); }

  Millis now() const { return queue_.now_us() / 1'000; }
  MonotonicMs clock(BrokerId id) const { return clock(at_id(id)); }
  void run_until(Millis time);
  /// Runs until `done` holds after some event. False: `time` came first.
  bool run_until(Millis time, const std::function<bool()>& done);
  void at(Millis time, std::function<void()> action);

  // faults
  Weather weather;
  void start(BrokerId id);
  /// Process and unfinished disk work are gone.
  void crash(BrokerId id);
  /// The disk, too.
  void wipe(BrokerId id);
  void pause(BrokerId id);
  void resume(BrokerId id);
  /// What is on its way is lost, too.
  void block(BrokerId from, BrokerId to) { blocked_.insert({from, to}); }
  void unblock(BrokerId from, BrokerId to) { blocked_.erase({from, to}); }
  void unblock_all() { blocked_.clear(); }
  /// What is sent there meanwhile arrives after `until`.
  void clog(BrokerId from, BrokerId to, Millis until) { clogged_[{from, to}] = until; }
  void hint_down(BrokerId at, BrokerId peer);
  void hint_up(BrokerId at, BrokerId peer);
  /// 1000: as time goes.
  void set_clock(BrokerId id, std::int64_t permille);

  // clients
  void propose(BrokerId id, std::size_t payload_bytes);
  void read(BrokerId id);
  void transfer(BrokerId id, BrokerId target);
  void add_voter(BrokerId id, const quorum::ReplicaKey& voter);
  void remove_voter(BrokerId id, const quorum::ReplicaKey& voter);
  void take_snapshot(BrokerId id);

  // of the shell; the node is up
  void propose(BrokerId id, std::uint64_t token, quorum::QuorumNode::Place place, std::int32_t records, Bytes payload);
  void read(BrokerId id, std::uint64_t token);
  /// `state`: of the shell's state machine that has applied all below `end`. Ends in `snapshot_written`.
  void take_snapshot(BrokerId id, Offset end, const Bytes& state);

  // what can be seen
  bool up(BrokerId id) const { return at_id(id).node != nullptr; }
  bool paused(BrokerId id) const { return at_id(id).paused; }
  const quorum::QuorumNode& node(BrokerId id) const { return *at_id(id).node; }
  const DurableState& disk(BrokerId id) const { return at_id(id).disk; }
  const Applied& applied(BrokerId id) const { return at_id(id).applied; }
  std::vector<BrokerId> ids() const;
  /// The leader of the highest epoch that runs and takes proposals; -1: none.
  BrokerId ready_leader() const;
  std::uint64_t accepted_proposals() const { return accepted_.size(); }
  /// Answers that are still owed.
  std::size_t open_requests() const { return requests_.size(); }
  const QuorumInvariants& invariants() const { return invariants_; }
  /// At the end: AcknowledgedIsCommittedOnce, RefusedIsNeverCommitted.
  void check_history();
  void violated(const std::string& invariant, const std::string& what) { invariants_.violated(invariant, what); }

  Marks marks;
  /// Equal for equal runs.
  std::uint64_t trace() const { return trace_; }
  Prng& prng() { return prng_; }
  std::function<void(const std::string&)> log;  ///< may be empty
  std::function<void(BrokerId)> on_elected;     ///< may be empty

 private:
  struct SimNode {
    quorum::QuorumOptions options = {};
    std::unique_ptr<Prng> prng = {};
    std::unique_ptr<quorum::QuorumNode> node = {};
    DurableState disk = {};
    MetadataLog logical = {};  ///< as the node sees it: with what is not on the disk yet
    std::deque<DiskWork> works = {};
    Applied applied = {};
    Offset high_watermark{0};
    quorum::VoterSet voters = {};  ///< before the input that is being looked at
    bool truncated = false;        ///< by the input that is being looked at
    bool paused = false;
    std::deque<quorum::QuorumEffect> todo = {};
    bool performing = false;
    std::vector<std::function<void()>> inbox = {};  ///< while paused
    std::uint64_t run = 0;                          ///< events of an earlier one mean nothing
    Millis clock_base = 0;
    Millis clock_since = 0;
    std::int64_t clock_permille = 1000;
    std::optional<MonotonicMs> timer_for = {};
  };
  enum class RequestKind : std::uint8_t { proposal, read, transfer, change };
  struct Request {
    RequestKind kind;
    Offset committed_before;
    std::uint64_t shell_token = 0;  ///< 0: not the shell's
  };

  SimNode& at_id(BrokerId id) { return nodes_[static_cast<std::size_t>(id.value() - 1)]; }
  const SimNode& at_id(BrokerId id) const { return nodes_[static_cast<std::size_t>(id.value() - 1)]; }
  MonotonicMs clock(const SimNode& one) const;
  /// `action` at `time` on the node's present run; later when the node is paused.
  void on_node(BrokerId id, Millis time, std::function<void(SimNode&)> action);
  void input(SimNode& one, const char* what,
             const std::function<quorum::QuorumEffects(quorum::QuorumNode&, MonotonicMs)>& call);
  void check(SimNode& one);
  void check_majority(const SimNode& one);
  void check_entries(const quorum::Message& message);
  bool describe_own_snapshot(SimNode& one, const Applied& applied, const Bytes& state);
  void arm_timer(SimNode& one);
  void next_work(SimNode& one);
  void work_done(SimNode& one);
  std::uint64_t request(SimNode& one, RequestKind kind);
  Result<std::vector<quorum::LogEntry>> as_stored(const std::vector<quorum::LogEntry>& entries, Offset from);
  void check_files(const DurableState& disk);
  void trace_in(std::uint64_t value);
  void say(const SimNode& one, const std::string& what) const;

  void perform_effect(SimNode& one, const quorum::Persist& effect);
  void perform_effect(SimNode& one, const quorum::InstallSnapshot& effect);
  void perform_effect(SimNode& one, const quorum::CutLog& effect);
  void perform_effect(SimNode& one, const quorum::ReadEntries& effect);
  void perform_effect(SimNode& one, const quorum::ReadSnapshot& effect);
  void perform_effect(SimNode& one, const quorum::SendMessage& effect);
  void perform_effect(SimNode& one, const quorum::Deliver& effect);
  void perform_effect(SimNode& one, const quorum::AnswerQuorum& effect);
  void perform_effect(SimNode& one, const quorum::RoleChanged& effect);
  void perform_effect(SimNode& one, const quorum::LeaderReady& effect);
  void perform_effect(SimNode& one, const quorum::NoteQuorum& effect);
  void perform_effect(SimNode& one, const quorum::FailQuorum& effect);

  Prng prng_;
  EventQueue own_queue_;
  EventQueue& queue_;
  QuorumShell* const shell_;
  Millis second_ = 0;
  std::uint64_t events_this_second_ = 0;
  std::vector<SimNode> nodes_;
  std::map<quorum::ReplicaKey, DurableState> graveyard_;  ///< disks that were wiped, as they were
  std::set<std::pair<BrokerId, BrokerId>> blocked_;
  std::map<std::pair<BrokerId, BrokerId>, Millis> clogged_;
  QuorumInvariants invariants_;
  std::uint64_t last_token_ = 0;
  std::map<std::uint64_t, Request> requests_;
  std::map<std::uint64_t, Offset> accepted_;  ///< proposals that were acknowledged, and where
  std::set<std::uint64_t> refused_;           ///< that never happened, and never will
  std::uint64_t trace_ = 0;
};

}  // namespace troupe::sim
