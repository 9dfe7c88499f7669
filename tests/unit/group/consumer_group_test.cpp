#include "tests/unit/group/group_fixture.hpp"

// Members of a group and their partitions, seen from outside: heartbeats in, answers and records out. Source: KIP-848, KIP-345.
namespace troupe::group {
namespace {

using test::GroupFixture;
using test::apply_records;
using test::broker;
using test::partitions_of;
using test::reads;

/// A heartbeat that says what the member has.
HeartbeatRequest has(const std::string& member, GroupEpoch epoch, PartitionList owned) {
  return {"g", member, epoch, {}, std::move(owned)};
}
HeartbeatRequest leaves(const std::string& member, GroupEpoch how = leaving) { return {"g", member, how, {}, {}}; }

template <class T>
Errc code(const Result<T>& result) {
  return result ? Errc::unknown_error : result.error().code;
}

}  // namespace

TEST_CASE("the first member gets everything in the answer to its join", "[group]") {
  GroupFixture group;
  group.topic("orders", 3);
  const auto joined = group.join("a", reads({"orders"}));
  REQUIRE(joined);
  CHECK(joined->epoch == GroupEpoch{1});
  CHECK(partitions_of(*joined) == PartitionList{group.at("orders", 0), group.at("orders", 1), group.at("orders", 2)});
  CHECK(joined->heartbeat_interval_ms == 3'000);
  CHECK(group.coordinator->describe("g")->state == GroupState::stable);

  const auto beat = group.beat({"g", "a", joined->epoch, {}, {}});
  REQUIRE(beat);
  CHECK(!beat->assignment);  // nothing new
}

TEST_CASE("with the assignor load, who reads what most waits in reads little else", "[group]") {
  GroupFixture group;
  group.topic("orders", 4);
  auto by_load = reads({"orders"});
  by_load.assignor = GENERATE("load", "uniform");
  const auto a = group.join("a", by_load);
  auto says = has("a", a->epoch, partitions_of(*a));
  says.waiting = {{group.at("orders", 0), 300}, {group.at("orders", 1), 2}, {group.at("orders", 3), 1}};
  REQUIRE(group.beat(says));
  REQUIRE(group.join("b", by_load));
  // What others say of it counts for nothing.
  HeartbeatRequest lies{"g", "b", GroupEpoch{2}, {}, {}};
  lies.waiting = {{group.at("orders", 0), 0}, {group.at("orders", 1), 1'000'000}};
  REQUIRE(group.beat(lies));
  REQUIRE(group.join("c", by_load));
  REQUIRE(group.beat(leaves("c")));
  const auto members = group.coordinator->describe("g")->members;
  REQUIRE(members.size() == 2);
  const bool heavy_first = contains(members[0].target, group.at("orders", 0));
  CHECK(members[heavy_first ? 0 : 1].target.size() == (by_load.assignor == "load" ? 1 : 2));
}

TEST_CASE("a second member gets what the first lets go of, and only that pauses", "[group]") {
  GroupFixture group;
  group.topic("orders", 4);
  const auto a = group.join("a", reads({"orders"}));
  const auto b = group.join("b", reads({"orders"}));
  REQUIRE(b);
  CHECK(partitions_of(*b).empty());
  CHECK(b->assignment);  // it is told that it has nothing yet
  CHECK(group.was_nudged("a"));

  const auto told = group.beat(has("a", a->epoch, partitions_of(*a)));
  REQUIRE(told);
  const auto stays = partitions_of(*told);
  CHECK(stays.size() == 2);
  CHECK(told->epoch == a->epoch);  // not before it has let go
  CHECK(!group.was_nudged("b"));

  const auto done = group.beat(has("a", told->epoch, stays));
  REQUIRE(done);
  CHECK(done->epoch == GroupEpoch{2});
  CHECK(group.was_nudged("b"));
  const auto given = group.beat(has("b", b->epoch, {}));
  REQUIRE(given);
  CHECK(partitions_of(*given) == without(partitions_of(*a), stays));
  CHECK(group.coordinator->describe("g")->state == GroupState::stable);
}

TEST_CASE("what a member leaves goes to the others at once", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  const auto a = group.join("a", reads({"orders"}));
  const auto b = group.join("b", reads({"orders"}));
  const auto told = group.beat(has("a", a->epoch, partitions_of(*a)));
  REQUIRE(group.beat(has("a", told->epoch, partitions_of(*told))));
  REQUIRE(group.beat(has("b", b->epoch, {})));

  REQUIRE(group.beat(leaves("a")));
  CHECK(group.was_nudged("b"));
  const auto all = group.beat(has("b", GroupEpoch{2}, {group.at("orders", 1)}));
  REQUIRE(all);
  CHECK(partitions_of(*all).size() == 2);
  CHECK(code(group.beat({"g", "a", GroupEpoch{2}, {}, {}})) == Errc::unknown_member_id);
}

TEST_CASE("a member that falls silent is out after its session timeout, and not before", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  auto profile = reads({"orders"});
  profile.session_timeout_ms = 10'000;
  REQUIRE(group.join("a", profile));
  REQUIRE(group.join("b", profile));
  for (int second = 1; second <= 9; ++second) {
    group.pass(1'000);
    REQUIRE(group.beat({"g", "b", GroupEpoch{2}, {}, {}}));
  }
  CHECK(group.coordinator->describe("g")->members.size() == 2);
  group.pass(1'000);
  CHECK(group.coordinator->describe("g")->members.size() == 1);
  CHECK(group.was_nudged("b"));
  CHECK(*group.coordinator->next_deadline() <= group.now.monotonic + 10'000);
  const auto all = group.beat(has("b", GroupEpoch{2}, {}));
  REQUIRE(all);
  CHECK(partitions_of(*all).size() == 2);
}

TEST_CASE("a member that does not let go is out after its rebalance timeout", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  auto profile = reads({"orders"});
  profile.rebalance_timeout_ms = 5'000;
  const auto a = group.join("a", profile);
  REQUIRE(group.join("b", profile));
  const auto kept = partitions_of(*a);
  REQUIRE(group.beat(has("a", a->epoch, kept)));  // told to give one up
  for (int second = 1; second < 5; ++second) {
    group.pass(1'000);
    REQUIRE(group.beat(has("a", a->epoch, kept)));  // it lives, and holds on
  }
  CHECK(group.coordinator->describe("g")->members.size() == 2);
  group.pass(1'000);
  REQUIRE(group.coordinator->describe("g")->members.size() == 1);
  CHECK(code(group.beat(has("a", a->epoch, kept))) == Errc::unknown_member_id);
  CHECK(code(group.commit("a", a->epoch.value(), "orders", 0, 7)) == Errc::unknown_member_id);
}

TEST_CASE("an epoch that is not the member's is fenced, but for a lost answer", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  const auto a = group.join("a", reads({"orders"}));
  REQUIRE(group.beat(leaves("b", GroupEpoch{3})).error().code == Errc::unknown_member_id);
  REQUIRE(group.join("b", reads({"orders"})));
  REQUIRE(group.beat(leaves("b")));
  // Nothing to give up after all: the epoch moves on, and the answer gets lost.
  const auto lost = group.beat({"g", "a", a->epoch, {}, partitions_of(*a)});
  REQUIRE(lost->epoch == GroupEpoch{3});
  const auto again = group.beat({"g", "a", a->epoch, {}, partitions_of(*a)});
  REQUIRE(again);
  CHECK(again->epoch == GroupEpoch{3});
  CHECK(again->assignment);
  CHECK(code(group.beat({"g", "a", a->epoch, {}, {}})) == Errc::fenced_member_epoch);  // it does not say what it has
  CHECK(code(group.beat({"g", "a", GroupEpoch{4}, {}, {}})) == Errc::fenced_member_epoch);
}

TEST_CASE("an assignment is told with a record, so that nobody who was deposed tells one", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  const auto a = group.join("a", reads({"orders"}));
  const auto written = group.log.size();
  CHECK(!group.beat({"g", "a", a->epoch, {}, {}})->assignment);
  CHECK(group.log.size() == written);
  CHECK(group.beat(has("a", a->epoch, {}))->assignment);
  CHECK(group.log.size() == written + 1);
}

TEST_CASE("a fenced member joins again under its id and has nothing at first", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  REQUIRE(group.join("a", reads({"orders"})));
  const auto again = group.join("a", reads({"orders"}));
  REQUIRE(again);
  CHECK(partitions_of(*again).size() == 2);
  CHECK(group.coordinator->describe("g")->members.size() == 1);
  // An epoch that a coordinator which was deposed in between cannot know.
  CHECK(again->epoch == GroupEpoch{2});
}

TEST_CASE("a successor finds members, targets and assignments as they were", "[group]") {
  const bool compacted = GENERATE(false, true);
  GroupFixture group;
  group.topic("orders", 4);
  const auto a = group.join("a", reads({"orders"}));
  const auto b = group.join("b", reads({"orders"}));
  const auto told = group.beat(has("a", a->epoch, partitions_of(*a)));
  const auto before = *group.coordinator->describe("g");
  const auto written = group.log.size();

  group.fail_over(compacted);
  const auto after = *group.coordinator->describe("g");
  CHECK(group.log.size() == written);  // nothing changes because the coordinator did
  REQUIRE(after.members.size() == 2);
  CHECK(after.epoch == before.epoch);
  for (std::size_t at = 0; at < 2; ++at) {
    CHECK(after.members[at].current == before.members[at].current);
    CHECK(after.members[at].target == before.members[at].target);
    CHECK(after.members[at].profile == before.members[at].profile);
  }
  const auto done = group.beat(has("a", told->epoch, partitions_of(*told)));
  REQUIRE(done);
  CHECK(group.was_nudged("b"));
  CHECK(partitions_of(*group.beat(has("b", b->epoch, {}))).size() == 2);

  // Everybody has the full time again.
  group.fail_over(compacted);
  group.pass(44'000);
  CHECK(group.coordinator->describe("g")->members.size() == 2);
  group.pass(1'000);
  CHECK(group.coordinator->describe("g")->members.empty());
}

TEST_CASE("new partitions, new topics that a pattern matches, and topics that go", "[group]") {
  GroupFixture group;
  group.topic("logs.web", 1);
  auto profile = reads({});
  profile.pattern = "logs\\..*";
  const auto a = group.join("a", profile);
  REQUIRE(partitions_of(*a).size() == 1);

  group.topic("other", 1);
  CHECK(!group.was_nudged("a"));
  group.topic("logs.app", 2);
  CHECK(group.was_nudged("a"));
  const auto more = group.beat({"g", "a", a->epoch, {}, partitions_of(*a)});
  REQUIRE(more);
  CHECK(partitions_of(*more).size() == 3);

  const auto gone = group.image->find_topic("logs.app");
  auto without_it = test::apply_records(group.image, {metadata::TopicRemovedRecord{gone->id}}).after;
  group.change(without_it);
  CHECK(group.was_nudged("a"));
  const auto less = group.beat({"g", "a", more->epoch, {}, partitions_of(*more)});
  REQUIRE(less);
  CHECK(partitions_of(*less).size() == 1);
}

TEST_CASE("a member changes its mind about what it reads", "[group]") {
  GroupFixture group;
  group.topic("orders", 1).topic("bills", 1);
  const auto a = group.join("a", reads({"orders"}));
  const auto told = group.beat({"g", "a", a->epoch, reads({"bills"}), partitions_of(*a)});
  REQUIRE(told);
  CHECK(partitions_of(*told).empty());
  const auto done = group.beat(has("a", told->epoch, {}));
  REQUIRE(done);
  CHECK(partitions_of(*done) == PartitionList{group.at("bills", 0)});
}

TEST_CASE("a topic that does not exist yet is waited for", "[group]") {
  GroupFixture group;
  const auto a = group.join("a", reads({"orders"}));
  REQUIRE(a);
  CHECK(partitions_of(*a).empty());
  group.topic("orders", 2);
  CHECK(group.was_nudged("a"));
  CHECK(partitions_of(*group.beat(has("a", a->epoch, {}))).size() == 2);
}

TEST_CASE("static members: what they had waits for them, and nobody takes their name while they live", "[group]") {
  GroupFixture group;
  group.topic("orders", 4);
  const auto a = group.join("a-1", reads({"orders"}, "a"));
  const auto b = group.join("b-1", reads({"orders"}, "b"));
  const auto told = group.beat(has("a-1", a->epoch, partitions_of(*a)));
  const auto mine = partitions_of(*told);
  REQUIRE(group.beat(has("a-1", told->epoch, mine)));
  REQUIRE(group.beat(has("b-1", b->epoch, {})));

  CHECK(code(group.join("a-2", reads({"orders"}, "a"))) == Errc::unreleased_instance_id);

  const auto written = group.log.size();
  REQUIRE(group.beat(leaves("a-1", leaving_for_a_while)));
  CHECK(!group.was_nudged("b-1"));
  CHECK(group.log.size() == written + 1);
  CHECK(group.coordinator->describe("g")->state == GroupState::stable);

  const auto epoch = group.coordinator->describe("g")->epoch;
  const auto back = group.join("a-2", reads({"orders"}, "a"));
  REQUIRE(back);
  CHECK(partitions_of(*back) == mine);
  CHECK(group.coordinator->describe("g")->epoch == epoch);  // nobody else notices
  CHECK(code(group.beat({"g", "a-1", GroupEpoch{2}, {}, {}})) == Errc::unknown_member_id);

  group.fail_over();
  CHECK(group.coordinator->describe("g")->members.size() == 2);
  CHECK(group.beat(has("a-2", back->epoch, mine)));
}

TEST_CASE("a static member that stays away is out after its session timeout", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  REQUIRE(group.join("a-1", reads({"orders"}, "a")));
  REQUIRE(group.beat(leaves("a-1", leaving_for_a_while)));
  group.pass(45'000);
  CHECK(group.coordinator->describe("g")->members.empty());
  CHECK(group.join("a-2", reads({"orders"}, "a")));
}

TEST_CASE("what a member may not ask for", "[group]") {
  GroupCoordinator::Options options;
  options.limits.members_max = 2;
  options.limits.groups_max = 2;
  GroupFixture group(options);
  group.topic("orders", 2);
  CHECK(code(group.beat({"no name", "a", joining, reads({"orders"}), {}})) == Errc::invalid_group_id);
  CHECK(code(group.beat({"g", "", joining, reads({"orders"}), {}})) == Errc::invalid_argument);
  CHECK(code(group.beat({"g", "a", joining, {}, {}})) == Errc::invalid_argument);
  CHECK(code(group.beat({"g", "a", GroupEpoch{1}, {}, {}})) == Errc::unknown_member_id);
  CHECK(group.coordinator->group_count() == 0);

  REQUIRE(group.join("a", reads({"orders"})));
  CHECK(code(group.beat(leaves("a", leaving_for_a_while))) == Errc::invalid_argument);
  CHECK(code(group.join("a", reads({"orders"}, "x"))) == Errc::fenced_instance_id);
  REQUIRE(group.join("b", reads({"orders"})));
  CHECK(code(group.join("c", reads({"orders"}))) == Errc::group_max_size_reached);
  REQUIRE(group.beat({"h", "a", joining, reads({"orders"}), {}}));
  const auto third = group.beat({"i", "a", joining, reads({"orders"}), {}});
  REQUIRE(code(third) == Errc::policy_violation);
  CHECK(third.error().message.find("2 groups") != std::string::npos);
}

TEST_CASE("the assignor that most members name is used", "[group]") {
  GroupFixture group;
  group.topic("orders", 2).topic("bills", 2);
  auto by_range = reads({"bills", "orders"});
  by_range.assignor = "range";
  REQUIRE(group.join("a", by_range));
  CHECK(group.coordinator->describe("g")->assignor == "range");
  REQUIRE(group.join("b", reads({"bills", "orders"})));
  auto by_load = by_range;
  by_load.assignor = "load";
  REQUIRE(group.join("c", by_load));
  REQUIRE(group.join("d", by_load));
  CHECK(group.coordinator->describe("g")->assignor == "load");
}

TEST_CASE("a member that changed what it says of itself keeps what it has in a compacted log", "[group]") {
  // Its own record lies behind those of its target and its assignment then.
  GroupFixture group;
  group.topic("orders", 2);
  auto profile = reads({"orders"});
  const auto joined = group.join("a", profile);
  REQUIRE(joined);
  profile.rack = "east";
  REQUIRE(group.beat({"g", "a", joined->epoch, profile, {}}));
  group.fail_over(true);
  const auto described = group.coordinator->describe("g");
  REQUIRE(described);
  REQUIRE(described->members.size() == 1);
  CHECK(described->members[0].profile.rack == "east");
  CHECK(described->members[0].current.assigned == partitions_of(*joined));
  CHECK(group.beat({"g", "a", joined->epoch, {}, {}}));
}

TEST_CASE("what a compacted log has left of a member that is gone makes no member", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  REQUIRE(group.join("a", reads({"orders"})));
  std::erase_if(group.log, [](const EncodedRecord& one) {
    return std::holds_alternative<MemberRecord>(
        **decode(one.key, one.value ? std::optional<ByteView>{*one.value} : std::nullopt));
  });
  group.fail_over();
  CHECK(group.coordinator->describe("g")->members.empty());
  REQUIRE(group.join("b", reads({"orders"})));
  CHECK(group.coordinator->describe("g")->members.at(0).current.assigned.size() == 2);
}

TEST_CASE("members go with their node, also when it went together with the coordinator", "[group]") {
  // Goal: nobody waits for the session timeout of who is known to be gone.
  GroupFixture fixture;
  fixture.image = apply_records(fixture.image, {broker(2), broker(3)}).after;
  fixture.topic("t", 6);
  const auto join = [&](const std::string& member, int node, const std::string& instance = {}) {
    auto profile = reads({"t"}, instance);
    fixture.coordinator->place(profile, BrokerId{node});
    REQUIRE(fixture.join(member, profile));
  };
  const auto members = [&] {
    std::vector<std::string> names;
    const auto described = fixture.coordinator->describe("g");
    for (const auto& one : described->members) names.push_back(one.member);
    return names;
  };
  join("a", 2);
  join("b", 3);
  join("c", 2);
  join("d", 2, "static");
  CHECK(fixture.coordinator->node_of({"g", "b"}) == BrokerId{3});
  CHECK(fixture.coordinator->node_of({"g", "nobody"}) == no_broker);
  SECTION("the coordinator is told") {
    fixture.run([&](Turn& turn) {
      fixture.coordinator->node_lost(BrokerId{2}, fixture.now, turn);
      return 0;
    });
    CHECK(members() == std::vector<std::string>{"b", "d"});  // a static one may be back in time (KIP-345)
  }
  SECTION("the next coordinator finds them fenced, or in another run") {
    const bool fenced = GENERATE(true, false);
    auto next = broker(2, 9);
    next.fenced = fenced;
    fixture.change(apply_records(fixture.image, {next}).after);
    REQUIRE(members().size() == 4);
    fixture.fail_over();
    CHECK(members() == std::vector<std::string>{"b", "d"});
  }
  SECTION("the next coordinator finds them well") {
    fixture.fail_over();
    CHECK(members().size() == 4);
    CHECK(fixture.coordinator->node_of({"g", "a"}) == BrokerId{2});
  }
}

}  // namespace troupe::group
