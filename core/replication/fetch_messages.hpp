#pragma once

#include <optional>
#include <vector>

#include "base/result.hpp"
#include "core/replication/replica_fetch.hpp"

namespace troupe::replication {

/// A fetch session on the node that serves it, never given twice by one run; 0 means none.
using FetchSessionId = StrongInt<std::int64_t, struct FetchSessionIdTag>;

inline constexpr FetchSessionId no_fetch_session{0};

/// What one node asks of another, for all partitions of which the one follows replicas that the other leads.
///
///   session 0, epoch 0     begins a session; `partitions` is all there is
///   session s, epoch n     its n-th further request; `partitions` holds what changed since the one before, the rest stays as stated
struct FetchRequest {
  struct Partition {
    TopicIdPartition id = {};
    FetchPosition position = {};
    bool again = false;  ///< records that were given for this position have been dropped

    friend bool operator==(const Partition&, const Partition&) = default;
  };

  BrokerId replica = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;
  FetchSessionId session_id = no_fetch_session;
  std::int32_t session_epoch = 0;
  std::int64_t number = 0;       ///< of the request, on the node that asks: never used twice, comes back with the answer
  std::int32_t wait_ms_max = 0;  ///< how long it may stay unanswered when nothing is new
  std::int32_t bytes_max = 0;    ///< of records in the answer; a single batch may be larger
  std::vector<Partition> partitions = {};
  std::vector<TopicIdPartition> forgotten = {};  ///< no longer part of the session; read before `partitions`

  friend bool operator==(const FetchRequest&, const FetchRequest&) = default;
};

/// The answer to one request: the partitions about which there is something to say.
struct FetchAnswer {
  struct Partition {
    TopicIdPartition id = {};
    ReplicaAnswer answer = {};

    friend bool operator==(const Partition&, const Partition&) = default;
  };

  FetchSessionId session_id = no_fetch_session;
  std::int64_t number = 0;  ///< of the request: an answer to an earlier one says nothing about the session as it is now
  std::optional<Errc> error = {};  ///< the whole request was refused: begin a new session
  std::vector<Partition> partitions = {};

  friend bool operator==(const FetchAnswer&, const FetchAnswer&) = default;
};

}  // namespace troupe::replication
