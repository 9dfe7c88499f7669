#include "actors/leader_locator.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

namespace troupe::actors {
namespace {

/// Null: no such partition. Valid as long as the topic.
const metadata::PartitionImage* partition_in(const metadata::TopicPtr& topic, PartitionId partition) {
  if (!topic || partition < PartitionId{0} || partition.value() >= topic->partition_count()) return nullptr;
  return &topic->partitions[static_cast<std::size_t>(partition.value())];
}

}  // namespace

LeaderLocator::~LeaderLocator() { clear(); }

std::optional<LeaderLocator::Entry> LeaderLocator::find(const TopicIdPartition& partition) {
  if (auto here = directory_->find(partition)) return here;
  if (!spawn_) return std::nullopt;
  const auto topic = images_->get()->find_topic(partition.topic_id);
  const auto* state = partition_in(topic, partition.partition);
  if (state == nullptr || state->leader == self_ || state->leader == no_broker) return std::nullopt;
  caf::actor replaced;
  const std::lock_guard lock{table_->mutex};
  auto& stand_in = table_->stand_ins[partition];
  if (!stand_in.actor || stand_in.broker != state->leader || stand_in.epoch != state->leader_epoch) {
    const auto on_end = [weak = std::weak_ptr<Table>(table_), partition](caf::actor_id ended) {
      if (const auto table = weak.lock()) table->ended(partition, ended);
    };
    replaced = std::exchange(stand_in.actor, spawn_({partition, topic->name, state->leader, state->leader_epoch, on_end}));
    stand_in.broker = state->leader;
    stand_in.epoch = state->leader_epoch;
  }
  if (replaced) caf::anon_send_exit(replaced, caf::exit_reason::user_shutdown);
  return Entry{stand_in.actor, stand_in.epoch};
}

bool LeaderLocator::knows(const TopicIdPartition& partition) const {
  if (directory_->find(partition)) return true;
  if (!spawn_) return false;
  const auto topic = images_->get()->find_topic(partition.topic_id);
  const auto* state = partition_in(topic, partition.partition);
  return state != nullptr && state->leader != self_ && state->leader != no_broker;
}

std::optional<LeaderLocator::Entry> LeaderLocator::known(const TopicIdPartition& partition) const {
  if (auto here = directory_->find(partition)) return here;
  const std::lock_guard lock{table_->mutex};
  const auto found = table_->stand_ins.find(partition);
  if (found == table_->stand_ins.end()) return std::nullopt;
  return Entry{found->second.actor, found->second.epoch};
}

void LeaderLocator::set_follower(const TopicIdPartition& partition, caf::actor follower) {
  const std::lock_guard lock{table_->mutex};
  table_->followers[partition].swap(follower);  // the old handle goes after the lock
}

void LeaderLocator::remove_follower(const TopicIdPartition& partition) {
  caf::actor gone;
  const std::lock_guard lock{table_->mutex};
  const auto found = table_->followers.find(partition);
  if (found == table_->followers.end()) return;
  gone.swap(found->second);
  table_->followers.erase(found);
}

caf::actor LeaderLocator::follower(const TopicIdPartition& partition) const {
  const std::lock_guard lock{table_->mutex};
  const auto found = table_->followers.find(partition);
  return found == table_->followers.end() ? nullptr : found->second;
}

caf::actor LeaderLocator::tail_source(const TopicIdPartition& partition) {
  if (const auto here = directory_->find(partition)) return here->leader;
  const auto follower = this->follower(partition);
  if (follower) {
    const auto topic = images_->get()->find_topic(partition.topic_id);
    const auto* state = partition_in(topic, partition.partition);
    if (state != nullptr && std::ranges::find(state->isr, self_) != state->isr.end()) return follower;
  }
  const auto leader = find(partition);
  return leader ? leader->leader : follower;
}

void LeaderLocator::on_image(const metadata::MetadataImage& image) {
  std::vector<caf::actor> over;
  {
    const std::lock_guard lock{table_->mutex};
    std::erase_if(table_->stand_ins, [&](auto& one) {
      const auto topic = image.find_topic(one.first.topic_id);
      const auto* state = partition_in(topic, one.first.partition);
      // One that was made from a newer image than this stays.
      const bool stays =
          state != nullptr && (state->leader_epoch < one.second.epoch ||
                               (state->leader == one.second.broker && state->leader_epoch == one.second.epoch));
      if (!stays) over.push_back(std::move(one.second.actor));
      return !stays;
    });
  }
  for (const auto& actor : over) caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

void LeaderLocator::Table::ended(const TopicIdPartition& partition, caf::actor_id stand_in) {
  caf::actor gone;  // the handle goes after the lock
  const std::lock_guard lock{mutex};
  const auto found = stand_ins.find(partition);
  if (found == stand_ins.end() || found->second.actor.id() != stand_in) return;
  gone = std::move(found->second.actor);
  stand_ins.erase(found);
}

void LeaderLocator::clear() {
  std::unordered_map<TopicIdPartition, StandIn> all;
  std::unordered_map<TopicIdPartition, caf::actor> followers;
  {
    const std::lock_guard lock{table_->mutex};
    all.swap(table_->stand_ins);
    followers.swap(table_->followers);
  }
  for (const auto& [id, one] : all) caf::anon_send_exit(one.actor, caf::exit_reason::user_shutdown);
}

std::size_t LeaderLocator::stand_ins() const {
  const std::lock_guard lock{table_->mutex};
  return table_->stand_ins.size();
}

}  // namespace troupe::actors
