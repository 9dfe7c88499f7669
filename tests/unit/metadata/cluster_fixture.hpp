#pragma once

#include <algorithm>
#include <set>

#include "core/metadata/cluster_rules.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

/// A cluster on which requests are decided and committed one by one.
namespace troupe::test {

inline std::vector<BrokerId> ids_of(const std::vector<std::int32_t>& numbers) {
  std::vector<BrokerId> all;
  for (const auto number : numbers) all.emplace_back(number);
  return all;
}

inline std::vector<std::int32_t> numbers(const std::vector<BrokerId>& brokers) {
  std::vector<std::int32_t> all;
  for (const auto broker : brokers) all.push_back(broker.value());
  return all;
}

using Ids = std::vector<std::int32_t>;

class Cluster {
 public:
  explicit Cluster(std::int32_t brokers) : image(cluster_image(brokers)) {}

  metadata::ImagePtr image;
  metadata::ClusterAnswer answer;  ///< of the last request
  std::size_t written = 0;         ///< records of the last request

  /// Decides and commits. Fails the test when it is refused.
  void commit(const metadata::ClusterRequest& request) {
    auto decision = metadata::decide_cluster(*image, request);
    if (!decision) FAIL(to_string(decision.error()));
    written = decision->records.size();
    answer = std::move(decision->answer);
    apply(decision->records);
  }
  Errc refusal(const metadata::ClusterRequest& request) const {
    const auto decision = metadata::decide_cluster(*image, request);
    REQUIRE_FALSE(decision);
    CHECK_FALSE(decision.error().message.empty());
    return decision.error().code;
  }
  void apply(const std::vector<metadata::MetadataRecord>& records) { image = apply_records(image, records).after; }

  /// A topic whose partitions have these replicas.
  TopicId add_topic(const std::string& name, const std::vector<Ids>& assignments,
                    const std::map<std::string, std::string>& config = {}) {
    CreateTopicRequest request{.name = name, .config = config};
    for (const auto& one : assignments) request.assignments.push_back(ids_of(one));
    image = with_topic(image, request, new_uuid);
    return image->find_topic(name)->id;
  }
  const metadata::PartitionImage& partition(const TopicId& topic, std::int32_t number = 0) const {
    return image->find_topic(topic)->partitions[static_cast<std::size_t>(number)];
  }
  const metadata::BrokerRegistration& broker(std::int32_t id) const {
    const auto* found = image->find_broker(BrokerId{id});
    REQUIRE(found != nullptr);
    return *found;
  }
  BrokerEpoch epoch(std::int32_t id) const { return BrokerEpoch{broker(id).broker_epoch.value()}; }

  void fence(std::int32_t id) { commit(metadata::FenceBrokerRequest{BrokerId{id}, epoch(id)}); }
  void unfence(std::int32_t id) { commit(metadata::UnfenceBrokerRequest{BrokerId{id}, epoch(id)}); }
  void stop(std::int32_t id) { commit(metadata::StopBrokerRequest{BrokerId{id}, epoch(id)}); }
  void drain(std::int32_t id, bool drain = true) { commit(metadata::DrainBrokerRequest{BrokerId{id}, drain}); }
  /// A new run of a broker.
  void restart(std::int32_t id, bool clean, const Uuid& directory_id = {}) {
    commit(metadata::RegisterBrokerRequest{
        .broker = {.id = BrokerId{id}, .host = "h", .port = 8080, .directory_id = directory_id},
        .incarnation = new_uuid(),
        .clean = clean});
  }

  /// What the leader proposes, with the epochs that it knows.
  metadata::AlterPartitionsRequest proposal(const TopicId& topic, const Ids& isr, std::int32_t number = 0) const {
    const auto& now = partition(topic, number);
    metadata::IsrProposal one{
        .partition = {topic, PartitionId{number}}, .leader_epoch = now.leader_epoch, .partition_epoch = now.partition_epoch};
    for (const auto id : isr) {
      const auto* member = image->find_broker(BrokerId{id});
      one.isr.push_back({BrokerId{id}, member == nullptr ? no_broker_epoch : BrokerEpoch{member->broker_epoch.value()}});
    }
    const auto* leader = image->find_broker(now.leader);
    return {now.leader, leader == nullptr ? no_broker_epoch : BrokerEpoch{leader->broker_epoch.value()}, {one}};
  }
  /// The leader makes this the ISR.
  void alter_isr(const TopicId& topic, const Ids& isr, std::int32_t number = 0) {
    commit(proposal(topic, isr, number));
    if (!answer.partitions[0]) FAIL(to_string(answer.partitions[0].error()));
  }
  /// Ok, or why that one was refused.
  std::string verdict() const {
    REQUIRE(answer.partitions.size() == 1);
    return answer.partitions[0] ? "ok" : std::string(to_string(answer.partitions[0].error().code));
  }

  std::function<Uuid()> new_uuid = ids();
};

/// "leader 1 epoch 0 isr 1 2 elr 3 of 1 2 3 +4 -1": a partition in one line.
inline std::string text(const metadata::PartitionImage& partition) {
  const auto list = [](const char* name, const std::vector<BrokerId>& brokers) {
    std::string all = brokers.empty() ? "" : std::string(" ") + name;
    for (const auto broker : brokers) all += " " + to_string(broker);
    return all;
  };
  return "leader " + to_string(partition.leader) + " epoch " + to_string(partition.leader_epoch) +
         list("isr", partition.isr) + list("elr", partition.eligible_leader_replicas) + list("of", partition.replicas) +
         list("adding", partition.adding_replicas) + list("removing", partition.removing_replicas);
}

}  // namespace troupe::test
