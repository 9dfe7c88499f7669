#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/ids.hpp"

namespace troupe::replication {

/// When a replica may say that it holds a record.
enum class Flush : std::uint8_t {
  fsync,     ///< on stable storage: the offset that counts is the durable one
  interval,  ///< in the page cache: the offset that counts is the log end
};

/// Who has to hold a batch before its producer is answered.
enum class Acks : std::uint8_t {
  none,    ///< nobody: it is answered at once
  leader,  ///< the leader, as durable as the topic's `flush` asks
  quorum,  ///< all of the maximal ISR, which holds `min.insync.replicas` at least: the record is committed
};

/// A partition as the controller committed it. Versions of one leader epoch are ordered by the partition epoch.
struct PartitionState {
  LeaderEpoch leader_epoch{0};
  PartitionEpoch partition_epoch{0};
  BrokerId leader = no_broker;                          ///< no_broker: nobody can lead it now
  std::vector<BrokerId> replicas = {};                  ///< all that shall hold a copy
  std::vector<BrokerId> isr = {};                       ///< of them, those that hold every committed record and follow
  std::vector<BrokerId> eligible_leader_replicas = {};  ///< left an ISR below the minimum: hold every committed record still

  friend bool operator==(const PartitionState&, const PartitionState&) = default;
};

/// A member of a proposed ISR: one run of a broker, so that the controller can refuse a run that has ended. Source: KIP-903.
struct IsrMember {
  BrokerId broker = no_broker;
  BrokerEpoch broker_epoch = no_broker_epoch;  ///< no_broker_epoch: it has not fetched in this epoch; a member all the same

  friend bool operator==(const IsrMember&, const IsrMember&) = default;
};

/// What a leader asks of the controller: "of the state with this partition epoch, make this the ISR".
///
/// The controller looks in this order, and accepts or refuses as a whole:
///   another leader epoch                       fenced_leader_epoch
///   another partition epoch                    invalid_update_version
///   a member that is fenced or of another run  ineligible_replica
/// The order matters: a repeated request of which the first was accepted must not come as far as the third.
struct AlterPartition {
  std::uint64_t request = 0;  ///< comes back with the answer
  LeaderEpoch leader_epoch{0};
  PartitionEpoch partition_epoch{0};
  std::vector<IsrMember> isr = {};

  friend bool operator==(const AlterPartition&, const AlterPartition&) = default;
};

inline bool contains(const std::vector<BrokerId>& brokers, BrokerId broker) {
  return std::ranges::find(brokers, broker) != brokers.end();
}

}  // namespace troupe::replication
