#include "core/group/consumer_protocol.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"

namespace troupe::group {
namespace {

/// Kafka's STRING. nullopt: not there, or null.
std::optional<std::string> read_text(ByteReader& in) {
  const auto size = in.integer<std::int16_t>();
  if (!size || *size < 0) return std::nullopt;
  const auto bytes = in.bytes(static_cast<std::size_t>(*size));
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

/// Kafka's ARRAY: how many elements of at least `bytes_each` follow. nullopt: more than there is room for.
std::optional<std::size_t> read_count(ByteReader& in, std::size_t bytes_each) {
  const auto count = in.integer<std::int32_t>();
  if (!count || *count < 0 || static_cast<std::size_t>(*count) > in.remaining() / bytes_each) return std::nullopt;
  return static_cast<std::size_t>(*count);
}

bool read_version(ByteReader& in) {
  const auto version = in.integer<std::int16_t>();
  return version && *version >= 0;
}

template <class T>
void sort_without_doubles(std::vector<T>& list) {
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace

std::optional<std::vector<std::string>> topics_of_subscription(std::string_view bytes) {
  ByteReader in(as_bytes(bytes));
  const auto count = read_version(in) ? read_count(in, 2) : std::nullopt;
  if (!count) return std::nullopt;
  std::vector<std::string> topics;
  for (std::size_t i = 0; i < *count; ++i) {
    auto topic = read_text(in);
    if (!topic) return std::nullopt;
    topics.push_back(*std::move(topic));
  }
  sort_without_doubles(topics);
  return topics;
}

std::optional<PartitionList> partitions_of_assignment(std::string_view bytes, const metadata::MetadataImage& image) {
  ByteReader in(as_bytes(bytes));
  const auto topics = read_version(in) ? read_count(in, 2 + 4) : std::nullopt;
  if (!topics) return std::nullopt;
  PartitionList partitions;
  for (std::size_t i = 0; i < *topics; ++i) {
    const auto name = read_text(in);
    const auto count = name ? read_count(in, 4) : std::nullopt;
    if (!count) return std::nullopt;
    const auto topic = image.find_topic(*name);
    for (std::size_t j = 0; j < *count; ++j) {
      const auto partition = in.integer<std::int32_t>();
      if (!partition || *partition < 0) return std::nullopt;
      if (topic && *partition < topic->partition_count()) partitions.push_back({topic->id, PartitionId{*partition}});
    }
  }
  sort_without_doubles(partitions);
  return partitions;
}

}  // namespace troupe::group
