#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/consumer/rest_calls.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::consumer {

/// What a RestInstance wants done, in this order. All but `open` is for the consumer that it has.
struct RestInstanceEffects {
  using Seek = std::pair<TopicIdPartition, SeekTarget>;
  using Positions = std::vector<std::pair<TopicIdPartition, Offset>>;

  Positions consumed = {};
  Positions commit = {};  ///< where it begins: nobody waits for that
  group::PartitionList released = {};
  std::int64_t credit_bytes = 0;
  std::optional<group::MemberProfile> change = {};
  std::vector<Seek> seeks = {};              ///< each is answered by `on_sought`
  bool end = false;                          ///< that consumer leaves: it goes on until it has said ConsumerClosed
  std::optional<ConsumerOptions> open = {};  ///< and this is the next one: its events bear the number `run()`
};

/// A consumer instance of the REST proxy: one that reads as a member of its group, or partitions of its choice, and keeps what came until
/// somebody reads it. Pure.
///
///   nothing --subscribe--> subscribed --unsubscribe--> nothing        subscribed <--never--> assigned
///   nothing --assign-----> assigned ----unsubscribe--> nothing
///
///   a partition:    shown            position                        next
///                   |--- answered ---|--- buffered, window_bytes ----|
///                   ^ consumed, or committed by hand                 ^ the consumer goes on here
///
/// - The position moves past what was shown, and no further: a record that cannot be shown stays the next one, other partitions go on.
/// - What was shown counts as consumed with the read after it: nothing is committed by itself that a client may not have seen. When the
///   node that should have passed it on is gone (`answer_lost`), the next read goes back to it, unless a commit has come in between.
/// - A partition that is to go is let go of at once when all that was shown of it is consumed or committed; else with the next read,
///   or after `release_ms_max`.
/// - One that was begun on another node (`taken_over`) does not know what its client has read: "commit all that was read" is refused until
///   something has been read here.
/// - A member of an instance's name leaves before the next one joins: a static one, so that who takes it over has at once what it had.
/// Source: rest-api.md B1.3 and B5; KIP-345; docs/decisions/0027.
class RestInstance {
 public:
  using Effects = RestInstanceEffects;
  using Positions = Effects::Positions;
  using Named = std::pair<std::string, PartitionId>;

  static constexpr std::int64_t window_bytes = std::int64_t{1} << 20;
  static constexpr Millis release_ms_max = 10'000;

  explicit RestInstance(RestOptions options) : options_(std::move(options)) {}

  const RestOptions& options() const { return options_; }
  RestDefinition definition() const { return {options_, reading_}; }

  // What it reads.

  /// As it was on another node. Errors: as `subscribe`.
  Status take_over(const RestReading& reading, Effects& effects);
  /// Errors: conflict (partitions are assigned), those of group::check_profile.
  Status subscribe(std::vector<std::string> topics, std::string pattern, Effects& effects);
  void unsubscribe(Effects& effects);
  /// No partition: as `unsubscribe`. Errors: conflict (topics are subscribed to).
  Status assign(const std::vector<NamedPartition>& partitions, Effects& effects);
  /// The topics by name, and those of which it has partitions; sorted.
  std::vector<std::string> subscription() const;
  /// Sorted.
  std::vector<Named> assignment() const;
  /// Over for good: what was shown is consumed, and what is told to go is let go of.
  void close(Effects& effects);
  /// Some consumer of it has not left yet.
  bool leaving() const { return leaving_run_.has_value(); }

  /// Number of the consumer that it has now: what another one says is dropped.
  std::uint64_t run() const { return run_; }
  void on_event(std::uint64_t run, ConsumerEvent event, Effects& effects);
  /// Why it reads nothing more.
  const std::optional<Error>& failure() const { return failed_; }

  // Reads.

  /// How a record fared with who shows it.
  enum class Shown : std::uint8_t {
    yes,
    full,           ///< there is no room for it: it comes with the next read
    not_in_format,  ///< it cannot be shown
    too_large,      ///< it can never be shown
  };
  using Show = std::function<Shown(const std::string& topic, PartitionId partition, const record::RecordView& record)>;

  void begin_read(Effects& effects);
  /// Whether a read is to be answered before its time is over.
  bool has_enough() const;
  /// Shows records until one does not fit; answers how many. Errors, when there is nothing else: invalid_record (the next record is not in
  /// the instance's format: seek past it), message_too_large (as well), corrupt_message, and what the consumer failed of.
  Result<std::size_t> show_records(const Show& show, Effects& effects);
  /// Nobody knows whether the client got the last answer.
  void answer_lost();

  // Positions.

  /// What a commit of all that was shown stores; `given` if there is one. Errors: conflict (it reads nothing, or does not know what was
  /// read), and what the consumer failed of.
  Result<Positions> to_commit(std::optional<Positions> given);
  void on_committed(const std::vector<CommittedPosition>& positions, Effects& effects);
  /// All of them, or none. Where it has no place yet in a partition, it goes as soon as it has one.
  /// Errors: conflict (not its own, or it reads nothing), and what the consumer failed of.
  Status seek(const std::vector<Effects::Seek>& targets, Effects& effects);
  void on_sought(std::uint64_t run, const TopicIdPartition& partition, const Result<Offset>& answer, Effects& effects);
  /// Nothing is on its way to where a seek goes.
  bool settled() const;

 private:
  enum class Mode : std::uint8_t { nothing, subscribed, assigned };
  struct Part {
    std::string topic = {};
    bool placed = false;                    ///< the consumer has said where it begins
    bool leaving = false;                   ///< to be released
    Offset position{0};                     ///< behind what was shown
    std::optional<Offset> shown = {};       ///< up to here, and neither consumed nor committed
    std::optional<Offset> shown_from = {};  ///< of the last answer
    std::optional<SeekTarget> target = {};  ///< on the way there: what comes is from before
  };
  using Parts = std::map<TopicIdPartition, Part>;

  void open(ConsumerOptions options, Effects& effects);
  void end(Effects& effects);
  void go_to(const TopicIdPartition& id, Part& part, const SeekTarget& target, Effects& effects);
  void consume_shown(Effects& effects);
  void go_back(Effects& effects);
  void release_settled(Effects& effects);
  void drop_records(const TopicIdPartition& id, Effects& effects);
  void forget(const group::PartitionList& partitions, Effects& effects);

  void take(ConsumerAssigned event, Effects& effects);
  void take(ConsumerRevoking event, Effects& effects);
  void take(ConsumerRevoked event, Effects& effects) { forget(event.partitions, effects); }
  void take(ConsumerLost event, Effects& effects) { forget(event.partitions, effects); }
  void take(ConsumerRecords event, Effects& effects);
  void take(ConsumerReset event, Effects& effects);
  void take(ConsumerPaused event, Effects&) { paused_ = event.paused; }
  void take(ConsumerFailed event, Effects& effects);
  void take(ConsumerClosed event, Effects& effects);

  /// Whether all of it was shown. Errors: as `show_records`.
  Result<bool> show_some(const ConsumerRecords& records, const Show& show, std::size_t& count);

  const RestOptions options_;
  Mode mode_ = Mode::nothing;
  RestReading reading_;
  std::uint64_t run_ = 0;
  bool closed_ = false;                       ///< that consumer has left by itself
  std::optional<std::uint64_t> leaving_run_;  ///< an earlier consumer that has not left yet
  std::optional<ConsumerOptions> next_;       ///< waits for that
  bool blind_ = false;                        ///< taken over, and nothing read since
  bool unsure_ = false;                       ///< the last answer may have been lost
  Parts parts_;
  std::deque<ConsumerRecords> buffered_;
  std::int64_t buffered_bytes_ = 0;
  bool paused_ = false;  ///< the group: a poll waits, also with records that have come
  std::optional<Error> failed_;
};

}  // namespace troupe::consumer
