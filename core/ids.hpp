#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "base/clock.hpp"
#include "base/strong_int.hpp"
#include "base/uuid.hpp"

/// The vocabulary of streaming: Kafka's words, one type each.
namespace troupe {

/// Position of a record in a partition, from 0.
using Offset = StrongInt<std::int64_t, struct OffsetTag>;
/// Number of a partition's leadership; grows by one per leader; -1 means none.
using LeaderEpoch = StrongInt<std::int32_t, struct LeaderEpochTag>;
/// Number of a change of a partition's leader, ISR or replicas; grows by one per change, and so orders them. Source: KIP-497.
using PartitionEpoch = StrongInt<std::int32_t, struct PartitionEpochTag>;
/// A partition of a topic, from 0.
using PartitionId = StrongInt<std::int32_t, struct PartitionIdTag>;
/// A node, from 1.
using BrokerId = StrongInt<std::int32_t, struct BrokerIdTag>;
/// One run of a node, as the controller numbered it when the node registered; a newer one fences the older; -1 means not known.
using BrokerEpoch = StrongInt<std::int64_t, struct BrokerEpochTag>;
/// A producer with idempotence; -1 means none.
using ProducerId = StrongInt<std::int64_t, struct ProducerIdTag>;
/// One run of a producer id; a newer one fences the older; -1 means none.
using ProducerEpoch = StrongInt<std::int16_t, struct ProducerEpochTag>;

inline constexpr Offset no_offset{-1};
inline constexpr BrokerId no_broker{-1};
inline constexpr BrokerEpoch no_broker_epoch{-1};
inline constexpr LeaderEpoch no_leader_epoch{-1};
inline constexpr ProducerId no_producer_id{-1};
inline constexpr ProducerEpoch no_producer_epoch{-1};

/// Position of a record in what one producer id sent to one partition: 0 to 2^31 - 1, then 0 again; -1 means none.
class SequenceNumber {
 public:
  constexpr SequenceNumber() = default;
  constexpr explicit SequenceNumber(std::int32_t value) : value_(value) {}
  constexpr std::int32_t value() const { return value_; }

  /// The number `distance` (0 or more) later, past 2^31 - 1 from 0 on.
  constexpr SequenceNumber plus(std::int32_t distance) const {
    const auto sum = static_cast<std::uint32_t>(value_) + static_cast<std::uint32_t>(distance);
    return SequenceNumber{static_cast<std::int32_t>(sum & 0x7fffffffU)};
  }

  friend constexpr bool operator==(SequenceNumber, SequenceNumber) = default;

 private:
  std::int32_t value_ = -1;
};

inline constexpr SequenceNumber no_sequence_number{-1};
inline std::string to_string(SequenceNumber number) { return std::to_string(number.value()); }

/// A topic for ever: deleted and created again under its name, it has another id.
using TopicId = Uuid;

/// One partition of one incarnation of a topic.
struct TopicIdPartition {
  TopicId topic_id;
  PartitionId partition;

  friend auto operator<=>(const TopicIdPartition&, const TopicIdPartition&) = default;
};

/// "<uuid>/3"
inline std::string to_string(const TopicIdPartition& id) { return to_string(id.topic_id) + "/" + to_string(id.partition); }

}  // namespace troupe

template <>
struct std::hash<troupe::TopicIdPartition> {
  std::size_t operator()(const troupe::TopicIdPartition& id) const noexcept {
    return std::hash<troupe::Uuid>{}(id.topic_id) * 31 + std::hash<troupe::PartitionId>{}(id.partition);
  }
};
