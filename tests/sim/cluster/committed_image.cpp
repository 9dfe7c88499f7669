#include "tests/sim/cluster/committed_image.hpp"

#include <algorithm>
#include <set>

#include "core/metadata/partition_change.hpp"

namespace troupe::sim {

using namespace metadata;

namespace {

std::string text(const std::vector<BrokerId>& brokers) {
  std::string all;
  for (const auto broker : brokers) all += (all.empty() ? "" : " ") + to_string(broker);
  return "{" + all + "}";
}

std::string text(const PartitionImage& one) {
  return "leader " + to_string(one.leader) + " epoch " + to_string(one.leader_epoch) + "." + to_string(one.partition_epoch) +
         " replicas " + text(one.replicas) + " isr " + text(one.isr) + " elr " + text(one.eligible_leader_replicas) +
         " adding " + text(one.adding_replicas) + " removing " + text(one.removing_replicas) + " last leader " +
         to_string(one.last_known_leader);
}

std::string name(const TopicImage& topic, std::size_t partition) {
  return topic.name + "/" + std::to_string(partition) + ": ";
}

/// Where a reassignment ends, the new copies are in sync. One that is called off leaves another set of replicas.
bool keeps_copies(const PartitionImage& was, const PartitionImage& now) {
  const bool ended =
      was.is_reassigned() && !now.is_reassigned() && now.replicas == without(was.replicas, was.removing_replicas);
  if (!ended || now.partition_epoch > was.partition_epoch + 1) return true;  // later: more happened in the same turn
  return without(was.adding_replicas, now.isr).empty();
}

}  // namespace

DeltaPtr CommittedImage::take(const quorum::LogEntry& entry) {
  ImageBuilder builder{now_};
  if (entry.kind == quorum::EntryKind::data) {
    if (const auto applied = builder.apply_batches(entry.payload, entry.base_offset); !applied) {
      fail_("CommittedMetadataApplies", to_string(applied.error()));
      return nullptr;
    }
  }
  auto delta = std::make_shared<ImageDelta>(builder.finish(entry.end_offset(), now_->controller_id()));
  now_ = delta->after;
  images_.emplace(entry.end_offset(), now_);
  if (entry.kind != quorum::EntryKind::data) return nullptr;
  check_step(*delta);
  return delta;
}

void CommittedImage::check_shown(BrokerId node, const MetadataImage& image) const {
  const auto known = images_.find(image.applied());
  if (known == images_.end()) {
    return fail_("StateMachineSafety", "broker " + to_string(node) + " shows an image of what is below " +
                                           to_string(image.applied()) + ", where nothing committed ends");
  }
  if (same_content(*known->second, image)) return;
  fail_("StateMachineSafety",
        "broker " + to_string(node) + " shows another image than what is committed below " + to_string(image.applied()));
}

/// Epochs never go back; a change of a partition raises its partition epoch; another leader, or another run of it, the leader epoch.
void CommittedImage::check_step(const ImageDelta& delta) const {
  const auto run_of = [](const MetadataImage& image, BrokerId broker) {
    const auto* known = image.find_broker(broker);
    return known == nullptr ? no_offset : known->broker_epoch;
  };
  // Registrations and fences judge partitions that they do not change.
  now_->for_each_topic([&](const TopicPtr& topic) {
    const auto before = delta.before->find_topic(topic->id);
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
      check_partition(*topic, PartitionId{static_cast<std::int32_t>(i)});
      if (!before || i >= before->partitions.size()) continue;
      const auto& was = before->partitions[i];
      const auto& now = topic->partitions[i];
      const auto hold = [&](bool holds, const char* invariant) {
        if (!holds) fail_(invariant, name(*topic, i) + "before: " + text(was) + ", now: " + text(now));
      };
      hold(now == was || now.partition_epoch > was.partition_epoch, "PartitionEpochGrows");
      hold(keeps_copies(was, now), "ReassignmentsKeepCopies");
      hold(now.leader_epoch >= was.leader_epoch, "SingleLeaderPerEpoch");
      const bool same_run =
          now.leader == was.leader && run_of(*delta.after, now.leader) == run_of(*delta.before, was.leader);
      // One turn of the controller may move a leader away and back.
      hold(same_run || now.leader_epoch > was.leader_epoch, "SingleLeaderPerEpoch");
    }
  });
}

void CommittedImage::check_partition(const TopicImage& topic, PartitionId number) const {
  const auto index = static_cast<std::size_t>(number.value());
  const auto& now = topic.partitions[index];
  const auto hold = [&](bool holds, const char* invariant, const char* rule) {
    if (!holds) fail_(invariant, name(topic, index) + rule + "; " + text(now));
  };
  const auto are_replicas = [&](const std::vector<BrokerId>& brokers) {
    return std::set(brokers.begin(), brokers.end()).size() == brokers.size() && without(brokers, now.replicas).empty();
  };
  const auto live = [&](BrokerId broker) {
    const auto* known = now_->find_broker(broker);
    return known != nullptr && !known->fenced;
  };
  const auto minimum = std::min(now.replicas.size(), static_cast<std::size_t>(topic.config.min_insync_replicas));
  hold(now.leader == no_broker || has_broker(now.isr, now.leader), "LeaderInIsr", "its leader is not in the ISR");
  hold(now.leader == no_broker || live(now.leader), "LeaderIsAlive", "a fenced broker leads");
  hold(!now.replicas.empty() && are_replicas(now.replicas), "ImageRules", "each replica once");
  hold(are_replicas(now.isr) && are_replicas(now.eligible_leader_replicas), "ImageRules", "ISR and ELR are of replicas");
  hold(are_replicas(now.adding_replicas) && are_replicas(now.removing_replicas), "ImageRules", "adding, removing: replicas");
  hold(without(now.isr, now.eligible_leader_replicas) == now.isr, "ImageRules", "ISR and ELR are disjoint");
  const bool disk_lost = std::ranges::any_of(now_->registrations(),
                                             [](const auto& one) { return number_of_disk(one.broker.directory_id) > 1; });
  hold(now.isr.empty() || now.last_known_leader == no_broker, "ImageRules", "a last known leader is of an empty ISR");
  hold(!now.isr.empty() || now.last_known_leader != no_broker || disk_lost, "ImageRules",
       "an empty ISR has a last known leader, unless its disk is gone");
  hold(!now.isr.empty() || now.leader == no_broker, "ImageRules", "who leads is the ISR at least");
  hold(now.eligible_leader_replicas.empty() || now.isr.size() < minimum, "ImageRules", "an ELR only below the minimum");
  hold(now.isr.size() < 2 || std::ranges::all_of(now.isr, live), "ImageRules", "only the last of an ISR may be fenced");
  if (now.leader == no_broker) {
    hold(std::ranges::none_of(now.isr, live) && std::ranges::none_of(now.eligible_leader_replicas, live), "LeaderIfPossible",
         "who can be elected cleanly is not");
  }
}

}  // namespace troupe::sim
