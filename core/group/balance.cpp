#include "core/group/balance.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

namespace troupe::group {
namespace {

bool subscribes(const AssignorMember& member, const TopicId& topic) {
  return std::ranges::binary_search(member.topics, topic);
}

/// The members' loads while partitions move between them.
class Scales {
 public:
  Scales(const AssignorRequest& request, std::vector<PartitionList> lists)
      : request_(request), lists_(std::move(lists)), loads_(lists_.size(), 0) {
    for (std::size_t member = 0; member < lists_.size(); ++member) {
      for (const auto& partition : lists_[member]) loads_[member] += load_of(partition);
    }
    for (std::size_t member = 0; member < lists_.size(); ++member) {
      for (const auto& topic : request_.members[member].topics) subscribers_[topic].push_back(member);
    }
  }

  std::uint64_t load_of(const TopicIdPartition& partition) const {
    // One for itself: a thousand idle partitions are not nothing.
    return request_.load ? 1 + request_.load(partition) : 1;
  }
  std::uint64_t load(std::size_t member) const { return loads_[member]; }
  std::size_t subscribers(const TopicId& topic) const {
    const auto found = subscribers_.find(topic);
    return found == subscribers_.end() ? 0 : found->second.size();
  }
  std::uint64_t share() const {
    const auto all = std::accumulate(loads_.begin(), loads_.end(), std::uint64_t{0});
    return loads_.empty() ? 0 : (all + loads_.size() - 1) / loads_.size();
  }

  /// Of those that subscribe to the topic; nullopt: nobody does.
  std::optional<std::size_t> lightest(const TopicId& topic) const {
    const auto found = subscribers_.find(topic);
    if (found == subscribers_.end()) return std::nullopt;
    return *std::ranges::min_element(found->second, {}, [this](std::size_t member) { return loads_[member]; });
  }

  void give(std::size_t member, const TopicIdPartition& partition) {
    auto& list = lists_[member];
    list.insert(std::ranges::lower_bound(list, partition), partition);
    loads_[member] += load_of(partition);
  }

  /// The best single move away from `member`: the heaviest partition that makes the receiver no heavier than the giver was.
  bool relieve(std::size_t member) {
    std::optional<TopicIdPartition> best;
    std::size_t to = 0;
    std::uint64_t best_load = 0;
    const auto& list = lists_[member];
    // From the end: what a member has had for longest tends to be at the front.
    for (auto at = list.rbegin(); at != list.rend(); ++at) {
      const auto weight = load_of(*at);
      if (weight <= best_load) continue;
      const auto receiver = *lightest(at->topic_id);
      if (receiver == member || loads_[receiver] + weight >= loads_[member]) continue;
      best = *at;
      to = receiver;
      best_load = weight;
    }
    if (!best) return false;
    auto& from = lists_[member];
    from.erase(std::ranges::lower_bound(from, *best));
    loads_[member] -= best_load;
    give(to, *best);
    return true;
  }

  std::vector<PartitionList> take() { return std::move(lists_); }

 private:
  const AssignorRequest& request_;
  std::vector<PartitionList> lists_;
  std::vector<std::uint64_t> loads_;
  std::map<TopicId, std::vector<std::size_t>> subscribers_;
};

}  // namespace

Kept keep_what_can_stay(const AssignorRequest& request) {
  Kept kept;
  kept.lists.resize(request.members.size());
  std::map<TopicId, std::vector<bool>> given;
  for (const auto& member : request.members) {
    for (const auto& topic : member.topics) {
      const auto found = request.partitions.find(topic);
      if (found != request.partitions.end()) given[topic].resize(static_cast<std::size_t>(found->second));
    }
  }
  for (std::size_t member = 0; member < request.members.size(); ++member) {
    for (const auto& partition : *request.members[member].had) {
      const auto found = given.find(partition.topic_id);
      if (found == given.end() || !subscribes(request.members[member], partition.topic_id)) continue;
      const auto index = static_cast<std::size_t>(partition.partition.value());
      if (index >= found->second.size() || found->second[index]) continue;
      found->second[index] = true;
      kept.lists[member].push_back(partition);
    }
  }
  for (const auto& [topic, taken] : given) {
    for (std::size_t index = 0; index < taken.size(); ++index) {
      if (!taken[index]) kept.free.push_back({topic, PartitionId{static_cast<std::int32_t>(index)}});
    }
  }
  return kept;
}

bool same_subscriptions(const AssignorRequest& request) {
  return std::ranges::all_of(request.members,
                             [&](const auto& member) { return member.topics == request.members.front().topics; });
}

std::vector<PartitionList> balance(const AssignorRequest& request, Kept kept, std::uint64_t slack) {
  Scales scales(request, std::move(kept.lists));
  // Those with few readers first, and the heavy ones: what comes last has to fit in.
  std::ranges::stable_sort(kept.free, [&](const auto& a, const auto& b) {
    const auto readers_a = scales.subscribers(a.topic_id);
    const auto readers_b = scales.subscribers(b.topic_id);
    return readers_a != readers_b ? readers_a < readers_b : scales.load_of(a) > scales.load_of(b);
  });
  for (const auto& partition : kept.free) {
    if (const auto member = scales.lightest(partition.topic_id)) scales.give(*member, partition);
  }
  std::vector<std::size_t> members(request.members.size());
  std::iota(members.begin(), members.end(), std::size_t{0});
  // Each move makes the sum of the squares of the loads smaller, so this ends.
  for (bool moved = true; moved;) {
    moved = false;
    std::ranges::stable_sort(members, std::ranges::greater{}, [&](std::size_t member) { return scales.load(member); });
    const auto limit = scales.share() * (100 + slack) / 100;
    for (const auto member : members) {
      while (scales.load(member) > limit || slack == 0) {
        if (!scales.relieve(member)) break;
        moved = true;
      }
    }
  }
  return scales.take();
}

}  // namespace troupe::group
