#include "tests/actors/group_fixture.hpp"

// Groups of one node: desk, manager, coordinators, and the log they write to.

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::test;

TEST_CASE("the first call of a group makes the groups' topic", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  node.create_topic("orders", 2);
  const auto joined = node.client.join("g", "a", "orders");
  REQUIRE(joined);
  CHECK(partitions_of(*joined).size() == 2);
  const auto topic = node.images->get()->find_topic(group::offsets_topic);
  REQUIRE(topic);
  CHECK(topic->partition_count() == 16);
  CHECK(topic->config_overrides.at("cleanup.policy") == "compact");
  CHECK(topic->config_overrides.at("retention.ms") == "-1");
  node.scheduler.advance(200);
  const auto rows = node.table.snapshot();
  CHECK(std::ranges::count(rows, "group_coordinator", &ActorStatus::kind) == 16);
}

TEST_CASE("questions make no topic", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  CHECK(node.client.describe("g").error().code == Errc::group_id_not_found);
  CHECK(node.client.committed("g") == -1);
  const auto listed = node.client.list();
  REQUIRE(listed);
  CHECK(listed->groups.empty());
  CHECK(listed->silent.empty());
  CHECK_FALSE(node.images->get()->find_topic(group::offsets_topic));
}

TEST_CASE("what a group has survives its coordinator", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  node.create_topic("orders", 2);
  const auto joined = node.client.join("g", "a", "orders");
  REQUIRE(joined);
  REQUIRE(node.client.commit("g", {"a", joined->epoch}, "orders", 0, 41));
  const auto leader = node.leader_of(node.place_of("g"));
  node.kill_leader(node.place_of("g"));
  node.scheduler.run();

  // Asked while nobody is there.
  CHECK(node.client.committed("g") == 41);
  REQUIRE(node.leader_of(node.place_of("g")));
  CHECK(node.leader_of(node.place_of("g")) != leader);
  const auto beat = node.client.beat("g", "a", joined->epoch);
  REQUIRE(beat);
  CHECK(beat->epoch == joined->epoch);
  CHECK_FALSE(beat->assignment);
  const auto described = node.client.describe("g");
  REQUIRE(described);
  CHECK(described->members.at(0).current.assigned == partitions_of(*joined));
}

TEST_CASE("groups are listed from all coordinators, by name", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  node.create_topic("orders");
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) {
    names.push_back("group-" + std::to_string(100 + i));
    REQUIRE(node.client.commit(names.back(), {}, "orders", 0, i));
  }
  const auto listed = node.client.list();
  REQUIRE(listed);
  std::vector<std::string> found;
  for (const auto& one : listed->groups) found.push_back(one.group);
  CHECK(found == names);
  REQUIRE(node.client.remove("group-105"));
  CHECK(node.client.remove("group-105").error().code == Errc::group_id_not_found);
  CHECK(node.client.list()->groups.size() == 19);
}

TEST_CASE("a member hears that there is news, until it no longer listens", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  node.create_topic("orders", 2);
  REQUIRE(node.client.join("g", "a", "orders"));
  int heard = 0;
  auto listening = node.groups.front.listen("g", "a", [&] { ++heard; });
  REQUIRE(node.client.join("g", "b", "orders"));
  CHECK(heard == 1);
  listening.reset();
  REQUIRE(node.client.join("g", "c", "orders"));
  CHECK(heard == 1);
}

TEST_CASE("a refusal of the rules comes back as it is", "[groups]") {
  GroupNodeFixture node;
  node.rules.limits.groups_max = 1;
  node.start_groups();
  node.create_topic("orders");
  CHECK(node.client.join("no good", "a", "orders").error().code == Errc::invalid_group_id);
  CHECK(node.client.beat("g", "a", group::GroupEpoch{1}).error().code == Errc::unknown_member_id);
  REQUIRE(node.client.join("g", "a", "orders"));
  CHECK(node.client.commit("g", {"a", group::GroupEpoch{9}}, "orders", 0, 1).error().code == Errc::stale_member_epoch);
  CHECK(node.client.commit("g", {"a", group::GroupEpoch{1}}, "rides", 0, 1).error().code ==
        Errc::unknown_topic_or_partition);
  CHECK(node.client.remove("g").error().code == Errc::non_empty_group);
  std::string other;
  for (int i = 0; other.empty(); ++i) {
    const auto name = "other-" + std::to_string(i);
    if (group::partition_of_group(name) == group::partition_of_group("g")) other = name;
  }
  CHECK(node.client.join(other, "a", "orders").error().code == Errc::policy_violation);  // one group too many
}

TEST_CASE("a topic that comes to a pattern's members is assigned to them", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  node.create_topic("orders-1");
  auto profile = GroupClient::reads({});
  profile.pattern = "orders-.*";
  const auto joined = node.client.wait(node.client.start_beat({"g", "a", group::joining, profile, {}}));
  REQUIRE(joined);
  CHECK(partitions_of(*joined).size() == 1);
  int heard = 0;
  const auto listening = node.groups.front.listen("g", "a", [&] { ++heard; });
  node.create_topic("orders-2", 2);
  CHECK(heard == 1);
  const auto beat = node.client.beat("g", "a", joined->epoch, partitions_of(*joined));
  REQUIRE(beat);
  CHECK(partitions_of(*beat).size() == 3);
}

TEST_CASE("while nobody coordinates, a call waits for its time and says that nothing was done", "[groups]") {
  GroupNodeFixture node;
  node.start_groups();
  node.create_topic("orders");
  REQUIRE(node.client.join("g", "a", "orders"));
  caf::anon_send_exit(node.groups.manager.get(), caf::exit_reason::user_shutdown);
  node.scheduler.run();
  CHECK(node.groups.directory.all().empty());
  const auto answer = node.client.start_commit("g", {"a", group::GroupEpoch{1}}, "orders", 0, 1, 2'000);
  node.scheduler.advance(1'900);
  CHECK_FALSE(answer->has_value());
  const auto said = node.client.wait(answer, 200);
  CHECK(said.error().code == Errc::coordinator_not_available);
}

TEST_CASE("calls that wait have bounds in number and bytes", "[groups]") {
  GroupNodeFixture node;
  node.desk_options.calls_max = 2;
  node.desk_options.call_bytes_max = 1'000;
  node.start_groups();
  node.create_topic("orders");
  const auto first = node.client.start_commit("g", {}, "orders", 0, 1);
  const auto second = node.client.start_commit("g", {}, "orders", 0, 2);
  const auto third = node.client.start_commit("g", {}, "orders", 0, 3);
  const auto large = node.client.start_commit(std::string(1'000, 'g'), {}, "orders", 0, 3);
  CHECK(node.client.wait(third).error().code == Errc::overloaded);
  CHECK(node.client.wait(large).error().code == Errc::message_too_large);
  CHECK(node.client.wait(first));
  CHECK(node.client.wait(second));
  CHECK(node.client.commit("g", {}, "orders", 0, 4));
}

TEST_CASE("a node without groups says so", "[groups]") {
  GroupFront front{nullptr, nullptr};
  auto [answer, reply] = GroupClient::expect<group::GroupDescription>();
  front.describe("g", 1'000, std::move(reply));
  REQUIRE(answer->has_value());
  CHECK((*answer)->error().code == Errc::coordinator_not_available);
}
