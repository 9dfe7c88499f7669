#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace troupe::link {

/// Which actor of a node a payload is for. Part of the wire: never renumber.
enum class Channel : std::uint8_t {
  quorum = 1,    ///< metadata_quorum to metadata_quorum: Raft
  metadata = 2,  ///< commands for the active controller, heartbeats of brokers
  replica = 3,   ///< replica_fetcher to replica_server: fetch sessions
  gateway = 4,   ///< gateways to partition leaders of other nodes
  node = 5,      ///< operator_desk to operator_desk: the metadata quorum, actors
  group = 6,     ///< group_desk to group_desk: calls to coordinators of groups, news for members
  consumer = 7,  ///< instance_desk to instance_desk: calls to consumer instances of the REST proxy
};

inline constexpr std::size_t channel_count = 7;
/// In the order in which they are served.
inline constexpr std::array<Channel, channel_count> all_channels{Channel::quorum,  Channel::metadata, Channel::replica,
                                                                 Channel::gateway, Channel::node,     Channel::group,
                                                                 Channel::consumer};

constexpr bool is_channel(std::uint8_t number) { return number >= 1 && number <= channel_count; }
constexpr std::size_t index_of(Channel channel) { return static_cast<std::size_t>(channel) - 1; }
/// Elections and heartbeats do not wait for data.
constexpr bool is_control(Channel channel) { return channel == Channel::quorum || channel == Channel::metadata; }

}  // namespace troupe::link
