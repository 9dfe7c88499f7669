#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "core/record/batch_builder.hpp"
#include "core/replication/leader_replica.hpp"

namespace troupe::replication {

/// What a pipeline wants done.
struct PipelineEffects {
  struct Send {
    std::uint64_t slot = 0;
    std::vector<NewBatch> batches = {};
    ProduceTerms terms = {};  ///< of the strictest and the most patient of its requests
  };
  /// The records of one `add`.
  struct Done {
    std::uint64_t part = 0;
    Result<PlacedRecords> result;  ///< of the first record; the others follow it
  };
  std::vector<Send> sends = {};
  std::vector<Done> done = {};
};

/// One gateway's way to one partition: gathers the requests of a turn into batches, keeps a few slots in flight, and sends again what has
/// an unknown outcome, so that neither a retry nor a failover writes a record twice or out of order. Pure.
///
///   add add add -> flush -> slot 7 --Send--> leader          at most 5 slots, and 5 batches with a sequence number, on their way
///                           slot 8 --Send-->
///   answers in any order; slot 7 unknown or not taken: wait until 8 is answered too, pause, send what is left in order
///
/// Batches without a claim carry this gateway's producer id and a sequence number: the leader knows a retry by them. A batch with a
/// claim holds one request and is known by its claim. A batch that is given up leaves a hole in the sequence: the next ones go out
/// under the next producer epoch, from sequence 0. Source: KIP-98, KIP-360.
class ProducePipeline {
 public:
  struct Options {
    ProducerId producer_id = no_producer_id;
    record::CompressionCodec codec = record::CompressionCodec::none;
    record::TimestampType timestamp_type = record::TimestampType::create_time;
    std::size_t batch_bytes_max = std::size_t{1} << 20;  ///< of the coalesced ones, before compression
    std::size_t slot_bytes_max = std::size_t{4} << 20;
    std::size_t slots_max = 5;
    Millis retry_ms = 50;
  };
  /// Requests share a batch when their deadlines are no further apart: a batch is given up as a whole.
  static constexpr Millis merge_ms = 100;

  explicit ProducePipeline(const Options& options) : options_(options) {}

  /// For batches that are begun from now on.
  void configure(record::CompressionCodec codec, record::TimestampType timestamp_type, std::size_t batch_bytes_max) {
    options_.codec = codec;
    options_.timestamp_type = timestamp_type;
    options_.batch_bytes_max = batch_bytes_max;
  }

  /// Records of one request, one at least, which get offsets in a row. `part` names them in Done. What no leader has taken, or has an
  /// unknown outcome, is given up at `deadline`, or up to `merge_ms` later: leader_not_available (nothing was written), request_timed_out.
  /// What a leader has and does not answer is not given up here. Their bytes are copied. Requests with several `acks` may share a slot:
  /// it is answered as the strictest of them asks.
  void add(std::uint64_t part, std::span<const record::NewRecord> records, const std::optional<Claim>& claim,
           MonotonicMs deadline, Acks acks = Acks::quorum);

  /// The end of a turn: sends what was added, if there is room.
  void flush(MonotonicMs now, PipelineEffects& effects);

  /// The leader's answer to a slot, one result a batch.
  void on_answer(std::uint64_t slot, std::vector<Result<PlacedRecords>> results, MonotonicMs now, PipelineEffects& effects);

  /// The leader is gone: what it has not answered has an unknown outcome.
  void on_leader_gone(MonotonicMs now, PipelineEffects& effects);

  void on_deadline(MonotonicMs now, PipelineEffects& effects);
  std::optional<MonotonicMs> next_deadline() const;

  /// Nothing pending, nothing on its way.
  bool idle() const { return building_.empty() && in_flight_.empty(); }

 private:
  struct Part {
    std::uint64_t part;
    std::int32_t first;  ///< of its records in the batch
  };
  struct Building {
    record::RecordBatchBuilder builder;
    std::vector<Part> parts;
    std::optional<Claim> claim;
    MonotonicMs earliest;
    MonotonicMs deadline;  ///< the latest
    Acks acks;
  };
  struct Sent {
    NewBatch batch;
    std::vector<Part> parts;
    MonotonicMs deadline;
    Acks acks = Acks::quorum;
    bool unknown = false;  ///< it may be in the log
  };
  struct Slot {
    std::uint64_t number;
    std::vector<Sent> batches;  ///< those without a final answer
    bool answered = false;
  };

  void send_pending(PipelineEffects& effects);
  std::optional<Sent> build(Building building, PipelineEffects& effects);
  static void join_terms(ProduceTerms& terms, const Sent& sent);
  static void finish(const std::vector<Part>& parts, const Result<PlacedRecords>& result, PipelineEffects& effects);
  void give_up(const Sent& sent, PipelineEffects& effects);
  void give_up_late(MonotonicMs now, PipelineEffects& effects);
  void settle(MonotonicMs now, PipelineEffects& effects);
  void resend(PipelineEffects& effects);
  void next_epoch();

  Options options_;
  ProducerEpoch epoch_{0};
  SequenceNumber next_sequence_{0};
  std::deque<Building> building_;
  std::deque<Slot> in_flight_;
  std::uint64_t next_slot_ = 1;
  std::optional<MonotonicMs> retry_at_;  ///< something is to be sent again: nothing new until then
  bool hole_ = false;                    ///< a batch with a sequence number was given up
};

}  // namespace troupe::replication
