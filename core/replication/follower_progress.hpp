#pragma once

#include <optional>

#include "core/replication/partition_state.hpp"
#include "core/replication/replica_fetch.hpp"

namespace troupe::replication {

/// What a leader knows of one follower, in this epoch: nothing until it has fetched with this epoch (R6).
///
/// A follower is in time when it holds what the leader held `replica.lag.time.max` ago at the latest:
///
///   leader's end   100 . . . . 130 . . . . 160        mark: (100, t0): where the end was at t0
///   follower          ^ at t1 it holds 100: caught up as of t0; the mark moves to (130, t1)
///
/// so that one which is always a little behind a busy leader stays in the ISR, and one that stands still does not.
class FollowerProgress {
 public:
  explicit FollowerProgress(BrokerId broker) : broker_(broker) {}

  BrokerId broker() const { return broker_; }
  BrokerEpoch broker_epoch() const { return broker_epoch_; }
  /// It has fetched with this epoch, and its log is a prefix of the leader's.
  bool following() const { return following_; }
  const FetchPosition& position() const { return position_; }

  /// All below is held in the way that counts; 0 while it does not follow.
  Offset counted(Flush flush) const {
    if (!following_) return Offset{0};
    return flush == Flush::fsync ? position_.durable_offset : position_.fetch_offset;
  }

  /// Takes over a position that fits the leader's log.
  void follow(const ReplicaFetch& fetch) {
    // Of another position than the one that was served nothing has arrived, for the follower drops what answers another.
    const bool same = position_.fetch_offset == fetch.position.fetch_offset &&
                      position_.last_fetched_epoch == fetch.position.last_fetched_epoch;
    const bool served = following_ && !owed_ && !fetch.again && same;
    broker_epoch_ = fetch.broker_epoch;
    position_ = fetch.position;
    following_ = true;
    announced_ = false;
    diverging_.reset();
    owed_ = !served;
    told_high_watermark_ = fetch.position.high_watermark;
    told_log_start_ = fetch.position.log_start;
  }
  /// The position does not fit: it is told so, and does not count.
  void diverge(const ReplicaFetch& fetch, const DivergingEpoch& diverging) {
    broker_epoch_ = fetch.broker_epoch;
    position_ = fetch.position;
    following_ = false;
    announced_ = true;
    diverging_ = diverging;
    owed_ = true;
  }
  /// A run of it has ended, or it asks with nothing that can be answered.
  void forget(BrokerEpoch broker_epoch) {
    const auto unlinked_since = unlinked_since_;
    *this = FollowerProgress{broker_};
    broker_epoch_ = broker_epoch;
    unlinked_since_ = unlinked_since;
  }

  /// The records at its position have not been given to it.
  bool records_owed() const { return owed_ && !diverging_; }
  const std::optional<DivergingEpoch>& diverging() const { return diverging_; }
  /// Whether its last fetch can be answered with something now. Records are given once for each position it states.
  bool has_news(Offset log_end, Offset high_watermark, Offset log_start) const {
    if (diverging_) return owed_;
    if (!following_) return false;
    return (owed_ && position_.fetch_offset < log_end) || told_high_watermark_ < high_watermark ||
           told_log_start_ < log_start;
  }
  /// There is news, and nobody has been told yet that there is.
  bool announce(Offset log_end, Offset high_watermark, Offset log_start) {
    if (announced_ || !has_news(log_end, high_watermark, log_start)) return false;
    announced_ = true;
    return true;
  }
  /// It is told this, and given what the log holds behind its position.
  void told(Offset log_end, Offset high_watermark, Offset log_start) {
    announced_ = false;
    if (diverging_ || position_.fetch_offset < log_end) owed_ = false;
    told_high_watermark_ = high_watermark;
    told_log_start_ = log_start;
  }

  /// The leader's end moved; until now the follower held everything. When that was is seen at the next look.
  void leader_moved_from(Offset leader_end, Flush flush) {
    if (counted(flush) >= leader_end) was_level_ = true;
  }
  /// Looks how it is doing against `leader_end`, which is counted in the same way.
  void look(Offset leader_end, Flush flush, MonotonicMs now) {
    const auto held = counted(flush);
    if (!caught_up_at_ || was_level_ || held >= leader_end) {
      caught_up_at_ = now;
      mark_ = {leader_end, now};
      was_level_ = false;
    } else if (held >= mark_.end) {
      caught_up_at_ = mark_.at;
      mark_ = {leader_end, now};
    }
  }
  /// Since when the link to it is down; nullopt: it is up, or nobody has said.
  const std::optional<MonotonicMs>& unlinked_since() const { return unlinked_since_; }
  void set_link(bool up, MonotonicMs now) {
    if (up) {
      unlinked_since_.reset();
    } else if (!unlinked_since_) {
      unlinked_since_ = now;
    }
  }

  /// When it was last seen to hold all; nullopt before the first look.
  std::optional<MonotonicMs> caught_up_at() const { return caught_up_at_; }
  bool unseen_since_level() const { return was_level_; }

 private:
  struct Mark {
    Offset end{0};
    MonotonicMs at{0};
  };

  BrokerId broker_;
  BrokerEpoch broker_epoch_ = no_broker_epoch;
  bool following_ = false;
  bool owed_ = false;  ///< its position has not been answered with records
  bool announced_ = false;
  FetchPosition position_;
  std::optional<DivergingEpoch> diverging_;
  Offset told_high_watermark_{0};
  Offset told_log_start_{0};
  std::optional<MonotonicMs> caught_up_at_;
  Mark mark_;
  bool was_level_ = false;
  std::optional<MonotonicMs> unlinked_since_;
};

}  // namespace troupe::replication
