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
  std::string host = {};   ///< as clients reach its gateway
  std::uint16_t port = 0;  ///< 0: no gateway
  bool operator==(const BrokerImage&) const = default;
};

}  // namespace troupe::metadata
