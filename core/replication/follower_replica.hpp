#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/leader_epoch_cache.hpp"
#include "core/replication/replica_fetch.hpp"

namespace troupe::replication {

/// What a follower wants done to its log. At most one of the three, and never while another one is under way; completions carry `token` and
/// the incarnation that asked.
struct FollowerEffects {
  /// Whole batches, with offsets and epochs, for the end of the log.
  struct Append {
    std::uint64_t token = 0;
    Bytes batches = {};
    Offset base_offset{0};
    Offset next_offset{0};
  };
  /// Remove all at and above `offset`, durably.
  struct Truncate {
    std::uint64_t token = 0;
    Offset offset{0};
  };
  /// Empty the log and begin again at `offset`, durably.
  struct Restart {
    std::uint64_t token = 0;
    Offset offset{0};
  };

  std::optional<Append> append = {};
  std::optional<Truncate> truncate = {};
  std::optional<Restart> restart = {};
  std::optional<Offset> log_start = {};  ///< the log begins here, before anything else is done: nothing below may be read
  std::optional<Offset> high_watermark = {};  ///< it moved: what lies below may be read here
  bool moved = false;                         ///< `position` has changed: tell the fetch session
  /// Worth a line in the log: what was dropped and why. `records_lost` with `restart` or `truncate` means that committed records go.
  std::optional<Error> warning = {};
  bool records_lost = false;
};

/// The rules of one replica that follows: what it asks its leader for, what it appends, what it cuts away. Pure.
///
///            follow(epoch)                 records               on_appended
///   [idle] ---------------> [fetching] ---------------> [appending] ----.
///                            ^  |  ^  `-- diverging --> [truncating] ---|
///                            |  |  `-- out of range --> [restarting] ---|
///          retry, new epoch  |  v                                       |
///                       [waiting]    (fenced, or the leader refused)    |
///                            `------------------------------------------'
///
/// Where its log parts from the leader's it is cut by epochs, never by the watermark:
///
///   leader    [0..9 e1] [10..29 e3]                     position: fetch 40, last epoch 2
///   follower  [0..9 e1] [10..39 e2]                     answer:   diverging, epoch 1 ends at 10
///   the follower's epoch 1 ends at 10, too              truncate to 10, fetch 10 with last epoch 1
///
/// An answer counts only for the epoch that is followed and the position that is asked from: those of a deposed leader, and late or
/// repeated ones, change nothing. The high watermark is the leader's, as far as this log reaches; it never retreats, not
/// with a new leader that knows less either, unless committed records are lost (an unclean election), which is said.
///
/// A storage completion with an unknown outcome ends the machine (`failed`): its successor has another incarnation and starts from the
/// log as recovered. Source: KIP-101, 279, 320, 595; invariants R2, R3, R4, R10.
class FollowerReplica {
 public:
  struct Options {
    std::uint64_t incarnation = 0;  ///< of this machine; completions for another one are dropped
    Millis retry_ms = 100;          ///< after an answer that cannot be used, or an append that was refused
  };
  /// The log as it is opened, or as a leader leaves it.
  struct Log {
    Offset log_start{0};
    Offset log_end{0};
    Offset durable_end{0};
    Offset high_watermark{0};  ///< as stored: a lower bound
    record::LeaderEpochCache epochs = {};
  };

  FollowerReplica(const Options& options, Log log);

  /// Follows the leader of `epoch` from now on. An epoch that is not newer than the one followed, or older than the log's last batch,
  /// changes nothing: it comes from metadata that this replica is ahead of.
  void follow(LeaderEpoch epoch, FollowerEffects& effects);
  /// Follows nobody: the partition has no leader, or this replica is to lead.
  void stop(FollowerEffects& effects);

  /// Where it stands, for its leader; nullopt while it has nothing to ask (see the diagram).
  std::optional<FetchPosition> position() const;

  /// The leader's answer.
  void on_answer(const ReplicaAnswer& answer, MonotonicMs now, FollowerEffects& effects);

  /// The append, truncation or restart with this token is done: in the log (perhaps not synced, see `on_durable`). An error with
  /// `storage_full` means that nothing was changed, any other that nobody knows.
  void on_stored(std::uint64_t incarnation, std::uint64_t token, const Status& status, MonotonicMs now,
                 FollowerEffects& effects);
  /// All below is on stable storage.
  void on_durable(std::uint64_t incarnation, Offset durable_end, FollowerEffects& effects);

  void on_deadline(MonotonicMs now, FollowerEffects& effects);
  std::optional<MonotonicMs> next_deadline() const { return retry_at_; }

  LeaderEpoch epoch() const { return epoch_; }
  Offset log_start() const { return log_.log_start; }
  Offset log_end() const { return log_.log_end; }
  Offset high_watermark() const { return log_.high_watermark; }
  bool failed() const { return failed_; }
  /// Whether a consumer may have records from `from` on out of this log: what lies below the watermark is committed, whoever leads, and
  /// however far behind this replica is. Errors: offset_out_of_range (below the log start), leader_not_available (at or above the
  /// watermark: the leader may know more).
  Status check_read(Offset from) const;
  /// Nothing is being stored: the log is as `log` says, and a leader can begin with it.
  bool settled() const { return !storing_; }
  const Log& log() const { return log_; }

 private:
  enum class Kind : std::uint8_t { append, truncate, restart };
  struct Storing {
    std::uint64_t token = 0;
    Kind kind = Kind::append;
    Offset next_offset{0};                                     ///< the log end when it is done
    std::vector<record::LeaderEpochCache::Entry> epochs = {};  ///< of the batches
    Bytes then_append = {};                                    ///< after a restart
  };

  void take_watermark(const ReplicaAnswer& answer, FollowerEffects& effects);
  void raise_watermark(FollowerEffects& effects);
  void move_log_start(Offset log_start, FollowerEffects& effects);
  void append(const Bytes& records, Offset from, MonotonicMs now, FollowerEffects& effects);
  bool begins_inside(const Bytes& records, FollowerEffects& effects);
  void cut(const ReplicaAnswer& answer, const DivergingEpoch& diverging, MonotonicMs now, FollowerEffects& effects);
  void start_over(const ReplicaAnswer& answer, FollowerEffects& effects);
  void refused(const ReplicaAnswer& answer, MonotonicMs now, FollowerEffects& effects);
  void wait(MonotonicMs now, FollowerEffects& effects);
  LeaderEpoch last_epoch() const;

  Options options_;
  Log log_;
  LeaderEpoch epoch_ = no_leader_epoch;
  bool following_ = false;
  bool fenced_ = false;  ///< the epoch is over: nothing to ask until there is a newer one
  bool failed_ = false;
  Offset leader_high_watermark_{0};  ///< as the leader of `epoch_` said
  std::optional<Storing> storing_;
  std::uint64_t next_token_ = 1;
  std::optional<MonotonicMs> retry_at_;
};

}  // namespace troupe::replication
