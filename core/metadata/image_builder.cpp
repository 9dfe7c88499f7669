#include "core/metadata/image_builder.hpp"

#include <algorithm>
#include <limits>

#include "core/metadata/topic_hash.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::metadata {
namespace {

Error cannot_follow(std::string what) { return {Errc::corrupt_message, "metadata: " + std::move(what)}; }

/// Stays at the highest number rather than wrap: two thousand million registrations are a damaged record.
template <class Epoch>
Epoch raised(Epoch epoch, std::int64_t by) {
  return Epoch{
      static_cast<std::int32_t>(std::min<std::int64_t>(epoch.value() + by, std::numeric_limits<std::int32_t>::max()))};
}

}  // namespace

PartitionRecord to_record(const TopicId& topic, PartitionId partition, const PartitionImage& image) {
  return {.topic_id = topic,
          .partition = partition,
          .leader = image.leader,
          .leader_epoch = image.leader_epoch,
          .replicas = image.replicas,
          .isr = image.isr,
          .partition_epoch = image.partition_epoch,
          .eligible_leader_replicas = image.eligible_leader_replicas,
          .adding_replicas = image.adding_replicas,
          .removing_replicas = image.removing_replicas,
          .last_known_leader = image.last_known_leader,
          .replicas_before = image.replicas_before};
}

PartitionImage to_image(const PartitionRecord& record) {
  return {.leader = record.leader,
          .leader_epoch = record.leader_epoch,
          .replicas = record.replicas,
          .isr = record.isr,
          .partition_epoch = record.partition_epoch,
          .eligible_leader_replicas = record.eligible_leader_replicas,
          .adding_replicas = record.adding_replicas,
          .removing_replicas = record.removing_replicas,
          .last_known_leader = record.last_known_leader,
          .replicas_before = record.replicas_before};
}

BrokerRegisteredRecord to_record(const BrokerImage& broker, const Uuid& incarnation) {
  return {.id = broker.id,
          .incarnation = incarnation,
          .host = broker.host,
          .port = broker.port,
          .cluster_host = broker.cluster_host,
          .cluster_port = broker.cluster_port,
          .rack = broker.rack,
          .directory_id = broker.directory_id};
}

ImageBuilder::ImageBuilder(ImagePtr before) : before_(std::move(before)), image_(*before_) {}

Status ImageBuilder::apply(const MetadataRecord& record, Offset offset) {
  ++records_applied_;
  return std::visit(
      [&](const auto& one) {
        using Record = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Record, BrokerRegisteredRecord> || std::is_same_v<Record, BrokerStateRecord>) {
          return apply_one(one, offset);
        } else {
          return apply_one(one);
        }
      },
      record);
}

Status ImageBuilder::apply_batches(ByteView batches, Offset from) {
  while (!batches.empty()) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(batches));
    batches = batches.subspan(batch.bytes.size());
    if (batch.header.is_control() || batch.header.next_offset() <= from) continue;
    TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, {}));
    record::RecordReader reader{batch.header, block.bytes};
    while (const auto record = reader.next()) {
      if (record->offset < from) continue;
      const auto where = "metadata record at offset " + to_string(record->offset);
      if (!record->value) return Error{Errc::corrupt_message, where + " has no value"};
      const auto decoded = decode_metadata_record(*record->value);
      if (!decoded) return decoded.error().with_context(where);
      if (auto applied = apply(*decoded, record->offset); !applied) return applied.error().with_context(where);
    }
    TROUPE_TRY(reader.finish());
  }
  return ok();
}

Status ImageBuilder::apply_one(const ClusterRecord& record) {
  if (record.cluster_id.is_nil()) return cannot_follow("a cluster without an id");
  if (!image_.cluster_id_.is_nil() && image_.cluster_id_ != record.cluster_id) {
    return Error{Errc::wrong_owner,
                 "the metadata is of cluster " + to_string(record.cluster_id) + ", not of " + to_string(image_.cluster_id_)};
  }
  image_.cluster_id_ = record.cluster_id;
  return ok();
}

Status ImageBuilder::apply_one(const TopicRecord& record) {
  if (record.id.is_nil()) return cannot_follow("topic \"" + record.name + "\" has no id");
  TROUPE_TRY(check_topic_name(record.name));
  if (image_.find_topic(record.id)) return cannot_follow("topic id " + to_string(record.id) + " is there already");
  if (image_.find_colliding_topic(record.name)) return cannot_follow("topic name \"" + record.name + "\" is taken");
  auto topic = std::make_shared<TopicImage>();
  topic->name = record.name;
  topic->id = record.id;
  image_.by_name_.put(name_hash(topic->name), topic);
  image_.by_id_.put(id_hash(topic->id), topic);
  const auto [at, added] = touched_.try_emplace(record.id);
  if (added) order_.push_back(record.id);
  at->second.now = std::move(topic);
  return ok();
}

Status ImageBuilder::apply_one(const PartitionRecord& record) {
  TROUPE_TRY_ASSIGN(auto* const topic, change(record.topic_id));
  const auto index = static_cast<std::size_t>(record.partition.value());
  if (index > topic->partitions.size()) {
    return cannot_follow("partition " + to_string(record.partition) + " of \"" + topic->name + "\", which has " +
                         std::to_string(topic->partitions.size()));
  }
  if (index == topic->partitions.size()) {
    topic->partitions.emplace_back();
    ++image_.partition_count_;
  }
  auto& partition = topic->partitions[index];
  image_.replica_count_ += record.replicas.size();
  image_.replica_count_ -= partition.replicas.size();
  partition = to_image(record);
  partition.leader_epoch = raised(record.leader_epoch, -raises_of(record.leader));
  partition.partition_epoch = raised(record.partition_epoch, -raises_of(record.leader));
  return ok();
}

Status ImageBuilder::apply_one(const TopicConfigRecord& record) {
  TROUPE_TRY_ASSIGN(auto* const topic, change(record.topic_id));
  if (record.value) {
    topic->config_overrides[record.name] = *record.value;
  } else {
    topic->config_overrides.erase(record.name);
  }
  TROUPE_TRY_ASSIGN(topic->config, parse_topic_config(topic->config_overrides));
  return ok();
}

Status ImageBuilder::apply_one(const TopicRemovedRecord& record) {
  const auto topic = image_.find_topic(record.id);
  if (!topic) return cannot_follow("topic id " + to_string(record.id) + " was removed, which is not there");
  const auto [at, added] = touched_.try_emplace(record.id, Touched{nullptr, topic});
  if (added) order_.push_back(record.id);
  at->second.now.reset();
  image_.by_name_.erase(name_hash(topic->name), topic->id);
  image_.by_id_.erase(id_hash(topic->id), topic->id);
  image_.partition_count_ -= topic->partitions.size();
  for (const auto& partition : topic->partitions) image_.replica_count_ -= partition.replicas.size();
  return ok();
}

Status ImageBuilder::apply_one(const BrokerRegisteredRecord& record, Offset offset) {
  BrokerRegistration registration{.broker = {record.id, record.host, record.port, record.cluster_host, record.cluster_port,
                                             record.rack, record.directory_id},
                                  .incarnation = record.incarnation,
                                  .broker_epoch = record.broker_epoch.value_or(offset),
                                  .fenced = record.fenced,
                                  .draining = record.draining,
                                  .stopping = record.stopping};
  auto& all = image_.registrations_;
  const auto at = std::ranges::lower_bound(all, record.id, {}, [](const auto& one) { return one.broker.id; });
  if (at != all.end() && at->broker.id == record.id) {
    *at = std::move(registration);
  } else {
    all.insert(at, std::move(registration));
  }
  ++raises_[record.id];
  return ok();
}

Status ImageBuilder::apply_one(const FeatureLevelRecord& record) {
  image_.features_[record.name] = record.level;
  return ok();
}

Status ImageBuilder::apply_one(const BrokerStateRecord& record, Offset offset) {
  TROUPE_TRY_ASSIGN(const auto at, registration(record.id, record.broker_epoch));
  if (at->draining != record.draining) drains_changed_.insert_or_assign(record.id, offset);
  at->fenced = record.fenced;
  at->draining = record.draining;
  at->stopping = record.stopping;
  return ok();
}

Status ImageBuilder::apply_one(const BrokerUnregisteredRecord& record) {
  TROUPE_TRY_ASSIGN(const auto at, registration(record.id, record.broker_epoch));
  image_.registrations_.erase(at);
  return ok();
}

Result<std::vector<BrokerRegistration>::iterator> ImageBuilder::registration(BrokerId id, Offset broker_epoch) {
  const auto at = std::ranges::lower_bound(image_.registrations_, id, {}, [](const auto& one) { return one.broker.id; });
  if (at == image_.registrations_.end() || at->broker.id != id || at->broker_epoch != broker_epoch) {
    return cannot_follow("broker " + to_string(id) + " is not registered with epoch " + to_string(broker_epoch));
  }
  return at;
}

Result<TopicImage*> ImageBuilder::change(const TopicId& id) {
  if (const auto at = touched_.find(id); at != touched_.end() && at->second.now) return at->second.now.get();
  const auto topic = image_.find_topic(id);
  if (!topic) return cannot_follow("topic id " + to_string(id) + " is not there");
  return &own(topic);
}

TopicImage& ImageBuilder::own(const TopicPtr& topic) {
  const auto [at, added] = touched_.try_emplace(topic->id, Touched{nullptr, topic});
  if (added) order_.push_back(topic->id);
  if (!at->second.now) {
    at->second.now = std::make_shared<TopicImage>(*topic);
    image_.by_name_.put(name_hash(topic->name), at->second.now);
    image_.by_id_.put(id_hash(topic->id), at->second.now);
  }
  return *at->second.now;
}

std::int32_t ImageBuilder::raises_of(BrokerId broker) const {
  const auto at = raises_.find(broker);
  return at == raises_.end() ? 0 : at->second;
}

void ImageBuilder::raise_epochs() {
  if (raises_.empty()) return;
  std::vector<TopicPtr> led;
  image_.for_each_topic([&](const TopicPtr& topic) {
    const auto is_led = [&](const PartitionImage& partition) { return raises_of(partition.leader) > 0; };
    if (std::ranges::any_of(topic->partitions, is_led)) led.push_back(topic);
  });
  for (const auto& topic : led) {
    for (auto& partition : own(topic).partitions) {
      partition.leader_epoch = raised(partition.leader_epoch, raises_of(partition.leader));
      partition.partition_epoch = raised(partition.partition_epoch, raises_of(partition.leader));
    }
  }
  raises_.clear();
}

ImageDelta ImageBuilder::finish(Offset applied, BrokerId controller) {
  raise_epochs();
  ImageDelta delta;
  for (const auto& id : order_) {
    const auto& [now, before] = touched_.at(id);
    if (now && !before) delta.created.push_back(now);
    if (now && before && *now != *before) delta.changed.push_back(now);
    if (!now && before) delta.deleted.push_back(before);
  }
  touched_.clear();
  order_.clear();
  image_.applied_ = applied;
  image_.controller_id_ = controller;
  image_.by_name_.seal();
  image_.by_id_.seal();
  delta.drains_changed = std::move(drains_changed_);
  delta.before = before_;
  delta.after = std::make_shared<const MetadataImage>(std::move(image_));
  return delta;
}

}  // namespace troupe::metadata
