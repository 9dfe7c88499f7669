#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "core/replication/partition_state.hpp"

namespace troupe::replication {

/// A replica of this node whose log cannot be used any more, and how it heals: others take over, the log is set aside, and a fresh one is
/// copied from whoever leads. Pure; docs/decisions/0020.
///
///   asking --- GiveUpReplicas accepted: the image has a newer epoch, led by another, without us ---> out --- set aside ---> healed
///     `--- refused: nobody else could lead without losing records:
///            offline   recover the data directory: what the disk gives back is all there is
///            damaged   the partition waits, and asks again
///            rot       it goes on as it was
///
/// A log is touched only when a committed image says that nothing depends on it: not in the ISR, not eligible, another leader, and a leader
/// epoch in which nobody has heard a position of it.
class ReplicaCare {
 public:
  enum class Cause : std::uint8_t {
    offline,  ///< the disk failed while the log was in use
    damaged,  ///< found when it was opened
    rot,      ///< found by a reader; the log goes on being used until somebody else has taken over
  };
  struct Options {
    Millis retry_ms = 1'000;
    Millis refused_retry_ms = 5'000;
    Millis offline_ms_max = 20'000;  ///< without an answer; the commit log keeps what the log rests on until then
  };
  enum class Step : std::uint8_t {
    wait,       ///< nothing, until there is news or `next_deadline`
    ask,        ///< the controller, to be without this replica; answer with `answered`
    set_aside,  ///< the log; answer with `stored`
    recover,    ///< the whole data directory
    go_on,      ///< as if nothing had been found
  };

  /// `known`: no position of this replica was stated in a later epoch.
  ReplicaCare(Cause cause, LeaderEpoch known, MonotonicMs now) : cause_(cause), known_(known), since_(now), ask_at_(now) {}

  /// What to do. `free`: no actor uses the log.
  Step next(const PartitionState& state, BrokerId self, bool free, MonotonicMs now);
  /// nullopt: accepted. The image will say so.
  void answered(std::optional<Errc> refusal, MonotonicMs now);
  /// The log was not set aside: again after a while.
  void not_stored(MonotonicMs now);
  MonotonicMs next_deadline() const { return std::max(ask_at_, store_at_); }
  Cause cause() const { return cause_; }

 private:
  Cause cause_;
  Options options_ = {};
  LeaderEpoch known_;
  MonotonicMs since_;
  MonotonicMs ask_at_;
  MonotonicMs store_at_{0};
  bool asking_ = false;
  bool storing_ = false;
  bool refused_ = false;
};

}  // namespace troupe::replication
