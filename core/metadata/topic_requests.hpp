#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"

/// What clients ask of the metadata. Part of `BrokerApi`; here, so that the controller's rules can judge them.
namespace troupe {

struct CreateTopicRequest {
  std::string name = {};
  std::optional<std::int32_t> partitions = {};          ///< 1 to 10,000; by default 1
  std::optional<std::int32_t> replication_factor = {};  ///< by default as many as brokers, at most 3
  std::map<std::string, std::string> config = {};  ///< `min.insync.replicas` is by default more than half of the replicas
  bool validate_only = false;
  bool internal = false;  ///< by the node itself: the name may begin with "__"; no door sets it
  /// The replicas of each partition, the preferred leader first, instead of both counts; empty: the controller chooses.
  std::vector<std::vector<BrokerId>> assignments = {};
};
struct AlterTopicRequest {
  std::string name = {};
  std::optional<std::int32_t> partitions = {};                    ///< more than there are
  std::map<std::string, std::optional<std::string>> config = {};  ///< nullopt: back to the default
  bool validate_only = false;
};

}  // namespace troupe
