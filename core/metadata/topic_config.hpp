#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "core/record/compression.hpp"
#include "core/record/record_batch.hpp"

/// The settings of a topic: Kafka's names where Kafka has them.
namespace troupe::metadata {

/// What an acknowledged record is worth. Values as in the configuration: "fsync", "interval".
enum class FlushMode : std::uint8_t { fsync, interval };

/// What becomes of old records. Values as in the configuration: "delete", "compact", "compact,delete".
enum class CleanupPolicy : std::uint8_t {
  remove,              ///< delete: by age, size and count
  compact,             ///< the latest record of each key stays for ever; records need keys
  compact_and_remove,  ///< compacted, and by age, size and count
};

/// All settings of one topic, parsed. Sizes in bytes, times in milliseconds, -1: no limit.
struct TopicConfig {
  FlushMode flush = FlushMode::fsync;                      ///< flush
  Millis flush_interval_ms = 1000;                         ///< flush.ms, 10 and more; with flush = interval
  std::int64_t segment_bytes = std::int64_t{1} << 30;      ///< segment.bytes, 4 KiB to 2 GiB
  Millis segment_ms = Millis{7} * 24 * 3600 * 1000;        ///< segment.ms
  Millis retention_ms = Millis{7} * 24 * 3600 * 1000;      ///< retention.ms
  std::int64_t retention_bytes = -1;                       ///< retention.bytes, a partition
  std::int64_t retention_records = -1;                     ///< retention.records, a partition
  std::int64_t max_message_bytes = std::int64_t{8} << 20;  ///< max.message.bytes, a batch as stored
  record::TimestampType timestamp_type = record::TimestampType::create_time;  ///< message.timestamp.type
  std::optional<record::CompressionCodec> compression = {};  ///< compression.type; nullopt: "producer", as it came
  std::int32_t min_insync_replicas = 1;                      ///< min.insync.replicas
  bool unclean_leader_election = false;                      ///< unclean.leader.election.enable
  CleanupPolicy cleanup = CleanupPolicy::remove;             ///< cleanup.policy
  Millis delete_retention_ms = Millis{24} * 3600 * 1000;  ///< delete.retention.ms: how long a compacted log keeps tombstones
  std::int32_t min_cleanable_dirty_permille = 500;        ///< min.cleanable.dirty.ratio, in thousandths
  Millis min_compaction_lag_ms = 0;                       ///< min.compaction.lag.ms
  Millis max_compaction_lag_ms = std::numeric_limits<Millis>::max();  ///< max.compaction.lag.ms

  bool compacts() const { return cleanup != CleanupPolicy::remove; }
  bool removes_old() const { return cleanup != CleanupPolicy::compact; }

  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};

/// One setting, for people: `GET /v1/topics/{t}`, docs.
struct TopicConfigField {
  std::string_view name = {};
  std::string_view default_value = {};
  std::string_view range = {};  ///< "-1, or 1 and more", "fsync | interval"
  std::string_view description = {};
};
/// The table from which everything about topic settings is derived, sorted by name.
std::span<const TopicConfigField> topic_config_fields();

/// Defaults with `overrides` (name to value) applied.
/// Errors: invalid_config (an unknown name, with the nearest known one; a value out of its range, with the range).
Result<TopicConfig> parse_topic_config(const std::map<std::string, std::string>& overrides);

/// Every setting's value as text, defaults included, sorted by name. What parse_topic_config takes.
std::map<std::string, std::string> topic_config_entries(const std::map<std::string, std::string>& overrides);

/// Whether this may be a topic's name: 1 to 249 of [a-zA-Z0-9._-], not "." nor "..".
/// Errors: invalid_topic_exception, saying what is wrong with it.
Status check_topic_name(std::string_view name);

/// "__": the system's own, which clients may not write.
inline bool is_internal_topic(std::string_view name) { return name.starts_with("__"); }

}  // namespace troupe::metadata
