#pragma once

#include <cstdint>
#include <string_view>

#include "core/ids.hpp"

/// Where a group's coordinator is: on the leader of its partition of the groups' topic.
namespace troupe::group {

inline constexpr std::string_view offsets_topic = "__consumer_offsets";
/// For ever: another number would send groups to other coordinators.
inline constexpr std::int32_t offsets_partitions = 16;
inline constexpr std::int32_t offsets_replicas_max = 3;

/// Java's String.hashCode over the UTF-16 of `text`. What is not UTF-8 counts as U+FFFD, a byte each.
std::int32_t java_hash(std::string_view text) noexcept;

/// Source: Kafka, GroupMetadataManager.partitionFor: abs(hash) % partitions.
PartitionId partition_of_group(std::string_view group) noexcept;

}  // namespace troupe::group
