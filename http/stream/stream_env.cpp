#include "http/stream/stream_env.hpp"

#include <set>

#include "core/metadata/topic_config.hpp"
#include "core/record/partitioner.hpp"

namespace troupe::http {

Result<metadata::TopicPtr> readable_topic(const BrokerApi& broker, const std::string& name) {
  if (metadata::is_internal_topic(name))
    return Error{Errc::topic_authorization_failed, "Internal topics are not for clients."};
  auto topic = broker.topic(name);
  if (!topic) return Error{Errc::unknown_topic_or_partition, "Topic not found."};
  return topic;
}

std::vector<PartitionId> partitions_of_keys(const metadata::TopicImage& topic,
                                            const std::set<std::string, std::less<>>& keys) {
  std::set<PartitionId> chosen;
  for (const auto& key : keys) chosen.insert(record::partition_for_key(as_bytes(key), topic.partition_count()));
  for (std::int32_t p = 0; keys.empty() && p < topic.partition_count(); ++p) chosen.insert(PartitionId{p});
  return {chosen.begin(), chosen.end()};
}

}  // namespace troupe::http
