#pragma once

#include <map>

#include <caf/fwd.hpp>

#include "actors/led_log.hpp"
#include "actors/replica_messages.hpp"

namespace troupe::actors {

/// What followers get of a leader: each the records at its position, from memory, or from disk before its turn in an answer comes.
///
///   FollowerFetch --> refused: to be told at its turn
///   FollowerTurn  --> in memory, or read before --> the answer
///                         `-- no: a read begins; its end is news, and the next turn has the records
class FollowerTurns {
 public:
  /// Tokens of reads for followers have this bit; the rest is the broker.
  static constexpr std::uint64_t token_bit = std::uint64_t{1} << 63;

  /// Both outlive this.
  FollowerTurns(caf::event_based_actor& self, LedLog& log) : self_(self), log_(log) {}

  /// A fetch was taken or refused. True: the follower can be told something now.
  bool fetch(const replication::ReplicaFetch& fetch, MonotonicMs now, replication::LeaderEffects& effects);
  /// nullopt: not now, a read is under way.
  std::optional<replication::ReplicaAnswer> turn(const FollowerTurn& turn);
  /// The read for a follower is done: it is news for this one, or has to be tried again after a pause (false).
  bool read(const ReadResult& result);
  static BrokerId replica_of(std::uint64_t token) { return BrokerId{static_cast<std::int32_t>(token & ~token_bit)}; }
  /// Records that nobody has come for since the last call.
  void forget_stale();

 private:
  struct Follower {
    std::optional<replication::ReplicaAnswer> refusal = {};
    std::optional<Offset> reading = {};  ///< from where
    Offset ready_from = no_offset;
    Bytes ready = {};  ///< whole batches, the first one holds `ready_from`
    bool stale = false;
  };

  caf::event_based_actor& self_;
  LedLog& log_;
  std::map<BrokerId, Follower> followers_;
};

}  // namespace troupe::actors
