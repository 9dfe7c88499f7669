#include "core/metadata/placement.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// Brokers 1, 2, ..., each in the rack of its letter; ' ' is none.
ImagePtr racked(const std::string& racks) {
  std::vector<MetadataRecord> records{ClusterRecord{test::cluster}};
  for (std::size_t i = 0; i < racks.size(); ++i) {
    auto record = broker(static_cast<std::int32_t>(i + 1));
    if (racks[i] != ' ') record.rack = std::string(1, racks[i]);
    records.emplace_back(record);
  }
  return apply_records(empty_image(), records).after;
}

struct Spread {
  std::map<BrokerId, std::size_t> copies;
  std::map<BrokerId, std::size_t> leads;

  static std::size_t gap(const std::map<BrokerId, std::size_t>& counts) {
    const auto [least, most] =
        std::minmax_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most->second - least->second;
  }
};

Spread spread_of(const MetadataImage& image, const std::vector<std::vector<BrokerId>>& placed) {
  Spread spread;
  for (const auto& one : image.registrations()) spread.copies[one.broker.id] = spread.leads[one.broker.id] = 0;
  for (const auto& replicas : placed) {
    ++spread.leads[replicas.front()];
    for (const auto broker : replicas) ++spread.copies[broker];
  }
  return spread;
}

std::size_t racks_in(const MetadataImage& image, const std::vector<BrokerId>& replicas) {
  std::set<std::string> racks;
  for (const auto broker : replicas) {
    const auto& rack = image.find_broker(broker)->broker.rack;
    racks.insert(rack.empty() ? to_string(broker) : rack);
  }
  return racks.size();
}

}  // namespace

TEST_CASE("every replica on another broker, as many racks as there can be, leaders and copies even", "[placement]") {
  // Goal: all small clusters, all replication factors, some numbers of partitions and starts.
  for (const std::string racks :
       {" ", "  ", "   ", "     ", "ab", "aabb", "abc", "aabbcc", "aaabbb", "abcabc", "aaab", "a bb ", "aaaabbc"}) {
    const auto image = racked(racks);
    std::set<std::string> names;
    std::size_t rackless = 0;
    for (const char rack : racks) {
      if (rack == ' ')
        ++rackless;
      else
        names.insert(std::string(1, rack));
    }
    const bool even_racks =
        rackless == racks.size() || (rackless == 0 && racks.size() % names.size() == 0 && racks != "aaab");
    for (std::size_t factor = 1; factor <= racks.size(); ++factor) {
      for (const std::size_t partitions : {1, 2, 5, 12, 60}) {
        for (std::size_t start = 0; start < 4; ++start) {
          INFO("racks " << racks << " factor " << factor << " partitions " << partitions << " start " << start);
          const auto placed =
              place_replicas(*image, {.partitions = partitions, .replication_factor = factor, .start = start});
          REQUIRE(placed);
          REQUIRE(placed->size() == partitions);
          for (const auto& replicas : *placed) {
            REQUIRE(std::set(replicas.begin(), replicas.end()).size() == factor);
            REQUIRE(racks_in(*image, replicas) == std::min(factor, names.size() + rackless));
          }
          const auto spread = spread_of(*image, *placed);
          REQUIRE(Spread::gap(spread.leads) <= 1);
          if (even_racks) REQUIRE(Spread::gap(spread.copies) <= 2);
        }
      }
    }
  }
}

TEST_CASE("fenced brokers get copies only when there are too few others, and lead nothing", "[placement]") {
  Cluster cluster{4};
  cluster.fence(1);
  cluster.drain(4);
  const auto two = place_replicas(*cluster.image, {.partitions = 20, .replication_factor = 2});
  REQUIRE(two);
  for (const auto& replicas : *two) CHECK_FALSE(has_broker(replicas, BrokerId{1}));
  const auto three = place_replicas(*cluster.image, {.partitions = 20, .replication_factor = 3});
  REQUIRE(three);
  for (const auto& replicas : *three) {
    CHECK_FALSE(has_broker(replicas, BrokerId{4}));
    CHECK(replicas.back() == BrokerId{1});
    const auto record = new_partition(*cluster.image, uuid(1), PartitionId{0}, replicas);
    CHECK(record.leader == replicas.front());
    CHECK_FALSE(has_broker(record.isr, BrokerId{1}));
    CHECK(record.isr.size() == 2);
  }
  const auto four = place_replicas(*cluster.image, {.replication_factor = 4});
  REQUIRE_FALSE(four);
  CHECK(four.error().code == Errc::invalid_replication_factor);
  CHECK(place_replicas(*cluster.image, {.replication_factor = 0}).error().code == Errc::invalid_replication_factor);
  cluster.fence(2);
  cluster.fence(3);
  CHECK(place_replicas(*cluster.image, {}).error().code == Errc::leader_not_available);
}

TEST_CASE("topics of one partition are spread over the brokers as partitions of one are", "[placement]") {
  Cluster cluster{5};
  std::vector<std::vector<BrokerId>> placed;
  for (int i = 0; i < 50; ++i) {
    const auto topic = cluster.add_topic("topic-" + std::to_string(i), {});
    placed.push_back(cluster.partition(topic).replicas);
    CHECK(placed.back().size() == 3);
  }
  const auto spread = spread_of(*cluster.image, placed);
  CHECK(Spread::gap(spread.leads) == 0);
  CHECK(Spread::gap(spread.copies) <= 2);
}

TEST_CASE("partitions that are added later go on where the others ended", "[placement]") {
  Cluster cluster{5};
  const auto create = [&](std::int32_t partitions) {
    cluster.image = with_topic(cluster.image, {.name = "rides", .partitions = partitions}, cluster.new_uuid);
  };
  create(3);
  for (const std::int32_t partitions : {4, 9, 20}) {
    const auto decision = decide_alter(*cluster.image, {.name = "rides", .partitions = partitions}, Requester::client);
    REQUIRE(decision);
    cluster.apply(decision->records);
    std::vector<std::vector<BrokerId>> placed;
    for (const auto& partition : cluster.image->find_topic("rides")->partitions) placed.push_back(partition.replicas);
    const auto spread = spread_of(*cluster.image, placed);
    CHECK(Spread::gap(spread.leads) <= 1);
    CHECK(Spread::gap(spread.copies) <= 2);
  }
  // As many replicas as the others have, and that is more than there are brokers for.
  for (const int id : {1, 2, 3}) cluster.drain(id);
  const auto refused = decide_alter(*cluster.image, {.name = "rides", .partitions = 21}, Requester::client);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::leader_not_available);
}

TEST_CASE("a topic's replicas can be given, and are checked", "[placement]") {
  Cluster cluster{4};
  const auto topic = cluster.add_topic("rides", {{3, 1}, {2, 4}});
  CHECK(text(cluster.partition(topic, 0)) == "leader 3 epoch 0 isr 3 1 of 3 1");
  CHECK(text(cluster.partition(topic, 1)) == "leader 2 epoch 0 isr 2 4 of 2 4");
  CHECK(cluster.image->find_topic(topic)->config.min_insync_replicas == 2);
  const auto refusal = [&](CreateTopicRequest request, const std::vector<Ids>& assignments) {
    request.name = "other";
    for (const auto& one : assignments) request.assignments.push_back(ids_of(one));
    const auto decision = decide_create(*cluster.image, request, Requester::client, cluster.new_uuid);
    REQUIRE_FALSE(decision);
    return decision.error().code;
  };
  CHECK(refusal({}, {{1, 1}}) == Errc::invalid_replica_assignment);
  CHECK(refusal({}, {{1, 9}}) == Errc::invalid_replica_assignment);
  CHECK(refusal({}, {{1, 2}, {1}}) == Errc::invalid_replica_assignment);
  CHECK(refusal({}, {{}}) == Errc::invalid_replica_assignment);
  CHECK(refusal({.replication_factor = 3}, {{1, 2}}) == Errc::invalid_replica_assignment);
  CHECK(refusal({.partitions = 2}, {{1, 2}}) == Errc::invalid_partitions);
  cluster.fence(1);
  cluster.fence(2);
  CHECK(refusal({}, {{1, 2}}) == Errc::invalid_replica_assignment);
  const auto half = cluster.add_topic("half", {{1, 3}});
  CHECK(text(cluster.partition(half)) == "leader 3 epoch 0 isr 3 of 1 3");
}

TEST_CASE("by default a topic has three replicas, of which more than half have to be in sync", "[placement]") {
  const auto min_isr = [](std::int32_t brokers, CreateTopicRequest request) {
    Cluster cluster{brokers};
    request.name = "rides";
    cluster.image = with_topic(cluster.image, request, cluster.new_uuid);
    return cluster.image->find_topic("rides")->config.min_insync_replicas;
  };
  CHECK(min_isr(1, {}) == 1);
  CHECK(min_isr(2, {}) == 2);
  CHECK(min_isr(5, {}) == 2);
  CHECK(min_isr(5, {.replication_factor = 5}) == 3);
  CHECK(min_isr(5, {.config = {{"min.insync.replicas", "1"}}}) == 1);
  CHECK(min_isr(1, {.config = {{"min.insync.replicas", "2"}}}) == 2);

  Cluster cluster{3};
  const auto topic = cluster.add_topic("rides", {{1, 2, 3}}, {{"min.insync.replicas", "3"}});
  const auto reset =
      decide_alter(*cluster.image, {.name = "rides", .config = {{"min.insync.replicas", {}}}}, Requester::client);
  REQUIRE(reset);
  cluster.apply(reset->records);
  CHECK(cluster.image->find_topic(topic)->config.min_insync_replicas == 2);
}

TEST_CASE("who drains takes no copies, and the refusal names it", "[placement]") {
  Cluster cluster{3};
  cluster.drain(3);
  const auto refused =
      decide_create(*cluster.image, {.name = "rides", .replication_factor = 3}, Requester::client, cluster.new_uuid);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::invalid_replication_factor);
  CHECK(refused.error().message ==
        "replication factor 3: 1 to 2 are possible; 2 of 3 brokers can take copies: broker 3 is draining");
  cluster.drain(1);
  const auto two =
      decide_create(*cluster.image, {.name = "rides", .replication_factor = 2}, Requester::client, cluster.new_uuid);
  REQUIRE_FALSE(two);
  CHECK(two.error().message ==
        "replication factor 2: 1 to 1 is possible; 1 of 3 brokers can take copies: broker 1 is "
        "draining, broker 3 is draining");
  cluster.fence(2);
  const auto nobody = decide_create(*cluster.image, {.name = "rides"}, Requester::client, cluster.new_uuid);
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().code == Errc::leader_not_available);
  CHECK(nobody.error().message ==
        "no broker is ready for a new partition: broker 1 is draining, broker 2 is down, broker 3 is draining; try again");
}

TEST_CASE("a broker that is stopping is preferred to one that is down", "[placement]") {
  Cluster cluster{4};
  cluster.fence(1);
  cluster.stop(2);
  const auto placed = place_replicas(*cluster.image, {.partitions = 8, .replication_factor = 3});
  REQUIRE(placed);
  for (const auto& replicas : *placed) {
    CHECK(std::set(replicas.begin(), replicas.begin() + 2) == std::set{BrokerId{3}, BrokerId{4}});
    CHECK(replicas[2] == BrokerId{2});
  }
}

TEST_CASE("by default a broker that is down counts while those that live can be written to", "[placement]") {
  const auto replicas = [](std::int32_t brokers, std::int32_t down) {
    Cluster cluster{brokers};
    for (std::int32_t id = brokers; id > brokers - down; --id) cluster.fence(id);
    const auto topic = cluster.add_topic("rides", {});
    const auto& now = cluster.partition(topic);
    CHECK(now.isr.size() >= static_cast<std::size_t>(cluster.image->find_topic(topic)->config.min_insync_replicas));
    return now.replicas.size();
  };
  CHECK(replicas(3, 0) == 3);
  CHECK(replicas(3, 1) == 3);
  CHECK(replicas(3, 2) == 1);
  CHECK(replicas(5, 2) == 3);
  CHECK(replicas(5, 3) == 3);
}
