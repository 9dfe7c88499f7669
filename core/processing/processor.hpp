#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"

/// What a user implements to work on a stream: a `Processor`, and a `ProcessorSpec` that says where it reads and writes. Pure: no actor,
/// no socket; a processor is tested by calling it. docs/writing-an-actor.md takes a reader through all of it.
///
/// What is promised. Every record of an input partition is given to the processor of that partition in order, *at least once*: its
/// position is written down only after everything that it put out was acknowledged by a quorum. What it puts out while it handles the
/// record at offset o is sent under the idempotence key (processor, input partition, o), and at most 64 records with outputs lie above
/// the position that is written down: so a repeat after a crash finds its key in the output partition's window (64 keys, 24 hours;
/// design.md section 5) and is *not written twice*, whatever it says this time: the first stands. Effects elsewhere (a mail, another
/// system) happen at least once.
///
/// State, outputs and position in one transaction, and a choice of the node that a partition is processed on, come later; today every
/// node processes the partitions that it leads.
namespace troupe::processing {

/// One header of one record; a name may come more than once.
struct InputHeader {
  std::string_view name;
  std::optional<std::string_view> value;
};

/// One record as a processor sees it. Views that hold for the length of the call.
struct InputRecord {
  std::string_view topic;
  PartitionId partition{0};
  Offset offset{0};
  TimestampMs timestamp = no_timestamp;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;  ///< null: a tombstone
  std::vector<InputHeader> headers;
};

struct OutputHeader {
  std::string name = {};
  std::optional<std::string> value = {};

  friend bool operator==(const OutputHeader&, const OutputHeader&) = default;
};

/// One record to write. Without partition it goes by its key; without key all of one task's records go to one partition.
struct OutputRecord {
  std::string topic = {};  ///< one of `ProcessorSpec::outputs`
  std::optional<std::string> key = {};
  std::optional<std::string> value = {};
  std::vector<OutputHeader> headers = {};
  TimestampMs timestamp = no_timestamp;  ///< none: that of the input record
  std::optional<PartitionId> partition = {};

  friend bool operator==(const OutputRecord&, const OutputRecord&) = default;
};

/// Takes what a processor puts out while it handles one record.
class Output {
 public:
  void send(OutputRecord record) { records_.push_back(std::move(record)); }
  void send(std::string topic, std::string key, std::string value) {
    send({.topic = std::move(topic), .key = std::move(key), .value = std::move(value)});
  }

  const std::vector<OutputRecord>& records() const { return records_; }
  std::vector<OutputRecord> take() { return std::exchange(records_, {}); }

 private:
  std::vector<OutputRecord> records_;
};

/// What one processor object works on: one partition of one topic.
struct Assignment {
  std::string processor;
  std::string topic;
  PartitionId partition{0};
};

/// User code for one input partition. One object a run, called by one thread at a time; another partition has another object. A run that
/// failed is followed by a new object, so what an object remembers is lost with it (but see `ProcessorSpec::rebuild`).
///
/// Any of the functions may throw: the run ends, its error is seen in the actor tree, and after a pause the next run goes on from the last
/// position that was written down. Nothing else notices.
class Processor {
 public:
  virtual ~Processor() = default;

  /// Before the first record of a run.
  virtual void on_start(const Assignment& assignment) { static_cast<void>(assignment); }
  /// Handles one record. Should not take long: it has a thread of the node's for that time (but see `ProcessorSpec::blocking`).
  virtual void process(const InputRecord& record, Output& output) = 0;
};

/// Where a processor begins on a partition that it has no position for.
enum class StartAt : std::uint8_t {
  earliest,  ///< the first record there is
  latest,    ///< what comes from now on
};

/// What becomes of a record that the processor fails on again and again.
enum class OnError : std::uint8_t {
  retry,  ///< it is tried for ever, with pauses of up to 30 s; the partition waits behind it
  skip,   ///< after `attempts_max` it is passed over, logged and counted
};

/// A topic that a processor writes to. Made when it is missing.
struct OutputTopic {
  std::string name = {};
  std::int32_t partitions = 1;
};

/// One processor of a node.
struct ProcessorSpec {
  std::string name = {};  ///< 1 to 100 of [a-zA-Z0-9._-]; positions are kept under it: another name begins anew
  std::vector<std::string> inputs = {};  ///< topics; one that does not exist is waited for
  std::vector<OutputTopic> outputs = {};
  std::function<std::unique_ptr<Processor>(const Assignment&)> make = {};  ///< called once a run; may throw
  StartAt start = StartAt::earliest;

  OnError on_error = OnError::retry;
  int attempts_max = 3;  ///< 1 to 100; with OnError::skip

  /// For processors that keep what they know in memory: every run is given the input from the log's start, and what lies below the
  /// position is only to remember, its outputs are dropped. Costs a reading of the whole input; what retention has deleted is not
  /// remembered.
  bool rebuild = false;

  /// The processor waits for disks, other systems or long computations: its tasks get threads of their own.
  bool blocking = false;

  /// Input records whose outputs are on their way at the same time, 1 to 32. Their order is kept, except that one whose request failed
  /// and is sent again may come behind the others; with 1 it is kept always, and each waits for the one before.
  std::size_t in_flight_max = 32;
};

/// Whether a spec makes sense. Errors: invalid_argument, which names the field.
Status check_spec(const ProcessorSpec& spec);

}  // namespace troupe::processing
