#include "core/metadata/reassignment_plan.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

namespace troupe::metadata {
namespace {

constexpr std::size_t nobody = std::numeric_limits<std::size_t>::max();

/// Brokers by index; `nobody` stands for one whose copy has to go elsewhere.
class Balance {
 public:
  Balance(std::span<const ReplicaPlan> now, std::span<const PlanBroker> brokers)
      : brokers_(brokers), held_(brokers.size()), leads_(brokers.size()), load_(brokers.size()) {
    std::unordered_map<BrokerId, std::size_t> index;
    std::map<std::string, std::size_t> racks, topics;
    for (std::size_t i = 0; i < brokers.size(); ++i) {
      index[brokers[i].id] = i;
      // A name that no rack can have stands for a broker by itself.
      const auto name = brokers[i].rack.empty() ? std::string(1, '\0') + to_string(brokers[i].id) : brokers[i].rack;
      rack_.push_back(racks.emplace(name, racks.size()).first->second);
    }
    for (const auto& plan : now) {
      topic_.push_back(topics.emplace(plan.topic, topics.size()).first->second);
      auto& replicas = replicas_.emplace_back();
      for (const auto broker : plan.replicas) {
        const auto found = index.find(broker);
        replicas.push_back(found == index.end() ? nobody : found->second);
      }
    }
    per_topic_.assign(brokers.size(), std::vector<std::size_t>(topics.size()));
    for (std::size_t partition = 0; partition < replicas_.size(); ++partition) {
      for (const auto broker : replicas_[partition]) {
        if (broker != nobody) count(partition, broker);
      }
    }
  }

  void run() {
    for (std::size_t partition = 0; partition < replicas_.size(); ++partition) fill(partition);
    while (move_one()) {}
    for (const auto& replicas : replicas_) ++leads_[replicas.front()];
    for (bool again = true; again;) {
      again = false;
      for (std::size_t broker = 0; broker < brokers_.size(); ++broker) {
        while (hand_over_from(broker)) again = true;
      }
    }
  }

  std::vector<BrokerId> replicas(std::size_t partition) const {
    std::vector<BrokerId> ids;
    for (const auto broker : replicas_[partition]) ids.push_back(brokers_[broker].id);
    return ids;
  }

 private:
  bool holds(std::size_t partition, std::size_t broker) const {
    return std::ranges::find(replicas_[partition], broker) != replicas_[partition].end();
  }
  void count(std::size_t partition, std::size_t broker) {
    held_[broker].insert(partition);
    ++load_[broker];
    ++per_topic_[broker][topic_[partition]];
  }
  void uncount(std::size_t partition, std::size_t broker) {
    held_[broker].erase(partition);
    --load_[broker];
    --per_topic_[broker][topic_[partition]];
  }

  /// Copies of the partition in the rack of `broker`, but for the one at `except`.
  std::size_t in_rack_of(std::size_t broker, std::size_t partition, std::size_t except) const {
    return static_cast<std::size_t>(std::ranges::count_if(replicas_[partition], [&](std::size_t other) {
      return other != nobody && other != except && rack_[other] == rack_[broker];
    }));
  }

  /// Gives each copy that has to go elsewhere the rack with fewest copies, the broker with fewest, of the topic with fewest.
  void fill(std::size_t partition) {
    for (auto& place : replicas_[partition]) {
      if (place != nobody) continue;
      std::size_t best = nobody;
      const auto price = [&](std::size_t broker) {
        return std::tuple(in_rack_of(broker, partition, nobody), load_[broker], per_topic_[broker][topic_[partition]],
                          broker);
      };
      for (std::size_t broker = 0; broker < brokers_.size(); ++broker) {
        if (!holds(partition, broker) && (best == nobody || price(broker) < price(best))) best = broker;
      }
      place = best;
      count(partition, best);
    }
  }

  /// Moves a copy from a fuller broker to an emptier one, the fullest and the emptiest first. False: there is none to move.
  bool move_one() {
    std::vector<std::size_t> order(brokers_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [&](std::size_t broker) { return std::pair(load_[broker], broker); });
    for (auto from = order.rbegin(); from != order.rend(); ++from) {
      for (const auto to : order) {
        if (load_[*from] < load_[to] + 2) break;
        if (const auto partition = copy_to_move(*from, to)) {
          move(*partition, *from, to);
          return true;
        }
      }
    }
    return false;
  }

  /// Of those that may move: of the topic of which the emptier broker lacks most, and rather not a leader.
  std::optional<std::size_t> copy_to_move(std::size_t from, std::size_t to) const {
    std::optional<std::size_t> best;
    const auto price = [&](std::size_t partition) {
      const auto topic = topic_[partition];
      return std::tuple(
          static_cast<std::int64_t>(per_topic_[to][topic]) - static_cast<std::int64_t>(per_topic_[from][topic]),
          replicas_[partition].front() == from);
    };
    for (const auto partition : held_[from]) {
      if (holds(partition, to) || in_rack_of(to, partition, from) > in_rack_of(from, partition, from)) continue;
      if (!best || price(partition) < price(*best)) best = partition;
    }
    return best;
  }

  void move(std::size_t partition, std::size_t from, std::size_t to) {
    *std::ranges::find(replicas_[partition], from) = to;
    uncount(partition, from);
    count(partition, to);
  }

  /// Takes one leadership from `first` to a broker that leads at least two fewer, through others if need be: each of them gives one and
  /// gets one. False: there is no such way.
  bool hand_over_from(std::size_t first) {
    std::vector<std::optional<std::size_t>> by(brokers_.size());  // the partition by which the way came here
    std::vector<bool> seen(brokers_.size());
    std::deque<std::size_t> ways{first};
    seen[first] = true;
    while (!ways.empty()) {
      const auto at = ways.front();
      ways.pop_front();
      if (leads_[first] >= leads_[at] + 2) {
        --leads_[first];
        ++leads_[at];
        for (auto to = at; to != first;) {
          auto& replicas = replicas_[*by[to]];
          const auto from = replicas.front();
          std::swap(replicas.front(), *std::ranges::find(replicas, to));
          to = from;
        }
        return true;
      }
      for (const auto partition : held_[at]) {
        if (replicas_[partition].front() != at) continue;
        for (const auto next : replicas_[partition]) {
          if (seen[next]) continue;
          seen[next] = true;
          by[next] = partition;
          ways.push_back(next);
        }
      }
    }
    return false;
  }

  const std::span<const PlanBroker> brokers_;
  std::vector<std::size_t> rack_;                    ///< of each broker
  std::vector<std::size_t> topic_;                   ///< of each partition
  std::vector<std::vector<std::size_t>> replicas_;   ///< of each partition
  std::vector<std::set<std::size_t>> held_;          ///< partitions of each broker
  std::vector<std::size_t> leads_, load_;            ///< of each broker: partitions it is to lead, copies
  std::vector<std::vector<std::size_t>> per_topic_;  ///< copies, by broker and topic
};

}  // namespace

Result<std::vector<ReplicaPlan>> plan_reassignment(std::span<const ReplicaPlan> now, std::span<const PlanBroker> brokers) {
  std::set<BrokerId> ids;
  for (const auto& broker : brokers) {
    if (!ids.insert(broker.id).second) {
      return Error{Errc::invalid_replica_assignment, "broker " + to_string(broker.id) + " is named twice"};
    }
  }
  if (brokers.empty()) return Error{Errc::invalid_replica_assignment, "there is no broker to put replicas on"};
  for (const auto& one : now) {
    if (!one.replicas.empty() && one.replicas.size() <= brokers.size()) continue;
    return Error{Errc::invalid_replica_assignment, "partition " + to_string(one.partition) + " of topic " + one.topic +
                                                       " has " + std::to_string(one.replicas.size()) +
                                                       " replicas, and there are " + std::to_string(brokers.size()) +
                                                       " brokers for them"};
  }
  Balance balance(now, brokers);
  balance.run();
  std::vector<ReplicaPlan> changed;
  for (std::size_t i = 0; i < now.size(); ++i) {
    auto replicas = balance.replicas(i);
    if (replicas != now[i].replicas) changed.push_back({now[i].topic, now[i].partition, std::move(replicas)});
  }
  return changed;
}

}  // namespace troupe::metadata
