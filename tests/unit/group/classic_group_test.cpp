#include "core/group/classic_group.hpp"

#include "tests/unit/group/classic_fixture.hpp"

// The classic protocol: generations that members join and sync. Time, static members and failover: classic_failover_test.cpp.
namespace troupe::group {
namespace {

using test::ClassicFixture;
using test::taken;

std::vector<std::string> ids_of(const ClassicJoinAnswer& answer) {
  std::vector<std::string> ids;
  for (const auto& one : answer.members) ids.push_back(one.member);
  return ids;
}
std::vector<std::string> sorted(std::vector<std::string> list) {
  std::ranges::sort(list);
  return list;
}

}  // namespace

TEST_CASE("the first who joins leads, assigns, and has what it assigned", "[classic]") {
  ClassicFixture group;
  const auto joined = group.joined(group.start(group.request()));
  CHECK_FALSE(joined.join_again);
  CHECK(joined.generation == GroupEpoch{1});
  CHECK(joined.protocol_type == "consumer");
  CHECK(joined.protocol == "range");
  CHECK(joined.leader == joined.member);
  CHECK(joined.members == std::vector<ClassicPeer>{{joined.member, {}, "m"}});
  CHECK(joined.member.starts_with("app-"));
  CHECK(group.state() == GroupState::completing_rebalance);
  CHECK(group.beat(joined.member, 1) == taken);

  const auto synced = group.synced(group.start_sync(joined.member, 1, {{joined.member, "all of it"}}));
  CHECK(synced == ClassicSyncAnswer{"consumer", "range", "all of it"});
  CHECK(group.state() == GroupState::stable);
  CHECK(group.beat(joined.member, 1) == taken);
  CHECK(group.members() == std::vector<std::string>{joined.member});
}

TEST_CASE("a newcomer calls all together; the leader learns of all, the others wait for what it assigns", "[classic]") {
  ClassicFixture group;
  const auto first = group.stable(1).front();
  const auto newcomer = group.start(group.request());
  CHECK(group.waits(newcomer));
  CHECK(group.state() == GroupState::preparing_rebalance);
  CHECK(group.beat(first, 1) == Errc::rebalance_in_progress);

  const auto again = group.joined(group.start(group.request(first)));
  const auto second = group.joined(newcomer);
  CHECK(again.generation == GroupEpoch{2});
  CHECK(second.generation == GroupEpoch{2});
  CHECK(again.leader == first);
  CHECK(second.leader == first);
  CHECK(ids_of(again) == sorted({first, second.member}));
  CHECK(second.members.empty());

  const auto follower = group.start_sync(second.member, 2);
  CHECK(group.waits(follower));
  const auto leader = group.start_sync(first, 2, {{first, "0"}, {second.member, "1"}, {"nobody", "2"}});
  CHECK(group.synced(leader).assignment == "0");
  CHECK(group.synced(follower).assignment == "1");
  CHECK(group.beat(first, 1) == Errc::illegal_generation);
}

TEST_CASE("whom the leader forgets gets nothing, and who syncs late or twice is told the same", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  const auto newcomer = group.start(group.request());
  for (const auto& id : ids) group.start(group.request(id));
  const auto third = group.joined(newcomer).member;
  const auto twice = group.start_sync(third, 3);
  const auto waiting = group.start_sync(third, 3);
  CHECK(group.refused(twice) == Errc::rebalance_in_progress);  // the later call stands
  group.start_sync(ids[0], 3, {{ids[0], "a"}, {ids[1], "b"}});
  CHECK(group.synced(waiting).assignment.empty());
  CHECK(group.synced(group.start_sync(ids[1], 3)).assignment == "b");
  const auto written = group.log.size();
  CHECK(group.synced(group.start_sync(ids[1], 3)).assignment == "b");
  CHECK(group.log.size() ==
        written + 1);  // what is told from memory waits for a record, which only the coordinator can commit
}

TEST_CASE("KIP-394: a dynamic member is told its id first, and waited for when it has it", "[classic]") {
  ClassicFixture group;
  const auto first = group.stable(1).front();
  auto request = group.request();
  request.takes_id_first = true;
  const auto told = group.joined(group.start(request));
  CHECK(told.join_again);
  CHECK(group.state() == GroupState::stable);  // nobody is called together for somebody who may not come
  CHECK(group.beat(told.member, 1) == Errc::unknown_member_id);

  // Somebody else calls all together: the one with an id is waited for, too.
  const auto other = group.start(group.request());
  const auto again = group.start(group.request(first));
  CHECK(group.waits(again));
  const auto call = group.start(group.request(told.member));
  CHECK(group.joined(call).member == told.member);
  CHECK(group.joined(other).generation == group.joined(again).generation);
  CHECK(group.members().size() == 3);
}

TEST_CASE("KIP-394: an id that nobody comes with is forgotten after the session timeout", "[classic]") {
  ClassicFixture group;
  auto request = group.request();
  request.takes_id_first = true;
  const auto told = group.joined(group.start(request));
  CHECK(group.group().members.empty());
  group.pass(10'000);
  CHECK(group.refused(group.start(group.request(told.member))) == Errc::unknown_member_id);
  CHECK(group.coordinator->group_count() == 0);
  CHECK(group.log.empty());
}

TEST_CASE("an id that was not given to anybody is nobody's", "[classic]") {
  ClassicFixture group;
  CHECK(group.refused(group.start(group.request("app-1"))) == Errc::unknown_member_id);
  CHECK(group.coordinator->group_count() == 0);
  group.stable(1);
  CHECK(group.refused(group.start(group.request("app-1"))) == Errc::unknown_member_id);
  CHECK(group.refused(group.start(group.request(std::string(300, 'x')))) == Errc::unknown_member_id);
  CHECK(group.refused(group.start_sync("app-1", 1)) == Errc::unknown_member_id);
  CHECK(group.beat("app-1", 1) == Errc::unknown_member_id);
}

TEST_CASE("the same call again makes one member", "[classic]") {
  ClassicFixture group;
  const auto first = group.stable(1).front();
  const auto request = group.request();
  const auto lost = group.start(request);
  const auto again = group.start(request);  // the answer's way was cut, the node asks once more
  CHECK(group.refused(lost) == Errc::rebalance_in_progress);
  group.start(group.request(first));
  CHECK(group.joined(again).generation == GroupEpoch{2});
  CHECK(group.members().size() == 2);
  const auto late = group.start(request);
  CHECK(group.joined(late) == group.joined(again));
  CHECK(group.members().size() == 2);
}

TEST_CASE("the protocol is the one that all speak and most like best", "[classic]") {
  ClassicFixture group;
  const auto with = [&](std::string member, std::vector<std::string> names) {
    auto one = group.request(std::move(member));
    one.protocols.clear();
    for (auto& name : names) one.protocols.push_back({name, "for " + name});
    return one;
  };
  const auto a = group.joined(group.start(with({}, {"only-a", "sticky", "range"})));
  CHECK(a.protocol == "only-a");
  auto b = group.start(with({}, {"range", "sticky"}));
  auto again = group.joined(group.start(with(a.member, {"only-a", "sticky", "range"})));
  CHECK(again.protocol == "sticky");  // one vote each: as the leader likes it
  CHECK(again.members.front().metadata == "for sticky");
  const auto b_id = group.joined(b).member;
  const auto c = group.start(with({}, {"range", "sticky"}));
  b = group.start(with(b_id, {"range", "sticky"}));
  again = group.joined(group.start(with(a.member, {"only-a", "sticky", "range"})));
  CHECK(again.protocol == "range");
  CHECK(group.joined(c).protocol == "range");

  CHECK(group.refused(group.start(with({}, {"sticky-2"}))) == Errc::inconsistent_group_protocol);
  auto other_type = with({}, {"range"});
  other_type.protocol_type = "connect";
  CHECK(group.refused(group.start(other_type)) == Errc::inconsistent_group_protocol);
  CHECK(group.refused(group.start(with({}, {}))) == Errc::inconsistent_group_protocol);
  CHECK(group.refused(group.start(with(b_id, {"sticky-2"}))) == Errc::inconsistent_group_protocol);
  CHECK(group.members().size() == 3);
}

TEST_CASE("a follower that joins again with nothing new gets its generation, with news a new one", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  const auto written = group.log.size();
  const auto same = group.joined(group.start(group.request(ids[1])));
  CHECK(same.generation == GroupEpoch{2});
  CHECK(same.leader == ids[0]);
  CHECK(group.state() == GroupState::stable);
  CHECK(group.log.size() == written + 1);  // a coordinator that was deposed cannot commit that, and tells nothing

  const auto news = group.start(group.request(ids[1], "other topics"));
  CHECK(group.state() == GroupState::preparing_rebalance);
  const auto leader = group.joined(group.start(group.request(ids[0])));
  CHECK(group.joined(news).generation == GroupEpoch{3});
  const auto peer = std::ranges::find(leader.members, ids[1], &ClassicPeer::member);
  REQUIRE(peer != leader.members.end());
  CHECK(peer->metadata == "other topics");
}

TEST_CASE("a leader that joins again wants new assignments", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  const auto leader = group.start(group.request(ids[0]));
  CHECK(group.waits(leader));
  CHECK(group.beat(ids[1], 2) == Errc::rebalance_in_progress);
  group.start(group.request(ids[1]));
  CHECK(group.joined(leader).generation == GroupEpoch{3});
}

TEST_CASE("who did not hear that the generation has begun asks again and hears it", "[classic]") {
  ClassicFixture group;
  const auto first = group.joined(group.start(group.request()));
  const auto again = group.joined(group.start(group.request(first.member)));
  CHECK(again == first);
  CHECK(group.state() == GroupState::completing_rebalance);
  const auto news = group.joined(group.start(group.request(first.member, "news")));
  CHECK(news.generation == GroupEpoch{2});
}

TEST_CASE("who waits for its assignment is called together with the others", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  group.start(group.request(ids[0]));
  group.start(group.request(ids[1]));
  REQUIRE(group.state() == GroupState::completing_rebalance);
  const auto waiting = group.start_sync(ids[1], 3);
  group.start(group.request());
  CHECK(group.refused(waiting) == Errc::rebalance_in_progress);
  CHECK(group.refused(group.start_sync(ids[0], 3)) == Errc::rebalance_in_progress);
}

TEST_CASE("what a member may not sync", "[classic]") {
  ClassicFixture group;
  const auto id = group.stable(1).front();
  CHECK(group.refused(group.start_sync(id, 0)) == Errc::illegal_generation);
  CHECK(group.refused(group.start_sync(id, 2)) == Errc::illegal_generation);
  ClassicSyncRequest sync{"g", id, {}, GroupEpoch{1}, "consumer", "sticky", {}};
  CHECK(group.refused(group.start(sync)) == Errc::inconsistent_group_protocol);
  sync.protocol = "range";
  sync.protocol_type = "connect";
  CHECK(group.refused(group.start(sync)) == Errc::inconsistent_group_protocol);
  sync.protocol_type = "consumer";
  CHECK(group.synced(group.start(sync)).assignment == id);
  sync.group = "no such";
  CHECK(group.refused(group.start(sync)) == Errc::invalid_group_id);
  sync.group = "other";
  CHECK(group.refused(group.start(sync)) == Errc::unknown_member_id);
}

TEST_CASE("members leave, several at once, and the last one leaves a group without members", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(3);
  auto promised = group.request();
  promised.takes_id_first = true;
  const auto coming = group.joined(group.start(promised)).member;
  CHECK(group.leave({{ids[0], {}}, {"nobody", {}}, {coming, {}}, {{}, "no-instance"}}) ==
        std::vector<Errc>{taken, Errc::unknown_member_id, taken, Errc::unknown_member_id});
  CHECK(group.state() == GroupState::preparing_rebalance);
  CHECK(group.refused(group.start(group.request(coming))) == Errc::unknown_member_id);
  CHECK(group.beat(ids[0], 3) == Errc::unknown_member_id);
  const auto a = group.start(group.request(ids[1]));
  const auto b = group.start(group.request(ids[2]));
  CHECK(group.joined(a).leader == ids[1]);  // the leader has left: the first who came
  CHECK(group.joined(b).generation == GroupEpoch{4});

  CHECK(group.leave({{ids[1], {}}, {ids[2], {}}}) == std::vector<Errc>{taken, taken});
  CHECK(group.state() == GroupState::empty);
  CHECK(group.group().epoch == GroupEpoch{5});
  CHECK(group.leave({{ids[1], {}}}) == std::vector<Errc>{Errc::unknown_member_id});
  group.fail_over(true);
  CHECK(group.state() == GroupState::empty);
  CHECK(group.joined(group.start(group.request())).generation == GroupEpoch{6});
}

TEST_CASE("who leaves while it waits is told so", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  const auto waiting = group.start(group.request(ids[1], "news"));
  CHECK(group.leave({{ids[1], {}}}) == std::vector<Errc>{taken});
  CHECK(group.refused(waiting) == Errc::unknown_member_id);
  const auto left = group.joined(group.start(group.request(ids[0])));
  CHECK(left.members.size() == 1);
}

TEST_CASE("members commit with their generation, others only while there are none", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 2);
  CHECK(group.commits({}) == taken);  // a simple consumer
  const auto ids = group.stable(2);
  CHECK(group.commits({}) == Errc::unknown_member_id);
  CHECK(group.commits({ids[0], GroupEpoch{2}}, 7) == taken);
  CHECK(group.committed("orders", 0)->offset == Offset{7});
  CHECK(group.commits({ids[0], GroupEpoch{1}}) == Errc::illegal_generation);
  CHECK(group.commits({ids[0], GroupEpoch{-1}}) == Errc::illegal_generation);
  CHECK(group.commits({"nobody", GroupEpoch{2}}) == Errc::unknown_member_id);
  CHECK(group.commits({ids[0], GroupEpoch{2}}, 7, "no-topic") == Errc::unknown_topic_or_partition);

  // Called together: what was read is committed before it is given up.
  const auto newcomer = group.start(group.request());
  CHECK(group.commits({ids[1], GroupEpoch{2}}, 8) == taken);
  group.start(group.request(ids[0]));
  group.start(group.request(ids[1]));
  const auto third = group.joined(newcomer).member;
  CHECK(group.commits({third, GroupEpoch{3}}) == Errc::rebalance_in_progress);  // until it has its assignment
  CHECK(group.commits({ids[0], GroupEpoch{2}}) == Errc::illegal_generation);
  group.sync_all({ids[0], ids[1], third});
  CHECK(group.commits({third, GroupEpoch{3}}, 9) == taken);

  const auto ask = [&](Committer who) {
    return group.coordinator->offsets({"g", std::move(who), std::vector<GroupPartition>{{"orders", PartitionId{0}}}});
  };
  CHECK(ask({})->front().second->offset == Offset{9});
  CHECK(ask({third, GroupEpoch{3}})->front().second->offset == Offset{9});
  CHECK(ask({third, GroupEpoch{2}}).error().code == Errc::illegal_generation);

  group.leave({{ids[0], {}}, {ids[1], {}}, {third, {}}});
  CHECK(group.commits({third, GroupEpoch{3}}) == Errc::unknown_member_id);
  CHECK(group.commits({}, 10) == taken);
}

TEST_CASE("KIP-429: a cooperative group moves a partition in two generations, and nothing else stops", "[classic]") {
  // The coordinator neither knows nor cares: what members own is in their metadata, what moves is left out of the first assignment.
  ClassicFixture group;
  const auto cooperative = [&](std::string member, const std::string& owned) {
    auto one = group.request(std::move(member));
    one.protocols = {{"cooperative-sticky", "owns " + owned}};
    return one;
  };
  const auto a = group.joined(group.start(cooperative({}, "nothing"))).member;
  group.start_sync(a, 1, {{a, "0 1"}});
  // b comes; a goes on reading 0 and 1 while it joins.
  const auto newcomer = group.start(cooperative({}, "nothing"));
  const auto told = group.joined(group.start(cooperative(a, "0 1")));
  const auto b = group.joined(newcomer).member;
  CHECK(std::ranges::find(told.members, a, &ClassicPeer::member)->metadata == "owns 0 1");
  const auto waiting = group.start_sync(b, 2);
  CHECK(group.synced(group.start_sync(a, 2, {{a, "0"}, {b, ""}})).assignment == "0");
  CHECK(group.synced(waiting).assignment.empty());
  // a has given 1 up, says so by joining again, and reads 0 all the time.
  const auto again = group.start(cooperative(a, "0"));
  CHECK(group.beat(b, 2) == Errc::rebalance_in_progress);
  group.start(cooperative(b, "nothing"));
  CHECK(group.joined(again).generation == GroupEpoch{3});
  const auto follower = group.start_sync(b, 3);
  CHECK(group.synced(group.start_sync(a, 3, {{a, "0"}, {b, "1"}})).assignment == "0");
  CHECK(group.synced(follower).assignment == "1");
}

TEST_CASE("a group without members can become one of the other type, one with members cannot", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 1);
  const auto native = group.join("n", test::reads({"orders"}));
  REQUIRE(native);
  CHECK(group.refused(group.start(group.request())) == Errc::inconsistent_group_protocol);
  REQUIRE(group.beat(HeartbeatRequest{"g", "n", leaving, {}, {}}));
  CHECK(group.group().type == GroupType::consumer);

  const auto id = group.stable(1).front();
  CHECK(group.group().type == GroupType::classic);
  const auto refused = group.join("n", test::reads({"orders"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::inconsistent_group_protocol);
  group.fail_over(true);
  CHECK(group.group().type == GroupType::classic);
  CHECK(group.beat(id, 1) == taken);
  group.leave({{id, {}}});

  CHECK(group.join("n", test::reads({"orders"})));
  group.fail_over(true);
  CHECK(group.group().type == GroupType::consumer);
  CHECK(group.group().members.size() == 1);
  CHECK(group.refused(group.start(group.request(id))) == Errc::inconsistent_group_protocol);
}

TEST_CASE("what a member may not ask to join with", "[classic]") {
  auto options = ClassicFixture::at_once();
  options.limits.members_max = 2;
  options.limits.groups_max = 1;
  options.limits.classic_metadata_bytes_max = 100;
  options.limits.classic_group_metadata_bytes_max = 120;
  ClassicFixture group(options);
  const auto code = [&](auto change) {
    auto one = group.request();
    change(one);
    return group.refused(group.start(one));
  };
  CHECK(code([](auto& one) { one.group = "no name"; }) == Errc::invalid_group_id);
  CHECK(code([](auto& one) { one.session_timeout_ms = 999; }) == Errc::invalid_session_timeout);
  CHECK(code([](auto& one) { one.session_timeout_ms = 1'800'001; }) == Errc::invalid_session_timeout);
  CHECK(code([](auto& one) { one.protocol_type.clear(); }) == Errc::inconsistent_group_protocol);
  CHECK(code([](auto& one) { one.protocols.front().name.clear(); }) == Errc::invalid_argument);
  CHECK(code([](auto& one) { one.protocols.resize(65, {"x", {}}); }) == Errc::invalid_argument);
  CHECK(code([](auto& one) { one.instance_id = std::string(250, 'x'); }) == Errc::invalid_argument);
  CHECK(code([](auto& one) { one.protocols.front().metadata = std::string(100, 'x'); }) == Errc::message_too_large);
  CHECK(group.coordinator->group_count() == 0);

  const auto ids = group.stable(2);
  CHECK(code([](auto& one) { one.group = "second"; }) == Errc::policy_violation);
  CHECK(code([](auto&) {}) == Errc::group_max_size_reached);
  const auto fat = group.start(group.request(ids[1], std::string(95, 'x')));
  CHECK(group.waits(fat));
  const auto too_fat = group.start(group.request(ids[0], std::string(95, 'x')));
  CHECK(group.refused(too_fat) == Errc::group_max_size_reached);  // all of them together
  CHECK(group.joined(fat).leader == ids[1]);                      // who was refused is not waited for
}

TEST_CASE("assignments have a bound", "[classic]") {
  auto options = ClassicFixture::at_once();
  options.limits.classic_group_assignment_bytes_max = 200;
  ClassicFixture group(options);
  const auto id = group.joined(group.start(group.request())).member;
  CHECK(group.refused(group.start_sync(id, 1, {{id, std::string(200, 'x')}})) == Errc::message_too_large);
  CHECK(group.state() == GroupState::completing_rebalance);
  CHECK(group.synced(group.start_sync(id, 1, {{id, "less"}})).assignment == "less");
}

TEST_CASE("odd client ids make member ids that can be printed", "[classic]") {
  ClassicFixture group;
  auto request = group.request();
  request.client_id = "a\nb" + std::string(400, 'x');
  request.rebalance_timeout_ms = -1;
  const auto id = group.joined(group.start(request)).member;
  CHECK(id.size() == 200 + 37);
  CHECK(id.starts_with("a_bxx"));
  CHECK(group.group().members.front().profile.client_id.size() == 249);
  CHECK(group.group().members.front().profile.rebalance_timeout_ms == request.session_timeout_ms);
  group.fail_over();
  CHECK(group.beat(id, 1) == taken);
}

}  // namespace troupe::group
