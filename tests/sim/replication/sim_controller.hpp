#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "core/replication/partition_state.hpp"

namespace troupe::sim {

/// A plain, correct controller that never fails: leaders come from the ISR or from the eligible leader replicas (KIP-966), every election
/// is a new leader epoch, every change a new partition epoch, and AlterPartition is judged by these.
class SimController {
 public:
  struct Change {
    std::size_t partition = 0;
    replication::PartitionState state = {};
  };
  struct Registered {
    BrokerEpoch broker_epoch = no_broker_epoch;
    std::size_t position = 0;  ///< a broker acts once it has read the changes up to here
  };
  struct Unclean {
    std::size_t partition = 0;
    BrokerId leader = no_broker;
  };

  SimController(std::vector<replication::PartitionState> partitions, std::size_t min_insync_replicas);

  const std::vector<Change>& changes() const { return changes_; }
  const replication::PartitionState& state(std::size_t partition) const { return partitions_[partition]; }
  std::size_t partitions() const { return partitions_.size(); }

  /// A new run of a broker, whose logs are `intact`: it lost nothing that it held. Known runs get the same answer again.
  Registered register_broker(BrokerId broker, std::uint64_t run, bool intact);
  void heartbeat(BrokerId broker, BrokerEpoch epoch, std::size_t position, MonotonicMs now);
  /// Fences who was not heard for `session_ms`, and elects leaders where there are none. Returns elections from outside the set of
  /// replicas that hold all committed records: an unclean one, when nobody else is left.
  std::vector<Unclean> check(MonotonicMs now, Millis session_ms);
  /// Gives the leadership to another member of the ISR.
  void move_leader(std::size_t partition, BrokerId to);

  Result<replication::PartitionState> alter(std::size_t partition, BrokerId from,
                                            const replication::AlterPartition& request);

  std::function<void(std::size_t partition)> on_change;  ///< may be empty
  std::size_t eligible_elections = 0;                    ///< leaders taken from the eligible leader replicas

 private:
  struct Broker {
    BrokerEpoch epoch = no_broker_epoch;
    std::uint64_t run = 0;
    std::size_t position = 0;
    bool fenced = true;
    MonotonicMs heard{0};
  };

  void commit(std::size_t partition, replication::PartitionState state);
  void leave_isr(replication::PartitionState& state, BrokerId broker, bool keeps_its_log) const;
  void elect(replication::PartitionState& state);
  void fence(BrokerId broker, bool keeps_its_log);
  bool alive(BrokerId broker) const;
  std::size_t minimum(const replication::PartitionState& state) const;

  std::vector<replication::PartitionState> partitions_;
  std::size_t min_insync_replicas_;
  std::vector<Change> changes_;
  std::map<BrokerId, Broker> brokers_;
  std::int64_t next_broker_epoch_ = 1;
};

}  // namespace troupe::sim
