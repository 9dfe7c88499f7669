#pragma once

#include <deque>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/led_log.hpp"

namespace troupe::actors {

/// The batches of a leader between its rules and its readers: on their way to the disk, in memory for those who read at the end of the log
/// (consumers, followers), and as news of the partition's tail when they are committed.
///
///   one replica    append --> (disk) --> committed: in memory, if somebody reads there; the tail
///   several        append --> (disk) --> in memory: followers come for it --> committed: the tail
class LeaderCommits {
 public:
  /// Both outlive this.
  LeaderCommits(caf::event_based_actor& self, LedLog& log) : self_(self), log_(log) {}

  /// On its way to the disk.
  void sent(replication::LeaderEffects::Append append) { in_flight_.push_back(std::move(append)); }
  /// What was on its way was refused.
  void clear() { in_flight_.clear(); }
  /// There are several replicas, and the disk has answered.
  void appended(std::uint64_t token, bool success);
  void committed(Offset high_watermark, bool replicated);
  /// The watermark as it is when the leader begins.
  void begin(Offset high_watermark) { committed_ = high_watermark; }

  void attach(const caf::actor& tail);
  void detach() { tail_ = nullptr; }

 private:
  void committed_alone(Offset high_watermark);
  void committed_by_all(Offset high_watermark);
  bool consumers_want() const;

  caf::event_based_actor& self_;
  LedLog& log_;
  std::deque<replication::LeaderEffects::Append>
      in_flight_;        ///< with one replica: not committed; with several: not appended
  Offset committed_{0};  ///< the high watermark as the tail knows it
  caf::actor tail_;
};

}  // namespace troupe::actors
