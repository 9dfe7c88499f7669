#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"

/// What the metadata log says, one fact a record: the value of an ordinary record whose key is null. docs/formats/metadata.md
namespace troupe::metadata {

/// Part of the format: never renumber.
enum class MetadataRecordType : std::uint8_t {
  cluster = 1,
  topic = 2,
  partition = 3,
  topic_config = 4,
  topic_removed = 5,
  broker_registered = 6,
  feature_level = 7,
  broker_state = 8,         ///< from level 2 of metadata.version on
  broker_unregistered = 9,  ///< from level 2 on
};

/// Whose metadata this is; the log's first record.
struct ClusterRecord {
  Uuid cluster_id = {};
  friend bool operator==(const ClusterRecord&, const ClusterRecord&) = default;
};
/// A topic; without partitions until their records come.
struct TopicRecord {
  TopicId id = {};
  std::string name = {};
  friend bool operator==(const TopicRecord&, const TopicRecord&) = default;
};
/// A partition as it is from now on. Partitions of a topic appear in order, without holes.
struct PartitionRecord {
  TopicId topic_id = {};
  PartitionId partition{0};
  BrokerId leader{-1};
  LeaderEpoch leader_epoch{0};
  std::vector<BrokerId> replicas = {};
  std::vector<BrokerId> isr = {};
  PartitionEpoch partition_epoch{0};
  std::vector<BrokerId> eligible_leader_replicas = {};
  std::vector<BrokerId> adding_replicas = {};
  std::vector<BrokerId> removing_replicas = {};
  BrokerId last_known_leader{-1};
  std::vector<BrokerId> replicas_before = {};
  friend bool operator==(const PartitionRecord&, const PartitionRecord&) = default;
};
/// A setting of a topic; nullopt: the default again.
struct TopicConfigRecord {
  TopicId topic_id = {};
  std::string name = {};
  std::optional<std::string> value = {};
  friend bool operator==(const TopicConfigRecord&, const TopicConfigRecord&) = default;
};
struct TopicRemovedRecord {
  TopicId id = {};
  friend bool operator==(const TopicRemovedRecord&, const TopicRemovedRecord&) = default;
};
/// A broker, or a new incarnation of one: the leader epoch and the partition epoch of every partition that it leads grow by one.
/// decisions/0010
struct BrokerRegisteredRecord {
  BrokerId id{0};
  Uuid incarnation = {};
  std::string host = {};
  std::uint16_t port = 0;
  std::optional<Offset> broker_epoch = {};  ///< in a snapshot; in the log it is the record's own offset
  std::string cluster_host = {};
  std::uint16_t cluster_port = 0;
  std::string rack = {};
  Uuid directory_id = {};
  bool fenced = false;
  bool draining = false;
  bool stopping = false;
  friend bool operator==(const BrokerRegisteredRecord&, const BrokerRegisteredRecord&) = default;
};
/// What a registered broker may do, from now on.
struct BrokerStateRecord {
  BrokerId id{0};
  Offset broker_epoch{0};  ///< of the registration that this is about
  bool fenced = false;
  bool draining = false;
  bool stopping = false;
  friend bool operator==(const BrokerStateRecord&, const BrokerStateRecord&) = default;
};
/// That registration is gone. The broker holds no copies any more.
struct BrokerUnregisteredRecord {
  BrokerId id{0};
  Offset broker_epoch{0};
  friend bool operator==(const BrokerUnregisteredRecord&, const BrokerUnregisteredRecord&) = default;
};
/// From now on the cluster uses this level of a feature; 0: not at all.
struct FeatureLevelRecord {
  std::string name = {};
  std::int16_t level = 0;
  friend bool operator==(const FeatureLevelRecord&, const FeatureLevelRecord&) = default;
};

using MetadataRecord = std::variant<ClusterRecord, TopicRecord, PartitionRecord, TopicConfigRecord, TopicRemovedRecord,
                                    BrokerRegisteredRecord, FeatureLevelRecord, BrokerStateRecord, BrokerUnregisteredRecord>;

/// Bytes of the longest string in a record: a host, a setting.
inline constexpr std::size_t metadata_string_bytes_max = 1024;

/// Strings must not be longer than metadata_string_bytes_max, lists not than 65,535.
ByteBuffer encode_metadata_record(const MetadataRecord& record);

/// Optional fields that a newer node wrote are passed over.
/// Errors: corrupt_message (cut off, a negative number, too long), invalid_record (a type or a version that only a newer node knows).
Result<MetadataRecord> decode_metadata_record(ByteView value);

}  // namespace troupe::metadata
