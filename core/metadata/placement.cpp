#include "core/metadata/placement.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "core/metadata/partition_change.hpp"

namespace troupe::metadata {
namespace {

/// Brokers in an order in which neighbours are in different racks as far as that goes, each with the number of its rack.
class Places {
 public:
  struct Place {
    BrokerId broker;
    std::size_t rack;
    std::size_t copies = 0;  ///< of the topic
  };

  /// The first `leaders()` live.
  Places(const MetadataImage& image, std::size_t wanted) {
    add(image, [](const BrokerRegistration& one) { return !one.draining && !one.fenced && !one.stopping; });
    leaders_ = places_.size();
    if (leaders_ < wanted)
      add(image, [](const BrokerRegistration& one) { return !one.draining && (one.fenced || one.stopping); });
    copies_in_rack_.resize(racks_.size() + places_.size());
  }

  std::size_t leaders() const { return leaders_; }
  std::size_t size() const { return places_.size(); }
  std::optional<std::size_t> leader_index(BrokerId broker) const {
    const auto end = places_.begin() + static_cast<std::ptrdiff_t>(leaders_);
    const auto at = std::find_if(places_.begin(), end, [&](const Place& place) { return place.broker == broker; });
    return at == end ? std::nullopt : std::optional{static_cast<std::size_t>(at - places_.begin())};
  }

  void count(std::span<const PartitionImage> existing) {
    std::map<BrokerId, std::size_t> copies;
    for (const auto& partition : existing) {
      for (const auto broker : partition.replicas) ++copies[broker];
    }
    for (auto& place : places_) {
      if (const auto at = copies.find(place.broker); at != copies.end()) place.copies = at->second;
    }
  }

  /// `leader`: its place. `distance`: from there to the place that is tried first for the second copy.
  std::vector<BrokerId> choose(std::size_t leader, std::size_t distance, std::size_t replication_factor) {
    std::vector<std::size_t> chosen{leader};
    take(leader);
    while (chosen.size() < replication_factor) {
      const auto key = [&](std::size_t at) {
        const auto behind = (at + 2 * places_.size() - leader - 1 - distance % places_.size()) % places_.size();
        return std::tuple{at >= leaders_, copies_in_rack_[places_[at].rack], places_[at].copies, behind};
      };
      auto best = places_.size();
      for (std::size_t at = 0; at < places_.size(); ++at) {
        if (std::ranges::find(chosen, at) != chosen.end()) continue;
        if (best == places_.size() || key(at) < key(best)) best = at;
      }
      chosen.push_back(best);
      take(best);
    }
    std::vector<BrokerId> brokers;
    for (const auto at : chosen) {
      brokers.push_back(places_[at].broker);
      copies_in_rack_[places_[at].rack] = 0;
    }
    return brokers;
  }

 private:
  template <class Predicate>
  void add(const MetadataImage& image, Predicate belongs) {
    std::map<std::size_t, std::vector<Place>> by_rack;
    std::size_t most = 0;
    for (const auto& one : image.registrations()) {
      if (!belongs(one)) continue;
      const auto name = one.broker.rack.empty() ? "\n" + to_string(one.broker.id) : one.broker.rack;
      const auto rack = racks_.try_emplace(name, racks_.size()).first->second;
      by_rack[rack].push_back({one.broker.id, rack});
      most = std::max(most, by_rack[rack].size());
    }
    for (std::size_t row = 0; row < most; ++row) {
      for (const auto& [rack, places] : by_rack) {
        if (row < places.size()) places_.push_back(places[row]);
      }
    }
  }

  void take(std::size_t at) {
    ++places_[at].copies;
    ++copies_in_rack_[places_[at].rack];
  }

  std::map<std::string, std::size_t> racks_;  ///< a broker without one has one that no name of a rack can be
  std::vector<Place> places_;
  std::vector<std::size_t> copies_in_rack_;  ///< of one partition
  std::size_t leaders_ = 0;
};

}  // namespace

std::size_t placeable_brokers(const MetadataImage& image) {
  return static_cast<std::size_t>(
      std::ranges::count_if(image.registrations(), [](const BrokerRegistration& one) { return !one.draining; }));
}

Result<std::vector<std::vector<BrokerId>>> place_replicas(const MetadataImage& image, const PlacementRequest& request) {
  Places places{image, request.replication_factor};
  if (places.leaders() == 0)
    return Error{Errc::leader_not_available, "no broker is ready for a new partition yet: try again"};
  if (request.replication_factor < 1 || request.replication_factor > places.size()) {
    const auto brokers = placeable_brokers(image);
    return Error{Errc::invalid_replication_factor,
                 "replication factor " + std::to_string(request.replication_factor) + ": 1 to " + std::to_string(brokers) +
                     (brokers == 1 ? " is possible, there is one broker" : " are possible, one a broker")};
  }
  places.count(request.existing);
  auto start = request.start;
  if (!request.existing.empty() && !request.existing.back().replicas.empty()) {
    if (const auto last = places.leader_index(request.existing.back().replicas.front())) start = *last + 1;
  }
  std::vector<std::vector<BrokerId>> all;
  all.reserve(request.partitions);
  for (std::size_t i = 0; i < request.partitions; ++i) {
    const auto turn = start + i;
    all.push_back(places.choose(turn % places.leaders(), turn / places.leaders(), request.replication_factor));
  }
  return all;
}

PartitionRecord new_partition(const MetadataImage& image, const TopicId& topic, PartitionId partition,
                              std::vector<BrokerId> replicas) {
  const BrokerStates brokers{image};
  PartitionRecord record{.topic_id = topic, .partition = partition, .replicas = std::move(replicas)};
  auto best = Fitness::fenced;
  for (const auto broker : record.replicas) {
    const auto fitness = brokers.fitness(broker);
    if (fitness == Fitness::fenced) continue;
    if (fitness < best) {
      record.leader = broker;
      best = fitness;
    }
    if (fitness != Fitness::stopping) record.isr.push_back(broker);
  }
  if (record.isr.empty() && record.leader != no_broker) record.isr = {record.leader};
  return record;
}

}  // namespace troupe::metadata
