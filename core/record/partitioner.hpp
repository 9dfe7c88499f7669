#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "core/ids.hpp"

namespace troupe::record {

/// MurmurHash2, 32 bit, seed 0x9747b28c, as Kafka's clients hash keys. Source: org.apache.kafka.common.utils.Utils.murmur2.
std::uint32_t murmur2(ByteView bytes) noexcept;

/// Where Kafka's default partitioner puts a key: (murmur2 & 0x7fffffff) mod `partition_count`, which is 1 or more.
PartitionId partition_for_key(ByteView key, std::int32_t partition_count) noexcept;

}  // namespace troupe::record
