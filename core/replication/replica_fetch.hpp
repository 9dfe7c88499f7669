#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "core/ids.hpp"

namespace troupe::replication {

/// Where a follower stands in one partition: what it asks for, and what its leader may count.
///
///   log start        durable offset     fetch offset
///      | on stable storage |  in the log     |  wanted
///
/// "I hold all below `fetch_offset`, its last record is of `last_fetched_epoch`, and I take `leader_epoch` for the one in force."
struct FetchPosition {
  LeaderEpoch leader_epoch{0};
  Offset fetch_offset{0};
  LeaderEpoch last_fetched_epoch = no_leader_epoch;  ///< no_leader_epoch: the log is empty
  Offset durable_offset{0};                          ///< at most `fetch_offset`
  Offset log_start{0};
  Offset high_watermark{0};  ///< as the follower knows it: one that is stale is worth an answer of its own

  friend bool operator==(const FetchPosition&, const FetchPosition&) = default;
};

/// A position, and one run of one broker that says so.
struct ReplicaFetch {
  BrokerId replica = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
  FetchPosition position = {};
  bool again =
      true;  ///< records that were given for this position may not have arrived: a session begins, or the follower dropped them
};

/// "Our logs part: the largest epoch of mine that is not above your last one ends here." Source: KIP-279, KIP-595.
struct DivergingEpoch {
  LeaderEpoch epoch{0};
  Offset end_offset{0};

  friend bool operator==(const DivergingEpoch&, const DivergingEpoch&) = default;
};

/// What a leader says to a follower about one partition. `fetch_offset` and `last_fetched_epoch` repeat the position that is answered:
/// a verdict about a position that the follower has left since must not be applied to the one that it is at.
struct ReplicaAnswer {
  std::optional<Errc> error = {};  ///< then only the leader's epoch, start and end may be believed
  LeaderEpoch leader_epoch{0};
  Offset fetch_offset{0};
  LeaderEpoch last_fetched_epoch = no_leader_epoch;
  Offset high_watermark{0};
  Offset log_start{0};
  Offset log_end{0};                             ///< what the leader has to give
  std::optional<DivergingEpoch> diverging = {};  ///< then there are no records
  Bytes records = {};  ///< whole batches from `fetch_offset` on; read by the shell, behind the rules

  friend bool operator==(const ReplicaAnswer& a, const ReplicaAnswer& b) {
    return a.error == b.error && a.leader_epoch == b.leader_epoch && a.fetch_offset == b.fetch_offset &&
           a.last_fetched_epoch == b.last_fetched_epoch && a.high_watermark == b.high_watermark &&
           a.log_start == b.log_start && a.log_end == b.log_end && a.diverging == b.diverging &&
           equal_bytes(a.records, b.records);
  }
};

}  // namespace troupe::replication
