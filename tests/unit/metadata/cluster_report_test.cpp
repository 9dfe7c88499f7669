#include "core/metadata/cluster_report.hpp"

#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::metadata;
using namespace troupe::test;

namespace {

BrokerReport report(const Cluster& cluster, std::int32_t id) {
  for (const auto& one : report_brokers(*cluster.image)) {
    if (one.broker.id == BrokerId{id}) return one;
  }
  FAIL("no broker " << id);
  return {};
}

/// "rides/0 rides/2"
std::string found(const Cluster& cluster, const PartitionQuery& query) {
  std::string all;
  const auto page = find_partitions(*cluster.image, query);
  for (const auto& at : page.partitions) all += (all.empty() ? "" : " ") + at.topic->name + "/" + to_string(at.partition);
  return all + (page.more ? " ..." : "");
}

ClusterHealth health(const Cluster& cluster, const Ids& voters = {1, 2, 3}, const Ids& reachable = {1, 2, 3}) {
  return check_health(*cluster.image, ids_of(voters), ids_of(reachable));
}

}  // namespace

TEST_CASE("a broker's state is what it is there for", "[cluster_report]") {
  Cluster cluster{3};
  cluster.add_topic("rides", {{1, 2, 3}});
  cluster.add_topic("maps", {{2, 3}});
  cluster.add_topic("alone", {{1}});
  CHECK(report(cluster, 1).state == BrokerState::up);
  CHECK(report(cluster, 1).leads == 2);
  CHECK(report(cluster, 2).replicas == 2);
  CHECK(report(cluster, 1).epoch == cluster.broker(1).broker_epoch);
  cluster.drain(1);
  CHECK(report(cluster, 1).state == BrokerState::draining);  // nobody else has alone/0
  CHECK(report(cluster, 1).leads == 1);
  cluster.drain(2);
  CHECK(report(cluster, 2).state == BrokerState::drained);
  cluster.drain(2, false);
  CHECK(report(cluster, 2).state == BrokerState::up);
  cluster.stop(2);
  CHECK(report(cluster, 2).state == BrokerState::stopping);
  cluster.fence(2);
  CHECK(report(cluster, 2).state == BrokerState::fenced);
  CHECK(to_string(BrokerState::drained) == "drained");
}

TEST_CASE("partitions are found by what is odd about them", "[cluster_report]") {
  Cluster cluster{4};
  const std::map<std::string, std::string> two{{"min.insync.replicas", "2"}};
  const auto rides = cluster.add_topic("rides", {{1, 2, 3}, {2, 3, 1}}, two);
  cluster.add_topic("alone", {{4}, {3}});
  CHECK(found(cluster, {.only = PartitionFilter::under_replicated}).empty());
  cluster.fence(3);
  CHECK(found(cluster, {.only = PartitionFilter::leaderless}) == "alone/1");
  CHECK(found(cluster, {.only = PartitionFilter::under_replicated}) == "rides/0 rides/1");
  CHECK(found(cluster, {.only = PartitionFilter::under_min_isr}).empty());  // alone/1 has one replica, which is its ISR
  cluster.fence(2);
  CHECK(found(cluster, {.only = PartitionFilter::under_min_isr}) == "rides/0 rides/1");
  CHECK(found(cluster, {.only = PartitionFilter::not_preferred}) == "rides/1");
  CHECK(found(cluster, {.broker = BrokerId{4}}) == "alone/0");
  cluster.commit(ReassignPartitionsRequest{{{{rides, PartitionId{0}}, ids_of({1, 2, 4})}}});
  CHECK(found(cluster, {.only = PartitionFilter::reassigning}) == "rides/0");
  CHECK_FALSE(parse_partition_filter("leaderful"));
  CHECK(parse_partition_filter("not_preferred") == PartitionFilter::not_preferred);
}

TEST_CASE("a replica that a reassignment adds is not missed", "[cluster_report]") {
  Cluster cluster{3};
  const auto rides = cluster.add_topic("rides", {{1, 2}});
  cluster.commit(ReassignPartitionsRequest{{{{rides, PartitionId{0}}, ids_of({1, 2, 3})}}});
  CHECK(found(cluster, {.only = PartitionFilter::under_replicated}).empty());
  cluster.alter_isr(rides, {1});
  CHECK(found(cluster, {.only = PartitionFilter::under_replicated}) == "rides/0");
}

TEST_CASE("pages of partitions follow each other without gap and without repeat", "[cluster_report]") {
  Cluster cluster{1};
  cluster.add_topic("b", std::vector<Ids>(3, {1}));
  cluster.add_topic("a", std::vector<Ids>(2, {1}));
  cluster.add_topic("a-1", {{1}});
  CHECK(found(cluster, {}) == "a/0 a/1 a-1/0 b/0 b/1 b/2");
  CHECK(found(cluster, {.limit = 6}) == "a/0 a/1 a-1/0 b/0 b/1 b/2");
  std::string all;
  PartitionQuery query{.limit = 2};
  for (bool more = true; more;) {
    const auto page = find_partitions(*cluster.image, query);
    REQUIRE(page.partitions.size() == 2);
    for (const auto& at : page.partitions) all += at.topic->name + "/" + to_string(at.partition) + " ";
    query.after = {page.partitions.back().topic->name, page.partitions.back().partition};
    more = page.more;
  }
  CHECK(all == "a/0 a/1 a-1/0 b/0 b/1 b/2 ");
  // A topic that is gone meanwhile is passed over.
  CHECK(found(cluster, {.after = std::pair{std::string("aa"), PartitionId{7}}}) == "b/0 b/1 b/2");
  CHECK(found(cluster, {.topic = "b", .limit = 1, .after = std::pair{std::string("b"), PartitionId{0}}}) == "b/1 ...");
  CHECK(found(cluster, {.topic = "none"}).empty());
}

TEST_CASE("a cluster is healthy when nothing is missing", "[cluster_report]") {
  Cluster cluster{3};
  const auto rides = cluster.add_topic("rides", {{1, 2, 3}, {2, 3, 1}}, {{"min.insync.replicas", "2"}});
  auto now = health(cluster);
  CHECK(now.healthy());
  CHECK(now.controller == BrokerId{1});
  CHECK(now.brokers == 3);
  CHECK(now.brokers_up == 3);
  CHECK(now.voters == 3);
  CHECK(now.voters_up == 3);
  CHECK(now.partitions == 2);

  // What somebody wanted is no problem.
  cluster.drain(3);
  cluster.commit(ElectLeadersRequest{{{rides, PartitionId{0}}}, BrokerId{2}});
  now = health(cluster);
  CHECK(now.healthy());
  CHECK(now.not_preferred == 1);

  cluster.fence(3);
  now = health(cluster);
  CHECK_FALSE(now.healthy());
  CHECK(now.brokers_up == 2);
  CHECK(now.voters_up == 2);
  CHECK(now.under_replicated == 2);
  CHECK(now.under_min_isr == 0);
  REQUIRE(now.problems.size() == 3);
  CHECK(now.problems[0] ==
        "broker 3, which votes, is fenced: it has ended, is silent, or has not caught up with the metadata");
  CHECK(now.problems[1] == "rides/0: not in sync are 3");

  cluster.fence(2);
  now = health(cluster);
  CHECK(now.under_min_isr == 2);
  CHECK(now.problems[2] == "rides/0 takes no writes with acks=quorum: in sync are 1, needed are 2");
}

TEST_CASE("a voter that is no broker is a problem", "[cluster_report]") {
  const Cluster cluster{3};
  const auto now = health(cluster, {1, 2, 7});
  CHECK(now.voters_up == 2);
  REQUIRE(now.problems.size() == 1);
  CHECK(now.problems[0] == "voter 7 is no broker of this cluster: it has never come up, or was removed");
}

TEST_CASE("a voter that came back without its vote is named, with the way out, and does not count", "[cluster_report]") {
  Cluster cluster{3};
  const auto lost = ids_of({3});
  const auto now = check_health(*cluster.image, ids_of({1, 2, 3}), ids_of({1, 2, 3}), lost);
  CHECK_FALSE(now.healthy());
  CHECK(now.brokers_up == 3);
  CHECK(now.voters_up == 2);
  REQUIRE(now.problems.size() == 1);
  CHECK(
      now.problems[0] ==
      "voter 3 has no vote: it came back without the metadata directory that votes; take the old vote and give it a new one "
      "(`troupe cluster voters remove 3`, then `voters add 3`)");

  ImageBuilder builder{cluster.image};
  cluster.image = builder.finish(cluster.image->applied(), no_broker).after;
  const auto alone = check_health(*cluster.image, ids_of({1, 2, 3}), ids_of({1, 3}), lost);
  CHECK(alone.voters_up == 1);
  REQUIRE(alone.problems.size() == 3);
  CHECK(alone.problems[0].starts_with("there is no controller: 1 of 3 voters can be reached"));
  CHECK(alone.problems[2] ==
        "voter 3 has no vote: it came back without the metadata directory that votes; put the directory "
        "back, or start the voters that cannot be reached");
}

TEST_CASE("without a controller the links say who is there", "[cluster_report]") {
  Cluster cluster{3};
  ImageBuilder builder{cluster.image};
  cluster.image = builder.finish(cluster.image->applied(), no_broker).after;
  const auto now = health(cluster, {1, 2, 3}, {1});
  CHECK(now.controller == no_broker);
  CHECK(now.voters_up == 1);
  CHECK(now.brokers_up == 1);
  REQUIRE(now.problems.size() == 3);
  CHECK(now.problems[0] ==
        "there is no controller: 1 of 3 voters can be reached from this node, and more than half of them have to agree");
  CHECK(now.problems[1] == "broker 2, which votes, cannot be reached from this node");
}

TEST_CASE("at most a hundred problems are told, the worst first, and how many more there are", "[cluster_report]") {
  Cluster cluster{2};
  cluster.add_topic("copied", std::vector<Ids>(80, {1, 2}), {{"min.insync.replicas", "1"}});
  cluster.add_topic("lost", std::vector<Ids>(60, {2}));
  cluster.fence(2);
  const auto now = health(cluster, {1});
  CHECK(now.leaderless == 60);
  CHECK(now.under_replicated == 80);
  REQUIRE(now.problems.size() == problems_max);
  CHECK(now.problems[0].starts_with("broker 2 is fenced"));
  CHECK(now.problems[1] == "lost/0 has no leader: of its replicas 2 none that may lead is alive");
  CHECK(now.problems[61] == "copied/0: not in sync are 2");
  CHECK(now.problems.back() == "and 42 more");  // of 1 + 60 + 80, 99 are told
}
