#include "actors/operator_desk.hpp"

#include "tests/actors/quorum_cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::test;

namespace {

template <class T>
using Answer = std::shared_ptr<std::optional<Result<T>>>;

template <class Call, class T, class Request>
Answer<T> start(QuorumClusterFixture& cluster, std::int32_t node, Request request) {
  auto answer = std::make_shared<std::optional<Result<T>>>();
  Reply<T> reply{[answer](Result<T> said) { answer->emplace(std::move(said)); }};
  caf::anon_send(cluster.at(node).desk.get(), std::make_shared<Call>(Call{std::move(request), std::move(reply)}));
  return answer;
}

template <class T>
Result<T> wait(QuorumClusterFixture& cluster, const Answer<T>& answer, Millis ms = 80'000) {
  REQUIRE(cluster.until([&] { return answer->has_value(); }, ms));
  return **answer;
}

Answer<quorum::QuorumReport> start_asking(QuorumClusterFixture& cluster, std::int32_t node, quorum::QuorumRequest request) {
  return start<AskQuorumCall, quorum::QuorumReport>(cluster, node, request);
}
Result<quorum::QuorumReport> ask(QuorumClusterFixture& cluster, std::int32_t node, quorum::QuorumRequest request) {
  return wait(cluster, start_asking(cluster, node, request));
}
Result<metadata::ClusterAnswer> change(QuorumClusterFixture& cluster, std::int32_t node, OperatorRequest request) {
  return wait(cluster, start<ChangeClusterCall, metadata::ClusterAnswer>(cluster, node, std::move(request)));
}
std::vector<NodeTree> trees(QuorumClusterFixture& cluster, std::int32_t node, std::vector<BrokerId> nodes = {}) {
  auto said = wait(cluster, start<ActorTreesCall, std::vector<NodeTree>>(cluster, node, std::move(nodes)), 5'000);
  REQUIRE(said);
  return std::move(*said);
}

/// "1 2 3"
std::string names(const std::vector<quorum::ReplicaReport>& replicas) {
  std::string all;
  for (const auto& one : replicas) all += (all.empty() ? "" : " ") + to_string(one.key.id);
  return all;
}
std::string names(const std::vector<BrokerId>& brokers) {
  std::string all;
  for (const auto id : brokers) all += (all.empty() ? "" : " ") + to_string(id);
  return all;
}

bool has_unfenced(QuorumClusterFixture& cluster, std::size_t count) {
  return cluster.until([&] {
    const auto image = cluster.at(cluster.follower()).image();
    return image->registrations().size() == count &&
           std::ranges::none_of(image->registrations(), [](const auto& one) { return one.fenced; });
  });
}

}  // namespace

TEST_CASE("every node tells of the quorum what its leader knows", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  cluster.start_observer(4);
  REQUIRE(cluster.all_ready());
  const BrokerId leader{cluster.controller()};
  for (const auto& [id, node] : cluster.nodes) {
    const auto report = ask(cluster, id.value(), quorum::DescribeQuorum{});
    REQUIRE(report);
    CHECK(report->leader == leader);
    CHECK(report->reporter == leader);
    CHECK(names(report->voters) == "1 2 3");
    CHECK(names(report->observers) == "4");
    for (const auto& voter : report->voters) {
      CHECK(voter.near);
      CHECK(voter.log_end);
      CHECK(voter.last_contact_ms.has_value() == (voter.key.id != leader));
    }
    CHECK(names(node->images->voters()) == "1 2 3");
  }
}

TEST_CASE("votes are given and taken through any node, as often as one likes", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  cluster.start_observer(4);
  REQUIRE(cluster.all_ready());
  for (const std::int32_t through : {cluster.follower(), 4, cluster.controller()}) {
    const auto added = ask(cluster, through, quorum::AddVoter{BrokerId{4}});
    REQUIRE(added);
    CHECK(names(added->voters) == "1 2 3 4");
    CHECK(names(added->observers).empty());
  }
  CHECK(cluster.until([&] { return names(cluster.at(4).images->voters()) == "1 2 3 4"; }));
  const auto removed = ask(cluster, 4, quorum::RemoveVoter{BrokerId{cluster.follower()}});
  REQUIRE(removed);
  CHECK(removed->voters.size() == 3);
  // The leader goes, too: it answers, and others elect another.
  const auto leader = cluster.controller();
  const auto gone = ask(cluster, 4, quorum::RemoveVoter{BrokerId{leader}});
  REQUIRE(gone);
  CHECK(gone->voters.size() == 2);
  CHECK(cluster.until([&] { return cluster.controller() > 0 && cluster.controller() != leader; }));
  const auto again = ask(cluster, leader, quorum::RemoveVoter{BrokerId{leader}});
  REQUIRE(again);
  CHECK(again->voters.size() == 2);
  CHECK(cluster.created(leader, "after"));
}

TEST_CASE("a change of votes that cannot be is refused with a reason", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  cluster.start_observer(4);
  REQUIRE(cluster.all_ready());
  const auto refusal = [&](quorum::QuorumRequest request) {
    const auto answer = ask(cluster, cluster.follower(), request);
    REQUIRE_FALSE(answer);
    CHECK_FALSE(answer.error().message.empty());
    return answer.error().code;
  };
  CHECK(refusal(quorum::AddVoter{BrokerId{9}}) == Errc::not_found);
  CHECK(refusal(quorum::RemoveVoter{BrokerId{9}}) == Errc::not_found);
  CHECK(refusal(quorum::TransferLeadership{BrokerId{4}}) == Errc::invalid_argument);
  cluster.kill(4);
  cluster.until([] { return false; }, 11'000);  // its leader forgets it
  CHECK(refusal(quorum::AddVoter{BrokerId{4}}) == Errc::not_found);

  QuorumClusterFixture alone;
  alone.start_voters(1);
  REQUIRE(alone.all_ready());
  const auto last = ask(alone, 1, quorum::RemoveVoter{BrokerId{1}});
  REQUIRE_FALSE(last);
  CHECK(last.error().code == Errc::conflict);
  const auto itself = ask(alone, 1, quorum::TransferLeadership{BrokerId{1}});
  REQUIRE(itself);
  CHECK(itself->leader == BrokerId{1});
  const auto nobody = ask(alone, 1, quorum::TransferLeadership{});
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().code == Errc::leader_not_available);
}

TEST_CASE("leadership of the quorum is handed to whom one names, or to whoever has most", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  for (std::int32_t round = 0; round < 6; ++round) {
    const auto before = cluster.controller();
    const auto to = cluster.follower();
    const auto named = ask(cluster, 1 + round % 3, quorum::TransferLeadership{BrokerId{to}});
    REQUIRE(named);
    CHECK(named->leader == BrokerId{to});
    REQUIRE(cluster.until([&] { return cluster.controller() == to; }));
    const auto again = ask(cluster, before, quorum::TransferLeadership{BrokerId{to}});
    REQUIRE(again);
    CHECK(again->epoch == named->epoch);
    const auto best = ask(cluster, before, quorum::TransferLeadership{});
    REQUIRE(best);
    CHECK(best->leader != BrokerId{to});
    CHECK(best->leader != no_broker);
    REQUIRE(cluster.until([&] { return cluster.controller() == best->leader.value(); }));
  }
  CHECK(cluster.created(1, "after"));
}

TEST_CASE("a vote that is given while the leader dies is given by the next one", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  cluster.start_observer(4);
  REQUIRE(cluster.all_ready());
  const auto leader = cluster.controller();
  // What it is told does not arrive: nobody knows the leader until another one is elected.
  cluster.network.cut(BrokerId{4}, BrokerId{leader});
  const auto answer = start_asking(cluster, 4, quorum::AddVoter{BrokerId{4}});
  cluster.scheduler.run();
  CHECK_FALSE(answer->has_value());
  cluster.kill(leader);
  const auto added = wait(cluster, answer);
  if (!added) FAIL(to_string(added.error()));
  CHECK(names(added->voters) == "1 2 3 4");
}

TEST_CASE("without a majority nothing is changed, and what this node knows is told", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  const auto one = cluster.follower();
  cluster.cut_off(one);
  REQUIRE(cluster.until([&] { return cluster.at(one).image()->controller_id() == no_broker; }));
  const auto report = ask(cluster, one, quorum::DescribeQuorum{});
  REQUIRE(report);
  CHECK(report->leader == no_broker);
  CHECK(report->reporter == BrokerId{one});
  CHECK(names(report->voters) == "1 2 3");
  const auto refused = ask(cluster, one, quorum::TransferLeadership{});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::leader_not_available);
  const auto drained = change(cluster, one, metadata::DrainBrokerRequest{.broker = BrokerId{one}});
  REQUIRE_FALSE(drained);
  CHECK(drained.error().code == Errc::leader_not_available);
  cluster.heal(one);
  CHECK(ask(cluster, one, quorum::TransferLeadership{BrokerId{one}}));
}

TEST_CASE("what operators want of brokers and partitions is done through any node", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(has_unfenced(cluster, 3));
  const auto through = cluster.follower();
  const auto made = cluster.scheduler.start_asking<TopicAnswer>(
      cluster.at(through).quorum.get(),
      CreateTopic{.request = {.name = "rides", .partitions = 1'200, .replication_factor = 3}});
  REQUIRE(cluster.until([&] { return made->has_value(); }));
  const auto topic = cluster.at(through).image()->find_topic("rides");
  REQUIRE(topic);

  const BrokerId leaver{through};
  const auto drained = change(cluster, through, metadata::DrainBrokerRequest{.broker = leaver});
  REQUIRE(drained);
  CHECK(drained->moved == 400);
  CHECK(drained->left == 0);
  const auto leads = [&](BrokerId broker) {
    return std::ranges::count(cluster.at(through).image()->find_topic("rides")->partitions, broker,
                              &metadata::PartitionImage::leader);
  };
  CHECK(leads(leaver) == 0);
  REQUIRE(change(cluster, through, metadata::DrainBrokerRequest{.broker = leaver, .drain = false}));

  // More partitions than one command takes: each has its answer, in order.
  metadata::ElectLeadersRequest elect;
  for (std::int32_t i = 0; i < topic->partition_count(); ++i) elect.partitions.push_back({topic->id, PartitionId{i}});
  elect.partitions.push_back({topic->id, PartitionId{9'999}});
  const auto elected = change(cluster, cluster.controller(), elect);
  REQUIRE(elected);
  REQUIRE(elected->partitions.size() == 1'201);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < 1'200; ++i) {
    const auto& one = elected->partitions[i];
    moved += one ? 1 : 0;
    if (one) CHECK(one->leader == topic->partitions[i].replicas.front());
    if (!one) CHECK(one.error().code == Errc::election_not_needed);
  }
  // The balance of leaders may have been faster.
  CHECK(moved <= 400);
  CHECK(elected->partitions.back().error().code == Errc::unknown_topic_or_partition);
  CHECK(cluster.until([&] { return leads(leaver) == 400; }));

  const auto unknown = change(cluster, through, metadata::DrainBrokerRequest{.broker = BrokerId{9}});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == Errc::broker_id_not_registered);
  const auto votes = change(cluster, through, metadata::UnregisterBrokerRequest{leaver});
  REQUIRE_FALSE(votes);
  CHECK(votes.error().code == Errc::conflict);
  CHECK(votes.error().message.find("votes") != std::string::npos);
}

TEST_CASE("every node shows the actors of all, and why one does not say", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  const auto has_desk = [](const NodeTree& tree) {
    return tree.actors && std::ranges::any_of(*tree.actors, [](const auto& one) { return one.name == "operator_desk"; });
  };
  auto all = trees(cluster, 2);
  REQUIRE(all.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(all[i].node == BrokerId{static_cast<std::int32_t>(i) + 1});
    CHECK(has_desk(all[i]));
  }
  cluster.network.cut(BrokerId{2}, BrokerId{3});
  all = trees(cluster, 2);
  CHECK(has_desk(all[0]));
  CHECK(has_desk(all[1]));
  REQUIRE_FALSE(all[2].actors);
  CHECK(all[2].actors.error().code == Errc::broker_not_available);
  // One that does not answer is not waited for.
  cluster.network.hold(BrokerId{1}, BrokerId{2});
  all = trees(cluster, 2, {BrokerId{1}, BrokerId{9}});
  REQUIRE(all.size() == 2);
  REQUIRE_FALSE(all[0].actors);
  CHECK(all[0].actors.error().code == Errc::request_timed_out);
  CHECK(all[1].actors.error().code == Errc::not_found);
}

TEST_CASE("a node without metadata is told by the one that it knows where the others are", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(has_unfenced(cluster, 3));
  for (const auto id : {1, 2, 3}) CHECK(cluster.at(id).told_of.empty());
  const auto one = cluster.follower();
  cluster.network.start(BrokerId{4});
  for (const auto id : {1, 2, 3}) {
    if (id != one) cluster.network.cut(BrokerId{4}, BrokerId{id});
  }
  cluster.start_observer(4);
  REQUIRE(cluster.until([&] { return cluster.at(4).told_of.size() == 3; }));
  CHECK(cluster.at(4).told_of[2].cluster_host == "node-3");
  CHECK(cluster.at(4).told_of[2].cluster_port == 9071);
  CHECK_FALSE(cluster.at(4).ready());
  for (const auto id : {1, 2, 3}) cluster.network.heal(BrokerId{4}, BrokerId{id});
  CHECK(cluster.all_ready());
}

TEST_CASE("what another node asks is read with care", "[operator_desk]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(1);
  REQUIRE(cluster.all_ready());
  auto& links = cluster.network.start(BrokerId{7});
  std::vector<PeerAnswer> answers;
  const auto listen = [](caf::event_based_actor*, std::vector<PeerAnswer>* into) -> caf::behavior {
    return {[into](const PeerAnswer& answer) { into->push_back(answer); }, [](const PeerState&) {}};
  };
  const auto stranger = cluster.scheduler.system().spawn(listen, &answers);
  for (const std::string_view bytes : {"", "\x01", "garbage", "\x02\x01"}) {
    links.call(BrokerId{1}, Channel::node, Bytes::copy_of(as_bytes(bytes)), 1'000, 1, stranger);
    links.send(BrokerId{1}, Channel::node, Bytes::copy_of(as_bytes(bytes)));
  }
  CHECK(cluster.until([&] { return answers.size() == 4; }));
  for (const auto& answer : answers) {
    REQUIRE_FALSE(answer.answer);
    CHECK(answer.answer.error().code == Errc::corrupt_message);
  }
  caf::anon_send_exit(stranger, caf::exit_reason::kill);
  CHECK(ask(cluster, 1, quorum::DescribeQuorum{}));
}
