#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/broker_api.hpp"
#include "core/consumer/group_consumer.hpp"
#include "core/consumer_api.hpp"

namespace troupe::consumer {

/// What a GroupReader wants done. Every request is answered once, by the answer or by an error of whoever carries it.
struct GroupReaderEffects {
  struct Fetch {
    std::uint64_t token = 0;
    FetchRequest request = {};
  };
  struct Find {
    std::uint64_t token = 0;
    TopicIdPartition partition = {};
    OffsetSpec spec = {};
  };
  struct Committed {
    std::uint64_t request = 0;
    std::vector<CommittedPosition> positions = {};
  };
  struct Sought {
    std::uint64_t request = 0;
    Result<Offset> position = Offset{0};
  };

  std::optional<group::HeartbeatRequest> heartbeat = {};
  std::optional<group::CommitRequest> commit = {};
  std::optional<group::OffsetsRequest> fetch_offsets = {};

  std::vector<Fetch> fetches = {};
  std::vector<Find> finds = {};
  std::vector<std::uint64_t> unwanted = {};  ///< fetches whose answer is not wanted any more
  std::vector<ConsumerEvent> events = {};    ///< in this order
  std::vector<Committed> committed = {};     ///< after the events
  std::vector<Sought> sought = {};
};

/// A member of a group that reads what it owns: a GroupConsumer, and for each of its partitions a lane. Pure.
///
///   lane:  (assigned) --no position--> finding --> ready --fetch--> fetching --> held --credit--> ready
///                                        ^                            |            (delivered, batch by batch)
///                                        `----- out of range, seek ---'
///          any of these --revoking--> leaving --released or time is up, committed--> (gone)
///
/// A lane has one request under way or one answer held, never both: memory is bounded by the credit and one answer a lane. Lanes take turns
/// with what the credit allows. A position that the log does not have is reported with where it goes on (`ConsumerReset`), never passed
/// over in silence. Source: docs/decisions/0026.
class GroupReader {
 public:
  using Effects = GroupReaderEffects;

  /// `member`: of this run.
  GroupReader(ConsumerOptions options, std::string member, metadata::ImagePtr image);

  void start(MonotonicMs now, Effects& effects);
  /// The topics are these now.
  void update(metadata::ImagePtr image);

  // From the group's coordinator.
  void on_heartbeat(const Result<group::HeartbeatAnswer>& answer, MonotonicMs now, Effects& effects);
  void on_commit(const Result<std::vector<Status>>& answer, MonotonicMs now, Effects& effects);
  void on_offsets(const Result<std::vector<group::Position>>& answer, MonotonicMs now, Effects& effects);
  void nudge(MonotonicMs now, Effects& effects);

  // From the logs.
  void on_fetched(std::uint64_t token, Result<FetchResponse> answer, MonotonicMs now, Effects& effects);
  void on_found(std::uint64_t token, const Result<OffsetAnswer>& answer, MonotonicMs now, Effects& effects);

  // From the listener: as Consumer has them. `request` names the answer.
  void credit(ConsumerCredit more, MonotonicMs now, Effects& effects);
  /// Without effect when that was not delivered since the partition was moved to another position: the listener has not heard of it yet.
  void consumed(const TopicIdPartition& partition, Offset next);
  void commit(std::uint64_t request, const std::vector<std::pair<TopicIdPartition, Offset>>& positions, MonotonicMs now,
              Effects& effects);
  void released(const group::PartitionList& partitions, MonotonicMs now, Effects& effects);
  void pause(const group::PartitionList& partitions);
  void resume(const group::PartitionList& partitions, MonotonicMs now, Effects& effects);
  void seek(std::uint64_t request, const TopicIdPartition& partition, SeekTarget target, MonotonicMs now, Effects& effects);
  void change(group::MemberProfile profile, MonotonicMs now, Effects& effects);
  void close(MonotonicMs now, Effects& effects);
  /// As `close`; nobody listens any more, and nothing has to be waited for.
  void abandon(MonotonicMs now, Effects& effects);

  void on_deadline(MonotonicMs now, Effects& effects);
  std::optional<MonotonicMs> next_deadline() const;

  bool closed() const { return closed_; }
  const GroupConsumer& member() const { return group_; }
  /// Answers that are held until there is credit.
  std::size_t held() const { return held_.size(); }

 private:
  enum class State : std::uint8_t { finding, ready, fetching, held, waiting, leaving };
  /// What a find is for.
  enum class Purpose : std::uint8_t { begin, range, seek };
  struct Lane {
    std::string topic = {};
    State state = State::ready;
    State then = State::ready;  ///< after `waiting`: to fetch or to find again
    Purpose purpose = Purpose::begin;
    SeekTarget target = {};
    std::uint64_t sought_by = 0;  ///< the request that a seek answers
    std::uint64_t token = 0;      ///< of what is under way
    bool told = false;            ///< the listener knows of it
    bool paused = false;
    Offset position{0};
    Offset since{0};                             ///< it has delivered [since, position) since it began, or was moved
    LeaderEpoch leader_epoch = no_leader_epoch;  ///< of the record before
    LeaderEpoch newest_epoch = no_leader_epoch;  ///< of all that it was told of: who leads has that one at least
    Bytes batches = {};                          ///< while `held`
    Offset next{0};                              ///< behind them
    Offset end{0};                               ///< of what could be read, as of the last answer
    MonotonicMs asked_at{0};
    MonotonicMs retry_at{0};
    Millis pause_ms = 0;
    MonotonicMs leave_by{0};  ///< while `leaving`
    bool released = false;
    bool in_time = true;
  };
  using Lanes = std::map<TopicIdPartition, Lane>;
  /// A commit that somebody waits for.
  struct Waiting {
    struct Wanted {
      Offset next{0};
      bool owned = false;
      std::optional<Result<Offset>> outcome = {};
    };
    std::uint64_t request = 0;
    std::uint64_t since = 0;  ///< number of the first commit that was sent after it was asked for
    std::map<TopicIdPartition, Wanted> positions = {};
    MonotonicMs until{0};
  };

  /// Lets the member do something, and does what comes of it, to the end.
  template <class Call>
  void with_group(Call call, MonotonicMs now, Effects& effects);
  void absorb(GroupConsumerEffects& from, group::PartitionList& to_release, MonotonicMs now, Effects& effects);
  /// For the coordinator's assignor.
  std::vector<std::pair<TopicIdPartition, std::int64_t>> records_waiting() const;
  void begin(const GroupConsumerEffects::Assigned& assigned, Effects& effects);
  void leave(const group::PartitionList& partitions, group::PartitionList& to_release, MonotonicMs now, Effects& effects);
  void look_for_gone(Effects& effects);
  /// What every input ends with.
  void settle(MonotonicMs now, Effects& effects);

  void stop_reading(const TopicIdPartition& id, Lane& lane, Effects& effects);
  void find(const TopicIdPartition& id, Lane& lane, Purpose purpose, Effects& effects);
  void found_range(const TopicIdPartition& id, Lane& lane, const OffsetAnswer& range, MonotonicMs now, Effects& effects);
  void move(const TopicIdPartition& id, Lane& lane, Offset to, ConsumerReset::Reason reason, Effects& effects);
  void tell_assigned(const TopicIdPartition& id, Lane& lane, bool chosen, Effects& effects);
  void try_later(Lane& lane, State then, MonotonicMs now);
  void fail(Error error, Effects& effects);
  /// Nothing to begin with, and it is not to choose: it leaves.
  void give_up(std::string what, MonotonicMs now, Effects& effects);
  void fetch_more(MonotonicMs now, Effects& effects);
  void deliver(MonotonicMs now, Effects& effects);
  Status deliver_some(const TopicIdPartition& id, Lane& lane, Effects& effects);
  void answer_commits(MonotonicMs now, Effects& effects);
  /// nullopt: not known yet.
  std::optional<Result<Offset>> outcome(const TopicIdPartition& id, const Waiting::Wanted& wanted) const;
  void answer_seek(Lane& lane, Result<Offset> answer, Effects& effects);
  void drop_seek(Lane& lane, Effects& effects);
  bool has_credit() const { return credit_.records > 0 && credit_.bytes > 0; }
  Lane* by_token(std::uint64_t token, TopicIdPartition& id);

  const ConsumerOptions options_;
  metadata::ImagePtr image_;
  GroupConsumer group_;
  ConsumerCredit credit_;
  std::string assignor_;  ///< that it votes for
  Lanes lanes_;
  std::map<std::uint64_t, TopicIdPartition> tokens_;
  std::deque<TopicIdPartition> held_;  ///< whose turn it is
  std::vector<Waiting> commits_;
  std::uint64_t commits_sent_ = 0;
  std::map<std::uint64_t, MonotonicMs> seeks_;  ///< open ones, and until when
  std::uint64_t next_token_ = 1;
  bool group_paused_ = false;
  bool abandoned_ = false;
  bool failed_ = false;
  bool closed_ = false;
};

}  // namespace troupe::consumer
