#include "core/metadata/left_logs.hpp"

#include <algorithm>

namespace troupe::metadata {
namespace {

/// nullptr: there is no such partition. Valid as long as the image.
const PartitionImage* partition_in(const TopicPtr& topic, PartitionId partition) {
  if (!topic || partition < PartitionId{0} || partition.value() >= topic->partition_count()) return nullptr;
  return &topic->partitions[static_cast<std::size_t>(partition.value())];
}

bool holds(const PartitionImage& partition, BrokerId broker) {
  return std::ranges::find(partition.replicas, broker) != partition.replicas.end();
}

/// Others lead it, and as many hold it as its writers need.
bool safe_elsewhere(const TopicImage& topic, const PartitionImage& partition) {
  const auto wanted = std::min(partition.replicas.size(), static_cast<std::size_t>(topic.config.min_insync_replicas));
  return partition.leader != no_broker && !partition.is_reassigned() && !partition.isr.empty() &&
         partition.isr.size() >= wanted;
}

}  // namespace

void LeftLogs::recall(const Known& known) {
  for (const auto& [id, at] : known) known_.try_emplace(id, Seen{at, false});
}

LeftLogs::Known LeftLogs::known() const {
  Known all;
  for (const auto& [id, seen] : known_) all.emplace(id, seen.at);
  return all;
}

LeftLogs::Verdict LeftLogs::judge(const MetadataImage& image, BrokerEpoch run, const TopicIdPartition& id, bool& learned) {
  const auto topic = image.find_topic(id.topic_id);
  const auto* partition = partition_in(topic, id.partition);
  const auto found = known_.find(id);
  const bool was_known = found != known_.end();
  const bool doubted = was_known && !found->second.this_run && found->second.at.value() > run.value();
  if (partition == nullptr) return was_known && !doubted ? Verdict::left : Verdict::stray;
  if (doubted) return Verdict::stays;
  auto& seen = known_[id];
  seen = {was_known && seen.this_run ? seen.at : image.applied(), true};
  learned = learned || !was_known;
  return !holds(*partition, options_.node) && safe_elsewhere(*topic, *partition) ? Verdict::left : Verdict::stays;
}

LeftLogs::Findings LeftLogs::look(const MetadataImage& image, BrokerEpoch run, const std::vector<TopicIdPartition>& on_disk,
                                  MonotonicMs now) {
  Findings findings;
  if (run == no_broker_epoch) {
    left_since_.clear();
    return findings;
  }
  for (const auto& id : on_disk) {
    const auto verdict = judge(image, run, id, findings.learned);
    if (verdict != Verdict::left) {
      left_since_.erase(id);
      if (verdict == Verdict::stray) findings.strays.push_back(id);
      continue;
    }
    const auto since = left_since_.try_emplace(id, now).first->second;
    if (now - since >= options_.grace_ms) findings.remove.push_back(id);
  }
  const std::unordered_set<TopicIdPartition> there(on_disk.begin(), on_disk.end());
  std::erase_if(left_since_, [&](const auto& one) { return !there.contains(one.first); });
  const auto forgotten = std::erase_if(known_, [&](const auto& one) { return !there.contains(one.first); });
  findings.learned = findings.learned || forgotten > 0;
  return findings;
}

}  // namespace troupe::metadata
