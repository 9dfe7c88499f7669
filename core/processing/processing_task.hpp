#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/processing/failure_ledger.hpp"
#include "core/processing/fetched_records.hpp"

namespace troupe::processing {

/// One run of a processor on one input partition: what to fetch, when to call the processor, what to send, and which position may be
/// written down. Pure; the shell (actors/processor_host) calls the processor and performs the effects.
///
///   input     ..... c . . . . p . . . . n ............ e        c  committed: written down; a crash goes on from here
///                   |---------| open    |                       p  the first record with an output that is not acknowledged
///                   may be      on their  next, not yet         n  next to be processed
///                   committed   way       processed             e  end of what was fetched
///
/// starting (position, perhaps an offset is looked up) --> running (fetch, process, produce, commit, all at once) --> failed
///
/// Outputs go in rounds: at most `in_flight_max` input records with outputs, sent together; the next round begins when all are
/// acknowledged. At most `uncommitted_max` input records with outputs lie between c and n, so that the broker knows the keys of all that
/// a crash may repeat. What fails and may succeed later is done again after a pause of 100 ms to 5 s; what cannot succeed fails the run.
class ProcessingTask {
 public:
  struct Options {
    std::string topic = {};
    PartitionId partition{0};
    StartAt start = StartAt::earliest;
    bool rebuild = false;
    std::vector<std::string> outputs = {};  ///< names of the topics that may be written
    std::size_t in_flight_max = 32;
    std::size_t uncommitted_max = 64;
    Millis commit_interval_ms = 1'000;       ///< at the latest so often, when there is something to commit
    std::size_t outputs_max = 1'000;         ///< of one input record
    std::size_t output_bytes_max = 1 << 20;  ///< of one input record
    Millis retry_ms_min = 100;
    Millis retry_ms_max = 5'000;
  };

  // --- effects: what the shell is to do

  struct Fetch {
    Offset from{0};
  };
  /// To one topic. Answered by `on_produced`, whatever happens.
  struct Produce {
    std::uint64_t token = 0;
    std::string topic = {};
    Offset input_offset{0};  ///< the sequence of the idempotence key
    std::shared_ptr<const std::vector<OutputRecord>> records = {};
  };
  struct Effects {
    bool find_offsets = false;  ///< where the log starts and ends; answered by `on_offsets`
    std::optional<Fetch> fetch = {};
    std::vector<Produce> sends = {};  ///< in this order
    std::optional<Offset> commit = {};
    std::vector<std::string> notes = {};  ///< for people: a gap in the input
  };

  // --- what the shell tells

  struct LogRange {
    Offset log_start{0};
    Offset high_watermark{0};
    bool end_is_known = true;  ///< else a replica that follows says so
  };
  struct Fetched {
    Bytes batches = {};
    Offset next_offset{0};
  };

  /// Why the run is over. With an offset when it is that record's fault.
  struct Failure {
    std::optional<Offset> offset = {};
    Error error;
  };

  struct Counts {
    std::uint64_t processed = 0;        ///< records given to the processor
    std::uint64_t skipped = 0;          ///< passed over by the ledger
    std::uint64_t sent = 0;             ///< output records acknowledged
    std::uint64_t already_written = 0;  ///< requests of which an earlier run had written something else: that stands
  };

  /// `ledger` outlives the task.
  ProcessingTask(Options options, const FailureLedger& ledger) : options_(std::move(options)), ledger_(ledger) {}

  /// `position`: as it was written down; none: this partition is new to the processor.
  void start(std::optional<Offset> position);
  void on_offsets(const Result<LogRange>& range, MonotonicMs now);
  void on_fetched(Result<Fetched> fetched, MonotonicMs now);
  /// `errors`: of the records that were not written; empty: all are there.
  void on_produced(std::uint64_t token, const std::vector<Error>& errors, MonotonicMs now);
  void on_committed(Offset position, const Status& status, MonotonicMs now);

  /// The record to be processed now, or null when something has to happen first. The same one until `on_processed`.
  const InputRecord* next_record();
  /// The record that `next_record` returned was processed.
  void on_processed(std::vector<OutputRecord> outputs);

  /// What is to be done now; ends the round that was being filled.
  Effects take_effects(MonotonicMs now);
  /// When `take_effects` is to be called although nothing happened.
  std::optional<MonotonicMs> next_deadline() const;

  /// Once set, nothing more comes of this run.
  const std::optional<Failure>& failure() const { return failure_; }
  const Counts& counts() const { return counts_; }
  /// nullopt: not known yet.
  std::optional<Offset> position() const { return started_ ? std::optional{next_} : std::nullopt; }

 private:
  /// A call that may have to be made again.
  struct Pause {
    Millis last_ms = 0;
    std::optional<MonotonicMs> until = {};
  };
  struct OpenRequest {
    Offset input_offset{0};
    std::string topic;
    std::shared_ptr<const std::vector<OutputRecord>> records;
    bool to_send = true;
    Pause pause;
  };

  void fail(std::optional<Offset> offset, Error error);
  void pause(Pause& pause, MonotonicMs now) const;
  Status check(const std::vector<OutputRecord>& outputs) const;
  Offset committable() const;
  bool commit_due(MonotonicMs now) const;

  const Options options_;
  const FailureLedger& ledger_;
  std::optional<Failure> failure_;
  Counts counts_;
  std::vector<std::string> notes_;

  bool started_ = false;
  bool range_wanted_ = false;
  bool range_asked_ = false;
  std::optional<Offset> given_;  ///< the position that the run began with
  Offset live_from_{0};          ///< below, outputs are dropped (rebuild)
  Offset next_{0};

  FetchedRecords fetched_;
  bool fetching_ = false;
  Pause read_pause_;

  bool round_closed_ = false;
  std::map<std::uint64_t, OpenRequest> open_;  ///< by token, and so by input offset
  std::uint64_t next_token_ = 1;
  std::size_t round_records_ = 0;

  Offset committed_ = no_offset;
  std::deque<Offset> uncommitted_;  ///< input records with outputs at and above committed_
  std::optional<Offset> committing_;
  std::optional<MonotonicMs> commit_at_;  ///< the interval's end
  Pause commit_pause_;
};

}  // namespace troupe::processing
