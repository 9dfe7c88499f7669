#include "core/metadata/metadata_image.hpp"

#include <algorithm>

#include "core/metadata/topic_hash.hpp"

namespace troupe::metadata {

TopicPtr MetadataImage::find_topic(std::string_view name) const {
  return by_name_.find(name_hash(name), [&](const TopicImage& topic) { return topic.name == name; });
}

TopicPtr MetadataImage::find_topic(const TopicId& id) const {
  return by_id_.find(id_hash(id), [&](const TopicImage& topic) { return topic.id == id; });
}

TopicPtr MetadataImage::find_colliding_topic(std::string_view name) const {
  return by_name_.find(name_hash(name), [&](const TopicImage& topic) {
    return std::ranges::equal(topic.name, name, {}, metric_letter, metric_letter);
  });
}

std::vector<TopicPtr> MetadataImage::topics() const {
  std::vector<TopicPtr> all;
  all.reserve(topic_count());
  for_each_topic([&](const TopicPtr& topic) { all.push_back(topic); });
  std::ranges::sort(all, {}, [](const TopicPtr& topic) { return std::string_view{topic->name}; });
  return all;
}

std::vector<BrokerImage> MetadataImage::brokers() const {
  std::vector<BrokerImage> all;
  for (const auto& registration : registrations_) all.push_back(registration.broker);
  return all;
}

const BrokerRegistration* MetadataImage::find_broker(BrokerId id) const {
  const auto at =
      std::ranges::lower_bound(registrations_, id, {}, [](const BrokerRegistration& one) { return one.broker.id; });
  return at == registrations_.end() || at->broker.id != id ? nullptr : &*at;
}

std::size_t MetadataImage::shared_shards(const MetadataImage& other) const {
  return by_name_.shared_shards(other.by_name_) + by_id_.shared_shards(other.by_id_);
}

bool same_content(const MetadataImage& a, const MetadataImage& b) {
  if (a.cluster_id() != b.cluster_id() || a.topic_count() != b.topic_count() || a.registrations() != b.registrations() ||
      a.features() != b.features()) {
    return false;
  }
  bool same = true;
  a.for_each_topic([&](const TopicPtr& topic) {
    const auto other = b.find_topic(topic->id);
    same = same && other && *other == *topic && b.find_topic(topic->name) == other;
  });
  return same;
}

}  // namespace troupe::metadata
