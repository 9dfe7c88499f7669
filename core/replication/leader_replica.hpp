#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/producer_state.hpp"
#include "core/replication/claim_index.hpp"

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
};

/// The rules of a partition's leader, as far as one replica goes: who gets which offsets, what is a retry, when a record is committed, when
/// a produce is answered. Pure: no clock, no disk.
///
///   on_produce -> [producer and claim checks] -> Append(base offset) -> on_appended -> high watermark -> Answer
///        `- duplicate --------------------------------------------------------------------------------^
///
///   log start      high watermark     log end      next offset
///      |  committed       |  appended    |  in flight  |
///
/// Appends succeed in order. One that the log refused (a full disk: nothing was written) takes those behind it along; when the last of
/// them is in, the log is asked again where it stands. One with an unknown outcome ends the leader: its successor starts from the log.
///
/// Followers and the ISR come with replication; until then the leader is the ISR, and what is appended is committed.
class LeaderReplica {
 public:
  struct Options {
    LeaderEpoch epoch{0};
    record::TimestampType timestamp_type = record::TimestampType::create_time;
    std::int32_t min_insync_replicas = 1;
    std::size_t bytes_in_flight_max = std::size_t{32} << 20;
  };

  LeaderReplica(const Options& options, Offset log_start, Offset log_end, record::ProducerStates producers);

  LeaderEpoch epoch() const { return options_.epoch; }
  Offset log_start() const { return log_start_; }
  Offset high_watermark() const { return high_watermark_; }
  bool failed() const { return failure_.has_value(); }
  void set_options(const Options& options) { options_ = options; }

  /// A slot of batches of one gateway: what is accepted of it is appended together, and answered together. `slot` names it in the answer.
  /// Answers' errors: out_of_order_sequence_number, duplicate_sequence_number, invalid_producer_epoch, conflict, overloaded,
  /// not_enough_replicas, storage_full (the batch was not written); storage_error (unknown).
  void on_produce(std::uint64_t slot, std::vector<NewBatch> batches, LeaderEffects& effects);

  /// An append is as durable as its topic asks, or failed: with `storage_full`, invalid_argument, message_too_large or
  /// corrupt_message nothing was written, else the outcome is unknown.
  void on_appended(std::uint64_t token, const Status& status, LeaderEffects& effects);

  /// Where the log stands, after `reopen`.
  void on_reopened(Offset log_start, Offset log_end, record::ProducerStates producers, LeaderEffects& effects);

  /// One batch of the last 24 h, for the claims, after `load_claims`; ascending. Then `on_claims_loaded`.
  void on_claims(const record::RecordBatchView& batch);
  /// What waited for them goes on. An error refuses it: nothing was written.
  void on_claims_loaded(const Status& status, LeaderEffects& effects);

  /// Retention or a deletion of records moved the start.
  void on_log_start(Offset log_start);

  /// A fetch at `from` with nothing to read waits until `deadline`; then, or when there is something, its token appears in `readable`.
  /// Errors: offset_out_of_range, naming both ends.
  Status check_offset(Offset from) const;
  bool has_records_at(Offset from) const { return from < high_watermark_; }
  void park(std::uint64_t fetch, MonotonicMs deadline) { parked_.push_back({fetch, deadline}); }
  bool unpark(std::uint64_t fetch);
  void on_deadline(MonotonicMs now, LeaderEffects& effects);
  std::optional<MonotonicMs> next_deadline() const;

 private:
  struct Slot {
    std::uint64_t slot;
    std::vector<NewBatch> batches;
  };
  struct InFlight {
    std::uint64_t token;
    std::uint64_t slot;
    Offset next_offset;  ///< behind it
    std::size_t bytes;
    std::vector<Result<PlacedRecords>> results;
    bool done;
  };
  struct Parked {
    std::uint64_t fetch;
    MonotonicMs deadline;
  };
  enum class Claims : std::uint8_t { not_loaded, loading, loaded };

  std::optional<Error> refusal() const;
  Result<PlacedRecords> place(NewBatch& batch, LeaderEffects::Append& append);
  void accept(Slot slot, LeaderEffects& effects);
  void commit_to(Offset offset, LeaderEffects& effects);
  void refuse_all(const Error& error, LeaderEffects& effects);

  Options options_;
  Offset log_start_;
  Offset high_watermark_;
  Offset next_offset_;
  record::ProducerStates producers_;  ///< with what is in flight
  ClaimIndex claims_;                 ///< with what is in flight
  Claims claims_state_;
  std::deque<Slot> waiting_for_claims_;
  std::deque<InFlight> in_flight_;
  std::size_t bytes_in_flight_ = 0;
  std::uint64_t next_token_ = 1;
  std::optional<Error> refused_;  ///< the log refused an append: nothing new until it was asked where it stands
  std::optional<Error> failure_;  ///< an append has an unknown outcome
  std::vector<Parked> parked_;
};

}  // namespace troupe::replication
