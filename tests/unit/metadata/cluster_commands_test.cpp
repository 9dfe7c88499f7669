#include "core/metadata/command_codec.hpp"
#include "tests/unit/metadata/machine_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

Result<MetadataAnswer> ask(MachineFixture& node, MetadataCommand command) {
  const auto token = node.submit(std::move(command));
  node.settle();
  REQUIRE(node.answers.contains(token));
  return node.answers.at(token);
}

const ClusterAnswer& said(const Result<MetadataAnswer>& answer) {
  REQUIRE(answer);
  const auto* cluster = std::get_if<ClusterAnswer>(&answer->result);
  REQUIRE(cluster != nullptr);
  return *cluster;
}

}  // namespace

TEST_CASE("requests of the cluster are decided, committed and answered like those for topics", "[metadata_machine]") {
  MachineFixture node;
  node.become_ready();
  REQUIRE(ask(node, ClusterCommand{RegisterBrokerRequest{.broker = {.id = BrokerId{2}}, .incarnation = uuid(51)}}));
  const auto broker = [&] { return *node.machine->image()->find_broker(BrokerId{2}); };
  REQUIRE(broker().fenced);
  const BrokerEpoch epoch{broker().broker_epoch.value()};
  REQUIRE(ask(node, ClusterCommand{UnfenceBrokerRequest{BrokerId{2}, epoch}}));
  CHECK_FALSE(broker().fenced);
  const auto created = ask(node, CreateTopicCommand{{.name = "rides"}});
  REQUIRE(created);
  const TopicIdPartition id{created->topic->id, PartitionId{0}};
  const auto rides = [&] { return node.machine->image()->find_topic("rides")->partitions[0]; };
  const auto other = rides().leader == BrokerId{1} ? BrokerId{2} : BrokerId{1};

  const auto elected = ask(node, ClusterCommand{ElectLeadersRequest{.partitions = {id}, .to = other}});
  REQUIRE(said(elected).partitions.size() == 1);
  CHECK(*said(elected).partitions[0] == rides());
  CHECK(rides().leader == other);

  // Fulfilled as things are: an answer without a record.
  const auto before = node.proposals;
  const auto again = ask(node, ClusterCommand{ElectLeadersRequest{.partitions = {id}, .to = other}});
  CHECK(said(again).partitions[0].error().code == Errc::election_not_needed);
  CHECK(node.proposals == before);

  const auto refused = ask(node, ClusterCommand{FenceBrokerRequest{BrokerId{2}, BrokerEpoch{99}}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::stale_broker_epoch);
}

TEST_CASE("a registration that the controller's node knows to be a duplicate is refused", "[metadata_machine]") {
  MachineFixture node{{.may_register = [](const RegisterBrokerRequest& request) -> Status {
    if (request.broker.id == BrokerId{1}) return ok();
    return Error{Errc::duplicate_broker_registration, "another process is that broker"};
  }}};
  node.become_ready();
  const auto as_request =
      ask(node, ClusterCommand{RegisterBrokerRequest{.broker = {.id = BrokerId{2}}, .incarnation = uuid(51)}});
  REQUIRE_FALSE(as_request);
  CHECK(as_request.error().code == Errc::duplicate_broker_registration);
  CHECK(node.machine->image()->find_broker(BrokerId{2}) == nullptr);
}

TEST_CASE("requests of the cluster and their answers come out of the wire as they went in", "[codec]") {
  const TopicIdPartition id{uuid(7), PartitionId{3}};
  const std::vector<ClusterRequest> requests{
      RegisterBrokerRequest{{.id = BrokerId{2}, .host = "h", .port = 1, .cluster_host = "c", .cluster_port = 2, .rack = "r"},
                            uuid(1),
                            true,
                            uuid(2)},
      FenceBrokerRequest{BrokerId{2}, BrokerEpoch{5}},
      UnfenceBrokerRequest{BrokerId{2}, BrokerEpoch{5}},
      StopBrokerRequest{BrokerId{2}, BrokerEpoch{5}},
      DrainBrokerRequest{BrokerId{2}, false, 17},
      UnregisterBrokerRequest{BrokerId{2}},
      AlterPartitionsRequest{
          BrokerId{1},
          BrokerEpoch{4},
          {{id, LeaderEpoch{2}, PartitionEpoch{9}, {{BrokerId{1}, BrokerEpoch{4}}, {BrokerId{2}, no_broker_epoch}}}}},
      ElectLeadersRequest{{id}, BrokerId{2}, true},
      ReassignPartitionsRequest{{{id, std::vector{BrokerId{1}, BrokerId{3}}}, {id, std::nullopt}}},
      BalanceLeadersRequest{12},
      GiveUpReplicasRequest{BrokerId{2}, BrokerEpoch{77}, {id}}};
  REQUIRE(requests.size() == std::variant_size_v<ClusterRequest>);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    INFO(i);
    ClusterCommand command{requests[i]};
    if (i % 2 == 0)
      command.before = ClusterSeen{Offset{7}, {PartitionSeen{LeaderEpoch{1}, PartitionEpoch{2}}, std::nullopt}};
    const auto bytes = encode_command({command, 500});
    const auto read = decode_command(bytes);
    REQUIRE(read);
    CHECK(read->timeout_ms == 500);
    // What was read is what was written if it is written the same.
    CHECK(to_hex(encode_command(*read)) == to_hex(bytes));
    CHECK(std::get<ClusterCommand>(read->command).request.index() == i);
    CHECK(std::get<ClusterCommand>(read->command).before == command.before);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_command(ByteView{bytes}.first(size)));
  }

  ClusterAnswer answer;
  answer.partitions.emplace_back(PartitionImage{.leader = BrokerId{1},
                                                .leader_epoch = LeaderEpoch{2},
                                                .replicas = {BrokerId{1}, BrokerId{2}},
                                                .isr = {BrokerId{1}},
                                                .partition_epoch = PartitionEpoch{7},
                                                .eligible_leader_replicas = {BrokerId{2}},
                                                .adding_replicas = {BrokerId{2}},
                                                .removing_replicas = {BrokerId{3}},
                                                .last_known_leader = BrokerId{4},
                                                .replicas_before = {BrokerId{3}, BrokerId{1}}});
  answer.partitions.emplace_back(Error{Errc::fenced_leader_epoch, "led in epoch 3"});
  answer.unclean.push_back({id, BrokerId{1}, LeaderEpoch{3}, true});
  answer.moved = 5;
  answer.left = 6;
  const auto bytes = encode_command_answer(CommandDone{Offset{9}, answer});
  const auto read = decode_command_answer(bytes);
  REQUIRE(read);
  const auto& got = std::get<ClusterAnswer>(std::get<CommandDone>(*read).result);
  REQUIRE(got.partitions.size() == 2);
  CHECK(*got.partitions[0] == *answer.partitions[0]);
  CHECK(got.partitions[1].error().code == Errc::fenced_leader_epoch);
  CHECK(got.partitions[1].error().message == "led in epoch 3");
  CHECK(got.unclean == answer.unclean);
  CHECK(got.moved == 5);
  CHECK(got.left == 6);
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_command_answer(ByteView{bytes}.first(size)));
}
