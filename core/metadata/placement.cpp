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
    if (places_.size() < wanted)
      add(image, [](const BrokerRegistration& one) { return !one.draining && !one.fenced && one.stopping; });
    live_ = places_.size();
    if (places_.size() < wanted) add(image, [](const BrokerRegistration& one) { return !one.draining && one.fenced; });
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
        return std::tuple{at >= leaders_, at >= live_, copies_in_rack_[places_[at].rack], places_[at].copies, behind};
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
  std::size_t live_ = 0;  ///< the leaders, and those that are stopping
};

/// "broker 1 is down, broker 3 is draining": who cannot be used, draining brokers only or all.
std::string in_the_way(const MetadataImage& image, bool draining_only) {
  std::string names;
  for (const auto& one : image.registrations()) {
    const auto* why = one.draining    ? "draining"
                      : draining_only ? nullptr
                      : one.fenced    ? "down"
                      : one.stopping  ? "stopping"
                                      : nullptr;
    if (why == nullptr) continue;
    names += (names.empty() ? "broker " : ", broker ") + to_string(one.broker.id) + " is " + why;
  }
  return names;
}

}  // namespace

std::size_t placeable_brokers(const MetadataImage& image) {
  return static_cast<std::size_t>(
      std::ranges::count_if(image.registrations(), [](const BrokerRegistration& one) { return !one.draining; }));
}

Status check_replication_factor(const MetadataImage& image, std::int64_t wanted) {
  const auto brokers = placeable_brokers(image);
  if (wanted >= 1 && static_cast<std::size_t>(wanted) <= brokers) return ok();
  auto why = "replication factor " + std::to_string(wanted) + ": 1 to " + std::to_string(brokers) +
             (brokers == 1 ? " is possible" : " are possible");
  const auto all = image.registrations().size();
  if (brokers == all) {
    why += brokers == 1 ? ", there is one broker" : ", one a broker";
  } else {
    why += "; " + std::to_string(brokers) + " of " + std::to_string(all) +
           " brokers can take copies: " + in_the_way(image, true);
  }
  return Error{Errc::invalid_replication_factor, std::move(why)};
}

Result<std::vector<std::vector<BrokerId>>> place_replicas(const MetadataImage& image, const PlacementRequest& request) {
  Places places{image, request.replication_factor};
  if (places.leaders() == 0) {
    const auto why = in_the_way(image, false);
    return Error{Errc::leader_not_available,
                 "no broker is ready for a new partition" + (why.empty() ? " yet" : ": " + why) + "; try again"};
  }
  TROUPE_TRY(check_replication_factor(image, static_cast<std::int64_t>(request.replication_factor)));
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
