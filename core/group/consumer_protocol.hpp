#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/group/partition_list.hpp"
#include "core/metadata/metadata_image.hpp"

/// What members of classic groups of the type "consumer" say to each other, read for people and for lag. Their coordinator needs none of
/// it, and a group works whatever the bytes are. Source: Kafka, ConsumerProtocolSubscription and ConsumerProtocolAssignment 0 to 3; later
/// versions add fields behind these.
namespace troupe::group {

inline constexpr std::string_view consumer_protocol_type = "consumer";

/// The topics that a member wants, sorted, none twice. nullopt: not such bytes.
std::optional<std::vector<std::string>> topics_of_subscription(std::string_view bytes);

/// The partitions that a member was given. Those that do not exist are left out. nullopt: not such bytes.
std::optional<PartitionList> partitions_of_assignment(std::string_view bytes, const metadata::MetadataImage& image);

}  // namespace troupe::group
