#include "core/metadata/topic_table.hpp"

#include <algorithm>

namespace troupe::metadata {

std::size_t TopicTable::first_of(const Shard& shard, std::uint64_t hash) {
  const auto first = std::ranges::lower_bound(shard, hash, {}, &Entry::hash);
  return static_cast<std::size_t>(first - shard.begin());
}

TopicTable::Shard& TopicTable::own(std::uint64_t hash) {
  const auto index = shard_of(hash);
  auto& shard = shards_[index];
  if (!owned_[index]) {
    shard = shard ? std::make_shared<Shard>(*shard) : std::make_shared<Shard>();
    owned_.set(index);
  }
  return *shard;
}

bool TopicTable::put(std::uint64_t hash, TopicPtr topic) {
  auto& shard = own(hash);
  auto at = first_of(shard, hash);
  for (; at < shard.size() && shard[at].hash == hash; ++at) {
    if (shard[at].topic->id != topic->id) continue;
    shard[at].topic = std::move(topic);
    return false;
  }
  shard.insert(shard.begin() + static_cast<std::ptrdiff_t>(at), {hash, std::move(topic)});
  ++size_;
  return true;
}

bool TopicTable::erase(std::uint64_t hash, const TopicId& id) {
  auto& shard = own(hash);
  for (auto at = first_of(shard, hash); at < shard.size() && shard[at].hash == hash; ++at) {
    if (shard[at].topic->id != id) continue;
    shard.erase(shard.begin() + static_cast<std::ptrdiff_t>(at));
    --size_;
    return true;
  }
  return false;
}

std::size_t TopicTable::shared_shards(const TopicTable& other) const {
  std::size_t shared = 0;
  for (std::size_t i = 0; i < shard_count; ++i) shared += shards_[i] == other.shards_[i] ? 1U : 0U;
  return shared;
}

}  // namespace troupe::metadata
