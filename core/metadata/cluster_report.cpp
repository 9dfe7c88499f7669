#include "core/metadata/cluster_report.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "core/metadata/partition_change.hpp"

namespace troupe::metadata {
namespace {

BrokerState state_of(const BrokerRegistration& broker, std::size_t leads) {
  if (broker.fenced) return BrokerState::fenced;
  if (broker.stopping) return BrokerState::stopping;
  if (!broker.draining) return BrokerState::up;
  return leads == 0 ? BrokerState::drained : BrokerState::draining;
}

/// Replicas that should be in sync and are not.
std::vector<BrokerId> missing(const PartitionImage& partition) {
  auto all = without(partition.replicas, partition.isr);
  return partition.adding_replicas.empty() ? all : without(all, partition.adding_replicas);
}

std::size_t needed_in_sync(const TopicImage& topic, const PartitionImage& partition) {
  return std::min(partition.replicas.size(), static_cast<std::size_t>(std::max(topic.config.min_insync_replicas, 0)));
}

std::string list(const std::vector<BrokerId>& brokers) {
  std::string text;
  for (const auto broker : brokers) text += (text.empty() ? "" : ", ") + to_string(broker);
  return text.empty() ? "none" : text;
}

std::string name_of(const PartitionAt& at) { return at.topic->name + "/" + to_string(at.partition); }

/// Sentences by how bad they are; what is beyond the bound is counted.
class Problems {
 public:
  void add(std::string sentence) {
    ++count_;
    if (sentences_.size() < problems_max) sentences_.push_back(std::move(sentence));
  }
  /// Behind these.
  void add_all(Problems others) {
    count_ += others.count_ - others.sentences_.size();
    for (auto& sentence : others.sentences_) add(std::move(sentence));
  }
  std::vector<std::string> take() {
    if (count_ > sentences_.size()) {
      sentences_.back() = "and " + std::to_string(count_ - sentences_.size() + 1) + " more";
    }
    return std::move(sentences_);
  }

 private:
  std::vector<std::string> sentences_;
  std::size_t count_ = 0;
};

void check_brokers(const MetadataImage& image, std::span<const BrokerId> voters, std::span<const BrokerId> reachable,
                   std::span<const BrokerId> lost, ClusterHealth& health, Problems& problems) {
  const bool controlled = image.controller_id() != no_broker;
  const auto alive = [&](BrokerId id) {
    if (!controlled) return has_broker(reachable, id);
    const auto* known = image.find_broker(id);
    return known != nullptr && !known->fenced;
  };
  for (const auto voter : voters) health.voters_up += alive(voter) && !has_broker(lost, voter) ? 1 : 0;
  health.voters = voters.size();
  if (!controlled) {
    problems.add("there is no controller: " + std::to_string(health.voters_up) + " of " + std::to_string(health.voters) +
                 " voters can be reached from this node, and more than half of them have to agree");
  }
  for (const auto& one : image.registrations()) {
    const auto id = one.broker.id;
    ++health.brokers;
    if (alive(id)) {
      ++health.brokers_up;
      continue;
    }
    problems.add("broker " + to_string(id) + (has_broker(voters, id) ? ", which votes," : "") +
                 (controlled ? " is fenced: it has ended, is silent, or has not caught up with the metadata"
                             : " cannot be reached from this node"));
  }
  for (const auto voter : lost) {
    const auto id = to_string(voter);
    problems.add("voter " + id + " has no vote: it came back without the metadata directory that votes; " +
                 (controlled ? "take the old vote and give it a new one (`troupe cluster voters remove " + id +
                                   "`, then `voters add " + id + "`)"
                             : "put the directory back, or start the voters that cannot be reached"));
  }
  for (const auto voter : voters) {
    if (image.find_broker(voter) == nullptr && !alive(voter)) {
      problems.add("voter " + to_string(voter) + " is no broker of this cluster: it has never come up, or was removed");
    }
  }
}

}  // namespace

std::string_view to_string(BrokerState state) noexcept {
  switch (state) {
    case BrokerState::up: return "up";
    case BrokerState::fenced: return "fenced";
    case BrokerState::draining: return "draining";
    case BrokerState::drained: return "drained";
    case BrokerState::stopping: return "stopping";
  }
  return "unknown";
}

std::vector<BrokerReport> report_brokers(const MetadataImage& image) {
  std::vector<BrokerReport> all;
  std::map<BrokerId, std::size_t> places;
  for (const auto& one : image.registrations()) {
    places[one.broker.id] = all.size();
    all.push_back({.broker = one.broker, .epoch = one.broker_epoch});
  }
  for_each_partition(image, [&](const TopicImage&, PartitionId, const PartitionImage& now) {
    if (const auto at = places.find(now.leader); at != places.end()) ++all[at->second].leads;
    for (const auto replica : now.replicas) {
      if (const auto at = places.find(replica); at != places.end()) ++all[at->second].replicas;
    }
  });
  for (std::size_t i = 0; i < all.size(); ++i) all[i].state = state_of(image.registrations()[i], all[i].leads);
  return all;
}

std::optional<PartitionFilter> parse_partition_filter(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, PartitionFilter>, 5> words{
      {{"leaderless", PartitionFilter::leaderless},
       {"under_replicated", PartitionFilter::under_replicated},
       {"under_min_isr", PartitionFilter::under_min_isr},
       {"reassigning", PartitionFilter::reassigning},
       {"not_preferred", PartitionFilter::not_preferred}}};
  for (const auto& [word, filter] : words) {
    if (word == text) return filter;
  }
  return std::nullopt;
}

bool fits(const TopicImage& topic, const PartitionImage& partition, PartitionFilter filter) {
  switch (filter) {
    case PartitionFilter::leaderless: return partition.leader == no_broker;
    case PartitionFilter::under_replicated: return !missing(partition).empty();
    case PartitionFilter::under_min_isr: return partition.isr.size() < needed_in_sync(topic, partition);
    case PartitionFilter::reassigning: return partition.is_reassigned();
    case PartitionFilter::not_preferred:
      return partition.leader != no_broker && !partition.replicas.empty() && partition.leader != partition.replicas.front();
  }
  return false;
}

PartitionPage find_partitions(const MetadataImage& image, const PartitionQuery& query) {
  PartitionPage page;
  std::vector<TopicPtr> topics;
  if (!query.topic) {
    topics = image.topics();
  } else if (auto one = image.find_topic(*query.topic)) {
    topics.push_back(std::move(one));
  }
  for (const auto& topic : topics) {
    if (query.after && topic->name < query.after->first) continue;
    const bool begun = query.after && topic->name == query.after->first;
    for (std::int32_t i = 0; i < topic->partition_count(); ++i) {
      if (begun && PartitionId{i} <= query.after->second) continue;
      const PartitionAt at{topic, PartitionId{i}};
      if (query.broker && !has_broker(at.image().replicas, *query.broker)) continue;
      if (query.only && !fits(*topic, at.image(), *query.only)) continue;
      if (page.partitions.size() >= query.limit) {
        page.more = true;
        return page;
      }
      page.partitions.push_back(at);
    }
  }
  return page;
}

ClusterHealth check_health(const MetadataImage& image, std::span<const BrokerId> voters, std::span<const BrokerId> reachable,
                           std::span<const BrokerId> lost) {
  ClusterHealth health{.controller = image.controller_id(), .partitions = image.partition_count()};
  Problems problems;
  check_brokers(image, voters, reachable, lost, health, problems);
  Problems short_of, behind;
  for (const auto& at : find_partitions(image, {.limit = SIZE_MAX}).partitions) {
    const auto& now = at.image();
    const auto is = [&](PartitionFilter filter) { return fits(*at.topic, now, filter); };
    health.reassigning += is(PartitionFilter::reassigning) ? 1 : 0;
    health.not_preferred += is(PartitionFilter::not_preferred) ? 1 : 0;
    const bool leaderless = is(PartitionFilter::leaderless), under_min = is(PartitionFilter::under_min_isr);
    const bool under_replicated = is(PartitionFilter::under_replicated);
    health.leaderless += leaderless ? 1 : 0;
    health.under_min_isr += under_min ? 1 : 0;
    health.under_replicated += under_replicated ? 1 : 0;
    if (leaderless) {
      problems.add(name_of(at) + " has no leader: of its replicas " + list(now.replicas) + " none that may lead is alive");
    } else if (under_min) {
      short_of.add(name_of(at) + " takes no writes with acks=quorum: in sync are " + list(now.isr) + ", needed are " +
                   std::to_string(needed_in_sync(*at.topic, now)));
    } else if (under_replicated) {
      behind.add(name_of(at) + ": not in sync are " + list(missing(now)));
    }
  }
  problems.add_all(std::move(short_of));
  problems.add_all(std::move(behind));
  health.problems = problems.take();
  return health;
}

}  // namespace troupe::metadata
