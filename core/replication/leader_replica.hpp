#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/leader_epoch_cache.hpp"
#include "core/record/producer_state.hpp"
#include "core/replication/claim_index.hpp"
#include "core/replication/follower_progress.hpp"
#include "core/replication/isr.hpp"
#include "core/replication/partition_state.hpp"
#include "core/replication/replica_fetch.hpp"

namespace troupe::replication {

/// A batch on its way into the log. Offsets and epoch are given by the leader, outside of these bytes.
struct NewBatch {
  Bytes bytes = {};  ///< a whole batch, validated or built by us
  record::RecordBatchHeader header = {};
  std::optional<Claim> claim = {};
};

/// Where a batch ended up.
struct PlacedRecords {
  Offset base_offset{0};
  TimestampMs timestamp = no_timestamp;  ///< the broker's, with message.timestamp.type = LogAppendTime; else none
  bool duplicate = false;

  friend bool operator==(const PlacedRecords&, const PlacedRecords&) = default;
};

/// What a leader wants done. Performed by its actor; completions come back as inputs.
struct LeaderEffects {
  struct Append {
    std::uint64_t token = 0;
    struct Batch {
      Offset base_offset{0};
      Bytes bytes = {};
    };
    std::vector<Batch> batches = {};
    Offset next_offset{0};  ///< behind the last of them
  };
  struct Answer {
    std::uint64_t slot = 0;
    std::vector<Result<PlacedRecords>> results = {};  ///< one a batch, in order
  };

  std::vector<Append> appends = {};
  std::vector<Answer> answers = {};
  std::vector<std::uint64_t> readable = {};   ///< parked fetches that have something to read now, or waited long enough
  std::optional<Offset> high_watermark = {};  ///< it moved
  bool load_claims = false;                   ///< read the last 24 h of the log into `on_claims`, once
  bool reopen = false;                        ///< nothing is in flight and the log refused something: ask where it stands
  bool sync = false;                          ///< what the log holds already has to count: sync it, then `on_durable`

  std::vector<BrokerId> followers_ready = {};  ///< their parked fetches can be answered: `answer_follower`
  std::optional<AlterPartition> alter = {};    ///< ask the controller, then `on_alter_answer`
};

/// How a produce wants to be answered.
struct ProduceTerms {
  Acks acks = Acks::quorum;
  /// What is not committed by then is answered with an unknown outcome; nullopt: when it is, or when the leadership ends.
  std::optional<MonotonicMs> deadline = {};
};

/// Where a replica's log stands when it begins to lead.
struct ReplicaStart {
  Offset log_start{0};
  Offset log_end{0};
  Offset durable_end{0};     ///< all below is on stable storage
  Offset high_watermark{0};  ///< as last known; it may lag behind the one that others have seen
  record::LeaderEpochCache epochs = {};
  record::ProducerStates producers = {};
};

/// The rules of a partition's leader: who gets which offsets, what is a retry, what followers may copy and how far they are, who is in the
/// ISR, when a record is committed, when a produce is answered. Pure: no clock, no disk, no network.
///
///   on_produce -> [producer and claim checks] -> Append(base offset) -> on_appended -> high watermark -> Answer
///        `- duplicate ------------------------------------------------------^--- on_fetch: a follower holds it
///
///   log start      high watermark     own end         log end      next offset
///      |  committed       |  here, as it counts | here, unsynced |  in flight  |
///
/// The high watermark is the least offset that a member of the maximal ISR (Isr) has reached, the leader included, counted as the topic's
/// `flush` says: durable offsets or log ends. It never retreats, and stands still while the ISR is smaller than `min.insync.replicas`
/// (or than all replicas, when there are fewer).
///
///   elected --- begin ---> leading, not ready --- high watermark at the epoch's start ---> ready
///      any --- a newer epoch, resign, an append with an unknown outcome ---> ended
///
/// Until it is ready a leader takes records and serves what it knows to be committed; where the committed records end it does not know:
/// an earlier leader may have shown more. Nothing at `quorum` is acknowledged before, because those records lie behind the start.
///
/// Appends succeed in order. One that the log refused (a full disk: nothing was written) takes those behind it along; when the last of
/// them is in, the log is asked again where it stands. One with an unknown outcome ends the leader: its successor starts from the log.
///
/// Source: KIP-101, 279, 320 (epochs), 497 (AlterPartition), 966 (minimum ISR and eligible leaders); invariants R3 and R5 to R13.
class LeaderReplica {
 public:
  struct Options {
    LeaderEpoch epoch{0};
    record::TimestampType timestamp_type = record::TimestampType::create_time;
    std::int32_t min_insync_replicas = 1;
    std::size_t bytes_in_flight_max = std::size_t{32} << 20;
    Flush flush = Flush::fsync;
    Millis replica_lag_max_ms = 30'000;  ///< `replica.lag.time.max.ms`: who is behind for longer leaves the ISR
    /// Who is behind and cannot be reached for longer leaves the ISR. A connection that comes back at once is no reason.
    Millis unlinked_max_ms = 1'000;
    Millis alter_retry_ms = 500;             ///< an AlterPartition without an answer is sent again
    std::size_t slots_waiting_max = 10'000;  ///< produce slots that wait for followers; beyond: overloaded
  };

  /// The leader of a partition that has one replica: the leader is the ISR, and what is appended is committed.
  LeaderReplica(const Options& options, Offset log_start, Offset log_end, record::ProducerStates producers);
  /// The leader of `state.leader_epoch`, on `self`. Call `begin` next.
  LeaderReplica(const Options& options, const IsrMember& self, const PartitionState& state, ReplicaStart start);

  /// Leadership begins: counts what the log holds, asks for a sync if some of that is not durable yet.
  void begin(MonotonicMs now, LeaderEffects& effects);

  LeaderEpoch epoch() const { return options_.epoch; }
  Offset log_start() const { return log_start_; }
  Offset log_end() const { return log_end_; }
  Offset high_watermark() const { return high_watermark_; }
  /// Where this epoch begins: the log end when its leader was elected.
  Offset epoch_start() const { return epoch_start_; }
  bool failed() const { return failure_.has_value(); }
  /// It leads no more: another leader was elected, it resigned, or its log failed.
  bool ended() const { return failure_ || resigned_; }
  /// The high watermark has reached the start of this epoch, so it covers all that was ever committed (R13).
  bool ready() const { return high_watermark_ >= epoch_start_; }
  /// The end of the committed records, for who asks for the latest offset. Errors: offset_not_available (not ready).
  Result<Offset> committed_end() const;
  const Isr& isr() const { return isr_; }
  const std::vector<BrokerId>& eligible_leader_replicas() const { return eligible_leader_replicas_; }
  bool under_min_isr() const;
  void set_options(const Options& options) { options_ = options; }

  // --- produce

  /// A slot of batches of one gateway: what is accepted of it is appended together, and answered together. `slot` names it in the answer.
  /// Answers' errors: out_of_order_sequence_number, duplicate_sequence_number, invalid_producer_epoch, conflict, overloaded,
  /// not_enough_replicas, not_leader_or_follower, storage_full (the batch was not written); storage_error, leadership_lost,
  /// not_enough_replicas_after_append, request_timed_out (unknown).
  void on_produce(std::uint64_t slot, std::vector<NewBatch> batches, LeaderEffects& effects) {
    on_produce(slot, std::move(batches), {}, effects);
  }
  void on_produce(std::uint64_t slot, std::vector<NewBatch> batches, const ProduceTerms& terms, LeaderEffects& effects);

  /// An append is as durable as its topic asks, or failed: with `storage_full`, invalid_argument, message_too_large or
  /// corrupt_message nothing was written, else the outcome is unknown.
  void on_appended(std::uint64_t token, const Status& status, LeaderEffects& effects);
  /// The log holds all below `log_end`, synced or not: followers may copy it while the leader's own sync is under way. A shell that
  /// learns of both at once does not need it.
  void on_written(Offset log_end, LeaderEffects& effects);
  /// All below is as durable as the topic asks, apart from appends of this epoch.
  void on_durable(Offset durable_end, LeaderEffects& effects);

  /// Where the log stands, after `reopen`.
  void on_reopened(Offset log_start, Offset log_end, record::ProducerStates producers, LeaderEffects& effects);

  /// One batch of the last 24 h, for the claims, after `load_claims`; ascending. Then `on_claims_loaded`.
  void on_claims(const record::RecordBatchView& batch);
  /// What waited for them goes on. An error refuses it: nothing was written.
  void on_claims_loaded(const Status& status, LeaderEffects& effects);

  /// Retention or a deletion of records moved the start.
  void on_log_start(Offset log_start, LeaderEffects& effects);

  // --- followers

  /// A follower states its position. True: it can be answered now. False: parked until `followers_ready` names it; a later fetch of the
  /// same replica takes its place.
  /// Errors: fenced_leader_epoch, unknown_leader_epoch, stale_broker_epoch, offset_out_of_range (start over at the log start),
  /// not_leader_or_follower (ended, or not a replica as far as this leader knows). None of these is counted.
  Result<bool> on_fetch(const ReplicaFetch& fetch, MonotonicMs now, LeaderEffects& effects);
  /// What to say to it now, without the records: those of [fetch_offset, log_end), as many as there is room for, if the two differ
  /// and the logs do not diverge. Errors: not_leader_or_follower.
  Result<ReplicaAnswer> answer_follower(BrokerId replica);
  /// Where the records begin that `answer_follower` would go with; nullopt: with none. For a shell that reads them first.
  std::optional<Offset> records_wanted(BrokerId replica) const;
  /// A fetch was refused: the answer that says so, with what the follower needs to go on.
  ReplicaAnswer refusal_answer(const ReplicaFetch& fetch, Errc error) const;

  /// The partition as the controller committed it; older or known states change nothing. A newer epoch, or another leader, ends this one.
  void on_partition(const PartitionState& state, MonotonicMs now, LeaderEffects& effects);
  /// The answer to `alter`. An error without an answer (a timeout) need not be told: it is asked again.
  void on_alter_answer(std::uint64_t request, const Result<PartitionState>& answer, MonotonicMs now, LeaderEffects& effects);
  /// A broker is no longer fenced: whoever was refused as ineligible is proposed again now, and not only after a wait that grows with each
  /// refusal up to `replica_lag_max_ms`.
  void on_broker_back(MonotonicMs now, LeaderEffects& effects);
  /// This node's link to a follower's went down, or is up again: nothing comes from there meanwhile. Who has all that there is stays.
  void on_link(BrokerId replica, bool up, MonotonicMs now, LeaderEffects& effects);
  /// Gives up the leadership. What was appended and is not committed has an unknown outcome: leadership_lost.
  void resign(LeaderEffects& effects);

  // --- consumers

  /// A fetch at `from` with nothing to read waits until `deadline`; then, or when there is something, its token appears in `readable`.
  /// A position that another leader may have shown waits as well: up to the log end.
  /// Errors: offset_out_of_range, naming both ends; not_leader_or_follower.
  Status check_offset(Offset from) const;
  bool has_records_at(Offset from) const { return from < high_watermark_; }
  void park(std::uint64_t fetch, MonotonicMs deadline) { parked_.push_back({fetch, deadline}); }
  bool unpark(std::uint64_t fetch);

  /// Deadlines of parked fetches and produces, lagging members of the ISR, requests to the controller.
  void on_deadline(MonotonicMs now, LeaderEffects& effects);
  std::optional<MonotonicMs> next_deadline() const;

 private:
  struct Slot {
    std::uint64_t slot;
    std::vector<NewBatch> batches;
    ProduceTerms terms;
  };
  struct InFlight {
    std::uint64_t token = 0;
    std::uint64_t slot = 0;
    Offset next_offset{0};  ///< behind it
    std::size_t bytes = 0;
    std::vector<Result<PlacedRecords>> results = {};
    bool done = false;
    Offset required{0};  ///< the high watermark that commits all of it, what it repeats included
    ProduceTerms terms = {};
  };
  /// In the log, and not committed yet. Later ones never require less.
  struct Waiting {
    std::uint64_t slot;
    std::vector<Result<PlacedRecords>> results;
    Offset required;
    std::optional<MonotonicMs> deadline;
  };
  struct Parked {
    std::uint64_t fetch;
    MonotonicMs deadline;
  };
  struct Placed {
    PlacedRecords records;
    Offset next_offset;
  };
  struct Asked {
    AlterPartition alter;
    MonotonicMs again_at;
  };
  enum class Claims : std::uint8_t { not_loaded, loading, loaded };

  std::optional<Error> refusal(Acks acks) const;
  Result<Placed> place(NewBatch& batch, LeaderEffects::Append& append);
  void accept(Slot slot, LeaderEffects& effects);
  void settle(InFlight done, LeaderEffects& effects);
  void answer_overdue(MonotonicMs now, LeaderEffects& effects);
  void commit_to(Offset offset, LeaderEffects& effects);
  void refuse_all(const Error& unknown, const Error& not_begun, LeaderEffects& effects);

  std::optional<Error> fetch_refusal(const ReplicaFetch& fetch) const;
  std::optional<DivergingEpoch> divergence(const FetchPosition& position) const;
  FollowerProgress* follower(BrokerId broker);
  const FollowerProgress* follower(BrokerId broker) const;
  void counts_now(Offset end, LeaderEffects& effects);
  void advance(LeaderEffects& effects);
  void tell_followers(LeaderEffects& effects);
  void change_isr(MonotonicMs now, LeaderEffects& effects);
  bool may_join(const FollowerProgress& one, MonotonicMs now) const;
  bool is_late(const FollowerProgress& one, MonotonicMs now) const;
  bool is_cut_off(const FollowerProgress& one, MonotonicMs now) const;
  void ask(MonotonicMs now, LeaderEffects& effects);
  void adopt(const PartitionState& state);
  Error not_leading() const;

  Options options_;
  IsrMember self_;
  Offset log_start_;
  Offset high_watermark_;
  Offset epoch_start_;
  Offset own_end_;      ///< counted as `flush` says
  Offset log_end_;      ///< what followers may copy
  Offset next_offset_;  ///< with what is in flight
  record::LeaderEpochCache epochs_;
  record::ProducerStates producers_;  ///< with what is in flight
  ClaimIndex claims_;                 ///< with what is in flight
  Claims claims_state_;
  std::deque<Slot> waiting_for_claims_;
  std::deque<InFlight> in_flight_;
  std::deque<Waiting> waiting_;
  std::optional<MonotonicMs> waiting_due_;  ///< no deadline of them is earlier
  std::size_t bytes_in_flight_ = 0;
  std::uint64_t next_token_ = 1;
  std::optional<Error> refused_;  ///< the log refused an append: nothing new until it was asked where it stands
  std::optional<Error> failure_;  ///< an append has an unknown outcome
  bool resigned_ = false;
  std::vector<Parked> parked_;

  Isr isr_;
  std::size_t replicas_count_;
  std::vector<BrokerId> eligible_leader_replicas_;
  std::vector<FollowerProgress> followers_;  ///< all replicas but this one
  std::optional<Asked> asked_;               ///< the pending change, as long as asking again makes sense
  std::uint64_t
      next_request_;  ///< counted from the epoch on: a late answer to an earlier leader on this node is not for this one
  std::optional<MonotonicMs> expand_not_before_;  ///< a refused expand is thought of again then
  Millis expand_wait_ms_ = 0;                     ///< doubles with each refusal
  std::optional<MonotonicMs> shrink_not_before_;  ///< the same of a refused shrink, for those that are cut off
  std::optional<MonotonicMs> looked_at_;
};

}  // namespace troupe::replication
