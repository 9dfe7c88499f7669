#include <algorithm>
#include <array>

#include "core/metadata/cluster_report.hpp"
#include "core/metadata/reassignment_plan.hpp"
#include "core/metadata/topic_config.hpp"
#include "tests/sim/cluster/cluster_simulation.hpp"

/// The part of ClusterSimulation that does what operators do.
namespace troupe::sim {

using namespace metadata;

void ClusterSimulation::operate(MetadataCommand command, const char* what) {
  auto* at = any_ready_node();
  if (at == nullptr) return;
  at->command(std::move(command), 5'000, [this, what](const Result<MetadataAnswer>& answer) {
    mark(std::string(what) + (answer ? "" : ": " + std::string(to_string(answer.error().code))));
  });
}

void ClusterSimulation::reassign() {
  if (!topic_made_) return;
  const auto id = partition_id(any_partition());
  if (prng().chance(1, 4)) {
    return operate(ClusterCommand{ReassignPartitionsRequest{{{id, std::nullopt}}}}, "reassignment called off");
  }
  std::vector<BrokerId> brokers;
  for (const auto& one : nodes_) brokers.push_back(one->id());
  for (std::size_t i = brokers.size() - 1; i > 0; --i) std::swap(brokers[i], brokers[prng().below(i + 1)]);
  if (prng().chance(1, 3)) return reassign_by_plan(brokers);
  const auto usual = static_cast<std::size_t>(settings_.replication.replicas);
  // With fewer copies than `min.insync.replicas` nothing is written at `quorum`.
  const auto least = static_cast<std::int64_t>(settings_.replication.min_insync_replicas);
  const auto most = static_cast<std::int64_t>(brokers.size());
  brokers.resize(prng().chance(3, 4) ? usual : static_cast<std::size_t>(prng().between(least, most)));
  operate(ClusterCommand{ReassignPartitionsRequest{{{id, brokers}}}}, "reassigned");
}

/// As `troupe cluster reassign` does: all partitions onto some of the brokers, with few moves.
void ClusterSimulation::reassign_by_plan(std::vector<BrokerId> brokers) {
  if (prng().chance(2, 3)) brokers.pop_back();
  std::vector<PlanBroker> onto;
  const bool racks = prng().chance(1, 2);
  for (const auto broker : brokers) onto.push_back({broker, racks ? "rack " + std::to_string(broker.value() % 2) : ""});
  std::vector<ReplicaPlan> now;
  const auto& topic = world_.topics.front();
  for (std::size_t p = 0; p < topic.count; ++p) now.push_back({topic.name, partition_id(p).partition, states_[p].replicas});
  const auto plan = plan_reassignment(now, onto);
  if (!plan) return mark("no plan: " + std::string(to_string(plan.error().code)));
  ReassignPartitionsRequest request;
  for (const auto& one : *plan) {
    const auto& was = now[static_cast<std::size_t>(one.partition.value())].replicas;
    const bool elsewhere = std::ranges::any_of(one.replicas, [&](BrokerId id) { return !has_broker(brokers, id); });
    if (elsewhere || one.replicas.size() != was.size())
      fail("PlansAreRight", "a plan puts replicas where none may be, or loses one");
    request.reassignments.push_back({partition_id(static_cast<std::size_t>(one.partition.value())), one.replicas});
  }
  if (!request.reassignments.empty()) operate(ClusterCommand{std::move(request)}, "reassigned by plan");
}

/// Or back: as it is not.
void ClusterSimulation::drain(BrokerId broker) {
  const auto* known = committed_.now()->find_broker(broker);
  if (known == nullptr) return;
  operate(ClusterCommand{DrainBrokerRequest{.broker = broker, .drain = !known->draining}},
          known->draining ? "undrained" : "drained");
}

/// All nodes run and agree who votes: no change is on its way anywhere.
bool ClusterSimulation::quorum_is_whole() {
  const auto leader = quorum_.ready_leader();
  if (leader == BrokerId{-1} || quorum_.node(leader).voters().size() < 3) return false;
  return std::ranges::all_of(nodes_, [&](const auto& one) {
    if (!quorum_.up(one->id())) return false;
    const auto& other = quorum_.node(one->id());
    return other.voters() == quorum_.node(leader).voters() && other.epoch() == quorum_.node(leader).epoch();
  });
}

/// What an operator does: a disk that is gone goes first; then voters come and go.
void ClusterSimulation::change_voters() {
  const auto leader = quorum_.ready_leader();
  if (leader == BrokerId{-1}) return;
  const auto& voters = quorum_.node(leader).voters();
  if (dead_voter_ && voters.contains(*dead_voter_)) return quorum_.remove_voter(leader, *dead_voter_);
  const auto id = any_node().id();
  if (!quorum_.up(id) || quorum_.node(id).cluster_id().is_nil()) return;
  const auto key = quorum_.node(id).key();
  if (!voters.contains(key)) return quorum_.add_voter(leader, key);
  if (voters.size() > 1 && prng().chance(1, 2)) quorum_.remove_voter(leader, key);
}

/// One of a topic, right or wrong.
std::pair<std::string, std::string> ClusterSimulation::any_setting() {
  static const std::array<std::string, 18> values{
      "1",    "-1",       "0.5",   "1.5",  "2000",       "60000",         "compact", "delete", "compact,delete",
      "zstd", "interval", "fsync", "true", "CreateTime", "LogAppendTime", "x",       "",       std::string(300, '1')};
  const auto fields = topic_config_fields();
  if (prng().chance(1, 12)) return {prng().chance(1, 2) ? "no.such" : std::string(2'000, 'n'), "setting"};
  const auto& field = fields[prng().below(fields.size())];
  return {std::string(field.name),
          prng().chance(1, 3) ? std::string(field.default_value) : values[prng().below(values.size())]};
}

/// Of a topic of which only the metadata is looked at; now and then no name that one may have.
std::string ClusterSimulation::any_side_name() {
  static const std::array<std::string, 6> wrong{"", "..", "__side", "side_1", "si de", std::string(300, 's')};
  return prng().chance(1, 12) ? wrong[prng().below(wrong.size())] : "side." + std::to_string(prng().below(3));
}

void ClusterSimulation::create_topic(const std::string& name) {
  CreateTopicRequest create{.name = name, .partitions = static_cast<std::int32_t>(prng().between(1, 4))};
  if (prng().chance(1, 2)) create.replication_factor = static_cast<std::int32_t>(prng().between(1, 4));
  if (prng().chance(1, 12)) create.partitions = prng().chance(1, 2) ? 0 : 10'001;
  for (auto settings = prng().below(3); settings > 0; --settings) create.config.insert(any_setting());
  if (prng().chance(1, 4)) create.config["unclean.leader.election.enable"] = "true";
  if (prng().chance(1, 4)) {
    if (prng().chance(3, 4)) create.partitions.reset();
    if (prng().chance(3, 4)) create.replication_factor.reset();
    create.assignments.resize(prng().between(1, 3));
    const auto copies = prng().between(prng().chance(1, 8) ? 0 : 1, 3);
    for (auto& replicas : create.assignments) {
      for (auto i = prng().chance(1, 8) ? 1 : copies; i > 0; --i) {
        replicas.push_back(prng().chance(1, 20) ? BrokerId{99} : any_node().id());
      }
    }
  }
  create.validate_only = prng().chance(1, 8);
  operate(CreateTopicCommand{create}, "topic made");
}

void ClusterSimulation::change_topics() {
  if (healed_) return;
  const auto name = any_side_name();
  switch (prng().below(7)) {
    case 0:
    case 1: return create_topic(name);
    case 2:
    case 3: {
      AlterTopicRequest alter{.name = name, .validate_only = prng().chance(1, 8)};
      if (prng().chance(1, 2)) alter.partitions = static_cast<std::int32_t>(prng().between(1, 6));
      if (prng().chance(1, 2)) alter.config.insert(any_setting());
      if (prng().chance(1, 2)) alter.config["min.insync.replicas"] = std::to_string(prng().between(1, 3));
      if (prng().chance(1, 3)) alter.config[any_setting().first] = std::nullopt;
      return operate(AlterTopicCommand{alter}, "topic changed");
    }
    case 4: return operate(DeleteTopicCommand{name}, "topic deleted");
    case 5: {
      std::vector<TopicIdPartition> all;
      if (const auto topic = committed_.now()->find_topic(name)) {
        for (std::int32_t i = 0; i < topic->partition_count(); ++i) all.push_back({topic->id, PartitionId{i}});
      }
      return operate(ClusterCommand{ElectLeadersRequest{.partitions = all, .unclean = true}}, "unclean election asked");
    }
    default: return operate(ClusterCommand{BalanceLeadersRequest{.moves_max = 3}}, "balance asked");
  }
}

// --- what operators are shown

/// ReportsAgree: what one report counts the others name, on whichever node they are asked for.
void ClusterSimulation::look_around() {
  auto* at = any_ready_node();
  if (at == nullptr || !quorum_.up(at->id())) return;
  const auto& image = *at->image();
  const auto& replica = quorum_.node(at->id());
  const auto report = replica.report(quorum_.clock(at->id()));
  const auto living = report.without_ghosts([&](BrokerId id) { return image.find_broker(id) != nullptr; });
  if (report.high_watermark > report.log_end || report.voters.size() != replica.voters().size() ||
      living.observers.size() > report.observers.size()) {
    fail("ReportsAgree", "node " + to_string(at->id()) + " tells of another quorum than there is");
  }
  std::vector<BrokerId> reachable;
  for (const auto& one : nodes_) {
    if (one->up()) reachable.push_back(one->id());
  }
  const auto health = check_health(image, replica.voters().ids(), reachable, report.lost_voters());
  const auto named = [&](std::optional<PartitionFilter> filter) {
    PartitionQuery query{.only = filter, .limit = 1 + prng().below(5)};
    std::size_t count = 0;
    while (true) {
      const auto page = find_partitions(image, query);
      count += page.partitions.size();
      if (!page.more) return count;
      query.after = {page.partitions.back().topic->name, page.partitions.back().partition};
    }
  };
  std::size_t leads = 0, replicas = 0;
  for (const auto& one : report_brokers(image)) {
    leads += one.leads;
    replicas += one.replicas;
    mark("broker " + std::string(to_string(one.state)));
    if (find_partitions(image, {.broker = one.broker.id, .limit = SIZE_MAX}).partitions.size() != one.replicas)
      fail("ReportsAgree", "broker " + to_string(one.broker.id) + " does not hold what it is said to");
  }
  const auto with_leader = named(std::nullopt) - named(parse_partition_filter("leaderless"));
  const bool agree = health.partitions == named(std::nullopt) && health.leaderless == named(PartitionFilter::leaderless) &&
                     health.under_replicated == named(parse_partition_filter("under_replicated")) &&
                     health.under_min_isr == named(parse_partition_filter("under_min_isr")) &&
                     health.reassigning == named(PartitionFilter::reassigning) &&
                     health.not_preferred == named(PartitionFilter::not_preferred) && leads <= with_leader &&
                     replicas <= image.replica_count();
  if (!agree) fail("ReportsAgree", "the health of the cluster is not that of its partitions");
}

}  // namespace troupe::sim
