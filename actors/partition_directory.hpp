#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <unordered_map>

#include <caf/actor.hpp>

#include "core/ids.hpp"

namespace troupe::actors {

/// Where a node's partition leaders are. partition_manager writes, gateways and tails read; any thread.
///
/// A handle may be of a leader that has just ended: whoever sends to it monitors it. Holds handles strongly, so that an actor lives until
/// its entry goes: the manager removes it when it sees the actor go down.
class PartitionDirectory {
 public:
  struct Entry {
    caf::actor leader;
    LeaderEpoch epoch{0};
  };

  std::optional<Entry> find(const TopicIdPartition& partition) const {
    const auto& shard = shard_of(partition);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.entries.find(partition);
    if (found == shard.entries.end()) return std::nullopt;
    return found->second;
  }

  void set(const TopicIdPartition& partition, Entry entry) {
    auto& shard = shard_of(partition);
    const std::lock_guard lock(shard.mutex);
    shard.entries.insert_or_assign(partition, std::move(entry));
  }

  void remove(const TopicIdPartition& partition) {
    auto& shard = shard_of(partition);
    const std::lock_guard lock(shard.mutex);
    shard.entries.erase(partition);
  }

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<TopicIdPartition, Entry> entries;
  };
  Shard& shard_of(const TopicIdPartition& partition) {
    return shards_[std::hash<TopicIdPartition>{}(partition) % shards_.size()];
  }
  const Shard& shard_of(const TopicIdPartition& partition) const {
    return shards_[std::hash<TopicIdPartition>{}(partition) % shards_.size()];
  }
  std::array<Shard, 32> shards_;
};

}  // namespace troupe::actors
