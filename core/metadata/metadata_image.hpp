#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/metadata/topic_table.hpp"

/// What a node knows of its cluster: the metadata log replayed up to some offset.
namespace troupe::metadata {

/// A broker and the run of it that is registered.
struct BrokerRegistration {
  BrokerImage broker = {};
  Uuid incarnation = {};            ///< one run of the process, or one recovery of its logs
  Offset broker_epoch = no_offset;  ///< offset of the registration in the metadata log: grows with each one
  bool fenced = false;    ///< leads nothing and is in no ISR: it is silent, or has not caught up with the metadata yet
  bool draining = false;  ///< gets no new leaderships or copies, and those that it has move away
  /// Is ending in order: gives its leaderships away, and joins no ISR. Until its next registration.
  bool stopping = false;

  friend bool operator==(const BrokerRegistration&, const BrokerRegistration&) = default;
};

/// Immutable, and cheap to have many of: images share what did not change between them. Any thread may read.
class MetadataImage {
 public:
  MetadataImage() = default;

  const Uuid& cluster_id() const { return cluster_id_; }
  /// -1: none is known.
  BrokerId controller_id() const { return controller_id_; }
  /// Everything below this offset of the metadata log is in the image, and nothing else.
  Offset applied() const { return applied_; }

  /// nullptr: no such topic.
  TopicPtr find_topic(std::string_view name) const;
  TopicPtr find_topic(const TopicId& id) const;
  /// A topic whose name is `name` when '.' and '_' are taken for the same, as they are in names of metrics. nullptr: none.
  TopicPtr find_colliding_topic(std::string_view name) const;
  /// Sorted by name, internal ones included. Sorts: n log n, some milliseconds for 10,000.
  std::vector<TopicPtr> topics() const;
  /// Calls `visit(const TopicPtr&)` for each topic, in no order.
  template <class Visit>
  void for_each_topic(Visit visit) const {
    by_id_.for_each(visit);
  }
  std::size_t topic_count() const { return by_id_.size(); }
  std::size_t partition_count() const { return partition_count_; }
  std::size_t replica_count() const { return replica_count_; }

  /// Sorted by id.
  const std::vector<BrokerRegistration>& registrations() const { return registrations_; }
  std::vector<BrokerImage> brokers() const;
  /// nullptr: not registered. Valid as long as the image.
  const BrokerRegistration* find_broker(BrokerId id) const;

  /// Levels of features that this cluster uses, by name.
  const std::map<std::string, std::int16_t, std::less<>>& features() const { return features_; }

  /// How many of the 2 x 256 shards are the very same in `other`.
  std::size_t shared_shards(const MetadataImage& other) const;

 private:
  friend class ImageBuilder;

  Uuid cluster_id_;
  BrokerId controller_id_{-1};
  Offset applied_{0};
  TopicTable by_name_;  ///< hashed with '.' as '_'
  TopicTable by_id_;
  std::size_t partition_count_ = 0;
  std::size_t replica_count_ = 0;
  std::vector<BrokerRegistration> registrations_;
  std::map<std::string, std::int16_t, std::less<>> features_;
};
using ImagePtr = std::shared_ptr<const MetadataImage>;

/// The same cluster, topics, brokers and features; `applied` and the controller do not count.
bool same_content(const MetadataImage& a, const MetadataImage& b);

/// What one committed batch changed. A topic is in at most one of the lists; one that was created and deleted in the same batch is in
/// none.
struct ImageDelta {
  ImagePtr before = {};  ///< never null: an empty image at first
  ImagePtr after = {};
  std::vector<TopicPtr> created = {};  ///< as they are in `after`
  std::vector<TopicPtr> changed = {};  ///< as they are in `after`
  std::vector<TopicPtr> deleted = {};  ///< as they were in `before`
  /// Who began or ceased to drain, with the offset of the last record that said so; they may be as they were before.
  std::map<BrokerId, Offset> drains_changed = {};
};
using DeltaPtr = std::shared_ptr<const ImageDelta>;

}  // namespace troupe::metadata
