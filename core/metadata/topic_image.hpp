#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/metadata/topic_config.hpp"

/// A topic and a broker as the metadata has them. Immutable once published; shared by everybody who looks.
namespace troupe::metadata {

struct PartitionImage {
  BrokerId leader{-1};  ///< -1: none now
  LeaderEpoch leader_epoch{0};
  std::vector<BrokerId> replicas = {};  ///< the preferred leader first
  std::vector<BrokerId> isr = {};
  /// Counts the changes of this partition, whoever leads; versions of one leader epoch are ordered by it.
  PartitionEpoch partition_epoch{0};
  /// Left an ISR that was below `min.insync.replicas`: they hold every committed record still (KIP-966).
  std::vector<BrokerId> eligible_leader_replicas = {};
  /// While it is reassigned: those of `replicas` that are new, and those that will go when the new ones are in the ISR.
  std::vector<BrokerId> adding_replicas = {};
  std::vector<BrokerId> removing_replicas = {};
  /// While the ISR is empty, for its last member came back from a crash that took unsynced records: who that was; -1: none (KIP-966).
  BrokerId last_known_leader{-1};
  /// While it is reassigned: the replicas before, in their order. Empty, too, when an older version began the reassignment.
  std::vector<BrokerId> replicas_before = {};

  bool is_reassigned() const { return !adding_replicas.empty() || !removing_replicas.empty(); }

  friend bool operator==(const PartitionImage&, const PartitionImage&) = default;
};

struct TopicImage {
  std::string name = {};
  TopicId id = {};
  std::vector<PartitionImage> partitions = {};               ///< by PartitionId
  std::map<std::string, std::string> config_overrides = {};  ///< what was set, as text
  TopicConfig config = {};                                   ///< the same with defaults, parsed

  std::int32_t partition_count() const { return static_cast<std::int32_t>(partitions.size()); }

  friend bool operator==(const TopicImage&, const TopicImage&) = default;
};
using TopicPtr = std::shared_ptr<const TopicImage>;

struct BrokerImage {
  BrokerId id{0};
  std::string host = {};           ///< as clients reach its gateway
  std::uint16_t port = 0;          ///< 0: no gateway
  std::string cluster_host = {};   ///< as other nodes reach it
  std::uint16_t cluster_port = 0;  ///< 0: it speaks to no other node
  std::string rack = {};           ///< copies of a partition are spread over racks; empty: none
  /// Of the directory with its logs: with another one, the copies that it had are gone. Nil: not known, as from nodes before it was told.
  Uuid directory_id = {};
  bool operator==(const BrokerImage&) const = default;
};

}  // namespace troupe::metadata
