#include "core/metadata/topic_config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <vector>

#include "base/nearest_name.hpp"

namespace troupe::metadata {
namespace {

constexpr auto int64_max = std::numeric_limits<std::int64_t>::max();

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Stores a number of [low, high], or -1 when that means "no limit". False: not such a number.
template <class Int>
bool store_number(std::string_view text, std::int64_t low, std::int64_t high, bool unlimited, Int& place) {
  const auto number = parse_number(text);
  if (!number || !((unlimited && *number == -1) || (*number >= low && *number <= high))) return false;
  place = static_cast<Int>(*number);
  return true;
}

bool store_codec(std::string_view text, TopicConfig& config) {
  using record::CompressionCodec;
  if (text == "producer") {
    config.compression.reset();
    return true;
  }
  if (text == "uncompressed") text = "none";
  for (const auto codec : {CompressionCodec::none, CompressionCodec::gzip, CompressionCodec::snappy, CompressionCodec::lz4,
                           CompressionCodec::zstd}) {
    if (text != to_string(codec)) continue;
    config.compression = codec;
    return true;
  }
  return false;
}

bool store_flush(std::string_view text, TopicConfig& config) {
  if (text != "fsync" && text != "interval") return false;
  config.flush = text == "fsync" ? FlushMode::fsync : FlushMode::interval;
  return true;
}

bool store_unclean_election(std::string_view text, TopicConfig& config) {
  if (text != "true" && text != "false") return false;
  config.unclean_leader_election = text == "true";
  return true;
}

bool store_timestamp_type(std::string_view text, TopicConfig& config) {
  if (text != "CreateTime" && text != "LogAppendTime") return false;
  config.timestamp_type = text == "CreateTime" ? record::TimestampType::create_time : record::TimestampType::log_append_time;
  return true;
}

struct Setting {
  TopicConfigField field;
  bool (*store)(std::string_view text, TopicConfig& config);
};

constexpr std::array settings{
    Setting{{"cleanup.policy", "delete", "delete | compact",
             "delete: old records go by retention.*. compact: the latest record of each key stays."},
            [](std::string_view text, TopicConfig&) { return text == "delete" || text == "compact"; }},
    Setting{{"compression.type", "producer", "producer | none | gzip | snappy | lz4 | zstd",
             "How batches that come by HTTP are compressed; producer: not at all, and batches of Kafka clients stay as they "
             "came."},
            store_codec},
    Setting{{"flush", "fsync", "fsync | interval",
             "fsync: an acknowledged record is on stable storage. interval: in the page cache, on stable storage within "
             "flush.ms."},
            store_flush},
    Setting{{"flush.ms", "1000", "10 to 3600000", "With flush = interval: how old what a power cut takes may be."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 10, 3'600'000, false, config.flush_interval_ms);
            }},
    Setting{{"max.message.bytes", "8388608", "1024 to 8388608", "The largest batch, as stored."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 1024, 8 << 20, false, config.max_message_bytes);
            }},
    Setting{{"message.timestamp.type", "CreateTime", "CreateTime | LogAppendTime",
             "Whose time a record has: its producer's, or the broker's when it was appended."},
            store_timestamp_type},
    Setting{{"min.insync.replicas", "1", "1 to 32767",
             "How many in-sync replicas it takes to accept acks = quorum. A new topic gets more than half of its replicas."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 1, 32767, false, config.min_insync_replicas);
            }},
    Setting{
        {"retention.bytes", "-1", "-1, or 1 and more", "Whole segments above this size of a partition go, oldest first."},
        [](std::string_view text, TopicConfig& config) {
          return store_number(text, 1, int64_max, true, config.retention_bytes);
        }},
    Setting{{"retention.ms", "604800000", "-1, or 1 and more", "Records older than this may go."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 1, int64_max, true, config.retention_ms);
            }},
    Setting{{"retention.records", "-1", "-1, or 1 and more",
             "Whole segments above this many records of a partition go, oldest first."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 1, int64_max, true, config.retention_records);
            }},
    Setting{{"segment.bytes", "1073741824", "4096 to 2147483647", "A segment that would grow beyond this is closed."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 4096, std::numeric_limits<std::int32_t>::max(), false, config.segment_bytes);
            }},
    Setting{{"segment.ms", "604800000", "1 and more", "A segment whose first record is older than this is closed."},
            [](std::string_view text, TopicConfig& config) {
              return store_number(text, 1, int64_max, false, config.segment_ms);
            }},
    Setting{{"unclean.leader.election.enable", "false", "true | false",
             "true: when nobody in sync is alive, any replica may lead, and committed records that it lacks are lost."},
            store_unclean_election},
};

Error unknown_setting(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& setting : settings) names.push_back(setting.field.name);
  std::string text = "unknown topic setting \"" + std::string(name) + "\"";
  if (const auto nearest = nearest_name(name, names)) text += "; did you mean \"" + std::string(*nearest) + "\"?";
  return {Errc::invalid_config, std::move(text)};
}

}  // namespace

std::span<const TopicConfigField> topic_config_fields() {
  static const auto fields = [] {
    std::vector<TopicConfigField> all;
    for (const auto& setting : settings) all.push_back(setting.field);
    return all;
  }();
  return fields;
}

Result<TopicConfig> parse_topic_config(const std::map<std::string, std::string>& overrides) {
  TopicConfig config;
  for (const auto& [name, value] : overrides) {
    const auto* setting = std::ranges::find(settings, name, [](const Setting& one) { return one.field.name; });
    if (setting == settings.end()) return unknown_setting(name);
    if (!setting->store(value, config)) {
      return Error{Errc::invalid_config, name + " = \"" + value + "\" is not one of: " + std::string(setting->field.range)};
    }
  }
  return config;
}

std::map<std::string, std::string> topic_config_entries(const std::map<std::string, std::string>& overrides) {
  std::map<std::string, std::string> entries;
  for (const auto& setting : settings) entries.emplace(setting.field.name, setting.field.default_value);
  for (const auto& [name, value] : overrides) entries[name] = value;
  return entries;
}

Status check_topic_name(std::string_view name) {
  constexpr std::size_t name_bytes_max = 249;
  if (name.empty()) return Error{Errc::invalid_topic_exception, "a topic needs a name"};
  if (name.size() > name_bytes_max) {
    return Error{Errc::invalid_topic_exception,
                 "the topic's name has " + std::to_string(name.size()) + " bytes, at most 249 are allowed"};
  }
  if (name == "." || name == "..") {
    return Error{Errc::invalid_topic_exception, "\"" + std::string(name) + "\" cannot be a topic's name"};
  }
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (!std::ranges::all_of(name, allowed)) {
    return Error{Errc::invalid_topic_exception, "a topic's name may hold letters, digits, '.', '_' and '-' only"};
  }
  return ok();
}

}  // namespace troupe::metadata
