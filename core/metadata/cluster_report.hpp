#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/metadata/metadata_image.hpp"

/// What people are told of a cluster, from a node's image of it.
namespace troupe::metadata {

/// What a broker can be counted on for.
enum class BrokerState : std::uint8_t {
  up,
  fenced,    ///< leads nothing: it is silent, has ended, or has not caught up with the metadata
  draining,  ///< gives its leaderships away, at an operator's wish
  drained,   ///< the same, and leads nothing any more; it follows
  stopping,  ///< gives its leaderships away, since it is about to end
};
std::string_view to_string(BrokerState state) noexcept;

struct BrokerReport {
  BrokerImage broker = {};
  BrokerState state = BrokerState::up;
  std::size_t leads = 0;     ///< partitions
  std::size_t replicas = 0;  ///< copies of partitions, those that it leads included
  Offset epoch{0};           ///< of its registration
};
/// By id. One pass over all partitions.
std::vector<BrokerReport> report_brokers(const MetadataImage& image);

/// What may be odd about a partition.
enum class PartitionFilter : std::uint8_t {
  leaderless,
  under_replicated,  ///< a replica is not in sync; those that a reassignment adds do not count
  under_min_isr,     ///< fewer in sync than `acks = quorum` needs
  reassigning,
  not_preferred,  ///< led by another than its first replica
};
/// "under_min_isr"; nullopt: no such word.
std::optional<PartitionFilter> parse_partition_filter(std::string_view text);
bool fits(const TopicImage& topic, const PartitionImage& partition, PartitionFilter filter);

struct PartitionQuery {
  std::optional<std::string> topic = {};
  std::optional<PartitionFilter> only = {};
  std::optional<BrokerId> broker = {};  ///< holds a replica
  std::size_t limit = 1'000;
  std::optional<std::pair<std::string, PartitionId>> after = {};
};
struct PartitionAt {
  TopicPtr topic = {};
  PartitionId partition{0};

  const PartitionImage& image() const { return topic->partitions[static_cast<std::size_t>(partition.value())]; }
};
struct PartitionPage {
  std::vector<PartitionAt> partitions = {};  ///< by name of topic, then by number
  bool more = false;
};
PartitionPage find_partitions(const MetadataImage& image, const PartitionQuery& query);

struct ClusterHealth {
  BrokerId controller{-1};
  std::size_t brokers = 0;
  std::size_t brokers_up = 0;  ///< not fenced
  std::size_t voters = 0;
  std::size_t voters_up = 0;  ///< those that can vote
  std::size_t partitions = 0;
  std::size_t leaderless = 0;
  std::size_t under_replicated = 0;
  std::size_t under_min_isr = 0;
  std::size_t reassigning = 0;
  std::size_t not_preferred = 0;
  std::vector<std::string> problems = {};  ///< one sentence each, the worst first; at most `problems_max`

  /// What is under way, and what somebody wanted, is no problem.
  bool healthy() const { return problems.empty(); }
};
inline constexpr std::size_t problems_max = 100;

/// `voters`: of the metadata quorum. `reachable`: this node, and those that it has a link to; the image says who is alive while there is a
/// controller, these when there is none. `lost`: voters whose node came back without the directory that votes: no votes come from there.
ClusterHealth check_health(const MetadataImage& image, std::span<const BrokerId> voters, std::span<const BrokerId> reachable,
                           std::span<const BrokerId> lost = {});

}  // namespace troupe::metadata
