#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/metadata/topic_image.hpp"

namespace troupe::metadata {

/// Topics by a hash, in 256 shards that copies of the table share until one of them changes a shard.
///
///   table A   [s0][s1][s2]...[s255]       copy B of it, with one topic changed in s1:
///   table B   [s0][s1'][s2]...[s255]      one shard of some 1/256 of all topics was copied
///
/// A shard is sorted by hash: a look-up compares integers and touches one topic.
class TopicTable {
 public:
  static constexpr std::size_t shard_count = 256;

  TopicTable() = default;
  /// The copy owns no shard. `other` must not change while its copy lives, unless it was sealed.
  TopicTable(const TopicTable& other) : shards_(other.shards_), size_(other.size_) {}
  TopicTable(TopicTable&&) = default;
  TopicTable& operator=(const TopicTable&) = delete;
  TopicTable& operator=(TopicTable&&) = default;
  ~TopicTable() = default;

  /// The topic with this hash for which `is_it(const TopicImage&)` holds; nullptr: none.
  template <class Predicate>
  TopicPtr find(std::uint64_t hash, Predicate is_it) const {
    const auto& shard = shards_[shard_of(hash)];
    if (!shard) return nullptr;
    for (auto at = first_of(*shard, hash); at < shard->size() && (*shard)[at].hash == hash; ++at) {
      if (is_it(*(*shard)[at].topic)) return (*shard)[at].topic;
    }
    return nullptr;
  }

  /// Calls `visit(const TopicPtr&)` for each, in no order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& shard : shards_) {
      if (!shard) continue;
      for (const auto& entry : *shard) visit(entry.topic);
    }
  }

  /// Adds a topic, or replaces the one of that id with this hash. True: added.
  bool put(std::uint64_t hash, TopicPtr topic);
  /// Removes the topic of that id with this hash. False: there is none.
  bool erase(std::uint64_t hash, const TopicId& id);

  std::size_t size() const { return size_; }
  /// From here on every change copies its shard. Before the table is shown to anybody, or copied.
  void seal() { owned_.reset(); }
  /// How many shards are the very same in `other`; for tests and for people who count memory.
  std::size_t shared_shards(const TopicTable& other) const;

 private:
  struct Entry {
    std::uint64_t hash;
    TopicPtr topic;
  };
  using Shard = std::vector<Entry>;

  static std::size_t shard_of(std::uint64_t hash) { return hash >> 56; }
  static std::size_t first_of(const Shard& shard, std::uint64_t hash);
  Shard& own(std::uint64_t hash);

  std::array<std::shared_ptr<Shard>, shard_count> shards_{};
  std::bitset<shard_count> owned_{};  ///< made by this table since `seal`: nobody else looks at them
  std::size_t size_ = 0;
};

}  // namespace troupe::metadata
