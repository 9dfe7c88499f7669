#include "tests/actors/group_fixture.hpp"

// Groups of a cluster: calls from any node, and coordinators that move.

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::test;

TEST_CASE("any node brings a call to the group's coordinator", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(2);
  for (int id = 1; id <= 3; ++id) {
    CAPTURE(id);
    const auto joined = cluster.client(id).join(group, "m" + std::to_string(id), "orders");
    CHECK(joined);
  }
  CHECK(cluster.client(3).describe(group)->members.size() == 3);
  REQUIRE(cluster.client(1).commit("plain", {}, "orders", 0, 9));
  CHECK(cluster.client(2).committed("plain") == 9);
  const auto listed = cluster.client(3).list();
  REQUIRE(listed);
  CHECK(listed->groups.size() == 2);
  CHECK(listed->silent.empty());
  CHECK(cluster.client(3).remove(group).error().code == Errc::non_empty_group);
}

TEST_CASE("a member on another node hears that there is news", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(2);
  REQUIRE(cluster.client(3).join(group, "a", "orders"));
  int heard = 0;
  const auto listening = cluster.groups.at(BrokerId{3})->front.listen(group, "a", [&] { ++heard; });
  REQUIRE(cluster.client(1).join(group, "b", "orders"));
  CHECK(heard == 1);
}

TEST_CASE("when the leader moves, the next coordinator has offsets and members as they were", "[groups]") {
  const auto seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  GroupClusterFixture cluster(seed);
  const auto group = cluster.led_by(1);
  auto client = cluster.client(3);
  const auto joined = client.join(group, "a", "orders");
  REQUIRE(joined);
  REQUIRE(client.commit(group, {"a", joined->epoch}, "orders", 0, 17));

  cluster.controller->elect(cluster.place_of(group), BrokerId{2});
  const auto beat = client.beat(group, "a", joined->epoch);  // on its way while the coordinator moves
  REQUIRE(beat);
  CHECK(beat->epoch == joined->epoch);
  CHECK(client.committed(group) == 17);
  CHECK(cluster.client(1).describe(group)->members.at(0).current.assigned == partitions_of(*joined));
  CHECK_FALSE(cluster.groups.at(BrokerId{1})->directory.find(cluster.place_of(group).partition));
  CHECK(cluster.groups.at(BrokerId{2})->directory.find(cluster.place_of(group).partition));
  REQUIRE(client.commit(group, {"a", joined->epoch}, "orders", 0, 18));
  CHECK(cluster.client(1).committed(group) == 18);
}

TEST_CASE("when the coordinator's node is killed, offsets and members are intact on the next", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(1);
  auto client = cluster.client(2);
  const auto joined = client.join(group, "a", "orders");
  REQUIRE(joined);
  REQUIRE(client.commit(group, {"a", joined->epoch}, "orders", 1, 5));
  cluster.kill_node(1);
  const auto answer = client.start_beat({group, "a", joined->epoch, {}, {}});
  cluster.scheduler.advance(200);
  CHECK_FALSE(answer->has_value());  // nobody leads yet
  cluster.controller->fence(BrokerId{1});
  const auto beat = client.wait(answer);
  REQUIRE(beat);
  CHECK(beat->epoch == joined->epoch);
  CHECK(client.committed(group) == 5);
  CHECK(cluster.client(3).describe(group)->members.size() == 1);
}

TEST_CASE("members of a node whose process is gone are out at once", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(1);
  REQUIRE(cluster.client(3).join(group, "far", "orders"));
  REQUIRE(cluster.client(2).join(group, "near", "orders"));
  cluster.kill_node(3);
  cluster.controller->fence(BrokerId{3});  // so that what is written can be committed without it
  const auto described = cluster.client(2).describe(group);
  REQUIRE(described);
  REQUIRE(described->members.size() == 1);
  CHECK(described->members[0].member == "near");
}

TEST_CASE("members of a broker that the metadata has fenced are out", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(1);
  REQUIRE(cluster.client(3).join(group, "far", "orders"));
  REQUIRE(cluster.client(2).join(group, "near", "orders"));
  cluster.controller->fence(BrokerId{3});
  cluster.scheduler.advance(100);
  const auto described = cluster.client(2).describe(group);
  REQUIRE(described);
  REQUIRE(described->members.size() == 1);
  CHECK(described->members[0].member == "near");
}

TEST_CASE("a coordinator that was deposed and does not know it tells nobody anything", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(1);
  const auto joined = cluster.client(2).join(group, "a", "orders");  // it lives there
  REQUIRE(joined);
  // Node 1 hears nothing any more, and nobody hears it; the others have elected 2.
  cluster.controller->make_deaf(BrokerId{1});
  cluster.network.cut(BrokerId{1}, BrokerId{2});
  cluster.network.cut(BrokerId{1}, BrokerId{3});
  cluster.controller->fence(BrokerId{1});
  auto old = cluster.client(1);
  const auto stale = old.start_commit(group, {"a", joined->epoch}, "orders", 0, 99, 3'000);
  const auto question = old.start_beat({group, "a", joined->epoch, {}, {}}, 3'000);
  REQUIRE(cluster.client(2).commit(group, {"a", joined->epoch}, "orders", 0, 3));
  const auto said = old.wait(stale);
  REQUIRE_FALSE(said);
  CHECK(said.error().code == Errc::request_timed_out);  // it was written there, and is on no other node
  CHECK_FALSE(old.wait(question));
  CHECK(cluster.client(3).committed(group) == 3);
}

TEST_CASE("a change whose answer got lost is not asked twice, a commit is", "[groups]") {
  GroupClusterFixture cluster;
  const auto group = cluster.led_by(1);
  auto client = cluster.client(2);
  REQUIRE(client.commit(group, {}, "orders", 0, 1));
  int lost = 0;
  cluster.network.lose_if([&](const FakeLinks::Passing& passing) {
    return passing.is_answer && passing.channel == Channel::group && lost++ == 0;
  });
  // Its answer is lost: the link goes down, and the call with it.
  const auto commit = client.start_commit(group, {}, "orders", 0, 2);
  cluster.scheduler.run();
  CHECK_FALSE(commit->has_value());
  cluster.network.cut(BrokerId{1}, BrokerId{2});
  cluster.network.heal(BrokerId{1}, BrokerId{2});
  REQUIRE(client.wait(commit));
  CHECK(client.committed(group) == 2);

  lost = 0;
  auto [removed, reply] = GroupClient::expect<Nothing>();
  cluster.groups.at(BrokerId{2})->front.delete_group(group, 5'000, std::move(reply));
  cluster.scheduler.run();
  cluster.network.cut(BrokerId{1}, BrokerId{2});
  cluster.network.heal(BrokerId{1}, BrokerId{2});
  CHECK(client.wait(removed).error().code == Errc::request_timed_out);
  cluster.scheduler.advance(100);
  CHECK(client.describe(group).error().code == Errc::group_id_not_found);  // it had been done
}

TEST_CASE("a desk refuses what it cannot read", "[groups]") {
  GroupClusterFixture cluster;
  auto heard = std::make_shared<std::vector<Error>>();
  const auto stranger = cluster.scheduler.own(cluster.scheduler.system().spawn(
      [](caf::event_based_actor*, std::shared_ptr<std::vector<Error>> errors) -> caf::behavior {
        return {[errors](const PeerAnswer& answer) {
          REQUIRE_FALSE(answer.answer);
          errors->push_back(answer.answer.error());
        }};
      },
      heard));
  auto& links = *cluster.node(2).links;
  for (const std::string& bytes : {std::string(), std::string("\x01"), std::string("\x02\x06"), std::string(200, '\xff')}) {
    links.call(BrokerId{1}, Channel::group, Bytes::copy_of(as_bytes(bytes)), 1'000, 1, stranger);
    links.send(BrokerId{1}, Channel::group, Bytes::copy_of(as_bytes(bytes)));
  }
  cluster.scheduler.advance(1'100);
  REQUIRE(heard->size() == 4);
  for (const auto& error : *heard) CHECK(error.code == Errc::corrupt_message);
  // A group of another node's.
  const auto elsewhere = Bytes::adopt(group::encode_call(group::DescribeRequest{cluster.led_by(3)}));
  links.call(BrokerId{1}, Channel::group, elsewhere, 1'000, 2, stranger);
  cluster.scheduler.run();
  REQUIRE(heard->size() == 5);
  CHECK(heard->back().code == Errc::not_coordinator);
}
