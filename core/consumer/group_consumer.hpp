#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/group/group_requests.hpp"
#include "core/metadata/metadata_image.hpp"

namespace troupe::consumer {

/// What a GroupConsumer wants done. Requests go to the group's coordinator; at most one of each kind is under way.
struct GroupConsumerEffects {
  /// Read from here on: a new partition, or one whose position was reset.
  struct Assigned {
    TopicIdPartition partition = {};
    std::optional<Offset> from = {};  ///< nullopt: the group has no position there; begin as the consumer's settings say
    LeaderEpoch leader_epoch = no_leader_epoch;  ///< of the record before; when the log has another there, records were lost
  };

  std::optional<group::HeartbeatRequest> heartbeat = {};
  std::optional<group::CommitRequest> commit = {};
  std::optional<group::OffsetsRequest> fetch_offsets = {};

  std::vector<Assigned> assigned = {};
  group::PartitionList revoking = {};  ///< finish with these, then say `released`
  group::PartitionList lost = {};      ///< they may be another's already: stop
  std::optional<Error> failed = {};    ///< it is no member, and will not be
  std::optional<bool> paused = {};     ///< the group is paused, or goes on
  bool closed = false;                 ///< it has left
};

/// A member's side of a group: it joins, heartbeats, takes partitions on and gives them up, and commits how far it came. Pure.
///
///             start                    answer                        close
///   [idle] ----------> [joining] ---------------> [member] --------------------------> [leaving] --> [closed]
///                       ^   ^ `-- not for us --> [failed]   |
///                       |   `-------------------------------' fenced, unknown, or silent for a session: all is lost
///                       `-- the coordinator moves, loads, does not answer: again after `retry_ms`
///
/// A partition's way through it:
///
///   (assigned) --> locating --> reading <--> locating (reset from outside)
///                     |           | not in the assignment any more
///                     |           v                 released, and committed
///                     `------> revoking ---------------------------------------> (gone: the coordinator hears of it at once)
///
/// Each request is answered once: by the coordinator, or by an error of whoever carries it (request_timed_out); requests of one member
/// arrive in their order, if they do. After a lost answer the next request says all that is owned, which the coordinator takes for a
/// repetition. What is being given up is committed first, with `auto_commit`, and owned until then. Source: KIP-848.
class GroupConsumer {
 public:
  struct Options {
    std::string group = {};
    std::string member = {};  ///< of this run
    group::MemberProfile profile = {};
    bool auto_commit = true;  ///< what was `consumed`, every so often, when partitions go, and at the end
    Millis auto_commit_interval_ms = 5'000;
    Millis retry_ms = 100;
    bool comes_back = false;  ///< a static member that will be back: what it has waits for it when it closes
    /// Reads these, and is no member: it neither joins nor heartbeats, and commits without a name.
    group::PartitionList partitions = {};
  };

  GroupConsumer(Options options, metadata::ImagePtr image);

  void start(MonotonicMs now, GroupConsumerEffects& effects);
  /// Gives everything up: `revoking`, then `closed`. At once when it was no member.
  void close(MonotonicMs now, GroupConsumerEffects& effects);
  /// The topics are these now.
  void update(metadata::ImagePtr image) { image_ = std::move(image); }
  /// Another subscription.
  void change(group::MemberProfile profile, MonotonicMs now, GroupConsumerEffects& effects);

  void on_heartbeat(const Result<group::HeartbeatAnswer>& answer, MonotonicMs now, GroupConsumerEffects& effects);
  void on_commit(const Result<std::vector<Status>>& answer, MonotonicMs now, GroupConsumerEffects& effects);
  void on_offsets(const Result<std::vector<group::Position>>& answer, MonotonicMs now, GroupConsumerEffects& effects);
  /// The coordinator says that there is news.
  void nudge(MonotonicMs now, GroupConsumerEffects& effects);

  /// All records below `next` have been worked on. Without effect for a partition that is not its own (any more).
  void consumed(const TopicIdPartition& partition, Offset next, LeaderEpoch leader_epoch);
  /// Commits what was consumed, now.
  void commit(MonotonicMs now, GroupConsumerEffects& effects);
  /// It has let go of partitions that are `revoking`.
  void released(const group::PartitionList& partitions, MonotonicMs now, GroupConsumerEffects& effects);

  void on_deadline(MonotonicMs now, GroupConsumerEffects& effects);
  std::optional<MonotonicMs> next_deadline() const;

  enum class Phase : std::uint8_t { idle, joining, member, leaving, closed, failed };
  Phase phase() const { return phase_; }
  group::GroupEpoch epoch() const { return epoch_; }
  /// What it may read now.
  group::PartitionList reading() const;
  /// What it has not let go of.
  group::PartitionList owned() const;
  bool owns(const TopicIdPartition& partition) const { return partitions_.contains(partition); }
  /// The position that is stored, as far as it knows; nullopt: none, or not its own partition.
  std::optional<Offset> committed(const TopicIdPartition& partition) const;
  /// How far each of its partitions was consumed, as far as it was said.
  std::vector<std::pair<TopicIdPartition, Offset>> consumed_positions() const;
  /// What the commit under way would store.
  const std::vector<std::pair<TopicIdPartition, Offset>>& in_commit() const { return in_commit_; }
  /// What was consumed is not what is stored, yet.
  bool dirty(const TopicIdPartition& partition) const;
  /// Everything that was consumed is committed.
  bool settled() const;

 private:
  enum class State : std::uint8_t { locating, reading, revoking };
  struct Partition {
    State state = State::locating;
    std::int32_t reset_epoch = 0;
    bool asked = false;                   ///< while `locating`: the request under way is about it
    bool told = false;                    ///< its reader knows of it
    bool reset = false;                   ///< from outside, and its reader does not know the new position yet
    bool released = false;                ///< while `revoking`: only its commit is missing
    std::optional<Offset> consumed = {};  ///< nullopt: nothing yet
    std::optional<Offset> committed = {};
    LeaderEpoch leader_epoch = no_leader_epoch;

    bool dirty() const { return consumed && consumed != committed; }
  };
  /// One kind of request.
  struct Request {
    bool under_way = false;
    bool outdated = false;                ///< its answer means nothing any more
    std::optional<MonotonicMs> due = {};  ///< the next one, when none is under way
  };

  using Partitions = std::map<TopicIdPartition, Partition>;

  void beat(MonotonicMs now, GroupConsumerEffects& effects);
  void beat_soon(MonotonicMs now, GroupConsumerEffects& effects);
  /// Whether its answer counts; it is not under way any more.
  static bool answered(Request& request);
  void refused(const Error& error, MonotonicMs now, GroupConsumerEffects& effects);
  void take(const std::vector<group::AssignedPartition>& assignment, MonotonicMs now, GroupConsumerEffects& effects);
  /// The partition behind it.
  Partitions::iterator give_up(Partitions::iterator partition, GroupConsumerEffects& effects);
  void locate(MonotonicMs now, GroupConsumerEffects& effects);
  void lose_all(MonotonicMs now, GroupConsumerEffects& effects);
  void let_go(MonotonicMs now, GroupConsumerEffects& effects);
  void end(GroupConsumerEffects& effects);
  bool any_dirty() const;
  bool alone() const { return !options_.partitions.empty(); }
  /// As whom it commits and asks for positions.
  group::Committer committer() const { return alone() ? group::Committer{} : group::Committer{options_.member, epoch_}; }

  Options options_;
  metadata::ImagePtr image_;
  Phase phase_ = Phase::idle;
  group::GroupEpoch epoch_ = group::joining;
  Partitions partitions_;

  Request beat_;
  Request committing_;
  Request locating_;
  std::vector<std::pair<TopicIdPartition, Offset>> in_commit_;
  bool wants_commit_ = false;  ///< of what was consumed since the one under way
  bool wants_beat_ = false;    ///< there is something to say, once the one under way is answered
  bool says_owned_ = true;     ///< the next one has to
  bool says_profile_ = true;
  bool paused_ = false;  ///< the group, as it was told last
  Millis interval_ms_ = 0;
  MonotonicMs beat_at_{0};   ///< when the one under way was sent
  MonotonicMs heard_at_{0};  ///< when the last one that was answered was sent
  std::optional<MonotonicMs> leave_until_ = {};
  MonotonicMs auto_commit_at_{0};
};

}  // namespace troupe::consumer
