#include "tests/unit/group/group_fixture.hpp"

// Committed offsets: who may move them, and how long they stay. Invariants G1 to G3.
namespace troupe::group {
namespace {

using test::GroupFixture;
using test::partitions_of;
using test::reads;

template <class T>
Errc code(const Result<T>& result) {
  return result ? Errc::unknown_error : result.error().code;
}
Errc first(const Result<std::vector<Status>>& answers) {
  REQUIRE(answers);
  return answers->front() ? Errc::unknown_error : answers->front().error().code;
}
constexpr auto taken = Errc::unknown_error;

Result<std::vector<Status>> reset(GroupFixture& group, const std::string& topic, std::int32_t partition,
                                  std::int64_t offset) {
  return group.run([&](Turn& turn) {
    return group.coordinator->reset({"g", {{{topic, PartitionId{partition}}, Offset{offset}}}}, group.now, turn);
  });
}
Status delete_group(GroupFixture& group) {
  return group.run([&](Turn& turn) { return group.coordinator->delete_group("g", turn); });
}

}  // namespace

TEST_CASE("a member commits what it owns, and a successor knows it", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  REQUIRE(group.join("a", reads({"orders"})));
  CHECK(!group.committed("orders", 0));
  CHECK(first(group.commit("a", 1, "orders", 0, 42)) == taken);
  CHECK(group.committed("orders", 0)->offset == Offset{42});
  group.fail_over(true);
  CHECK(group.committed("orders", 0)->offset == Offset{42});
  CHECK(!group.committed("orders", 1));
  CHECK(group.coordinator->offsets({"g", {}, {}})->size() == 1);
  CHECK(group.coordinator->offsets({"g", {"a", GroupEpoch{1}}, {}})->size() == 1);
  CHECK(code(group.coordinator->offsets({"g", {"a", GroupEpoch{2}}, {}})) == Errc::stale_member_epoch);
  CHECK(code(group.coordinator->offsets({"g", {"b", GroupEpoch{1}}, {}})) == Errc::unknown_member_id);
  CHECK(group.coordinator->offsets({"nobody", {}, {}})->empty());
}

TEST_CASE("commits of somebody else's partition, of an old epoch or by nobody are refused", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  const auto a = group.join("a", reads({"orders"}));
  REQUIRE(group.join("b", reads({"orders"})));
  CHECK(first(group.commit("b", 2, "orders", 0, 1)) == Errc::fenced_member_epoch);
  CHECK(code(group.commit("b", 3, "orders", 0, 1)) == Errc::stale_member_epoch);
  CHECK(code(group.commit("c", 2, "orders", 0, 1)) == Errc::unknown_member_id);
  CHECK(code(group.commit("", -1, "orders", 0, 1)) == Errc::unknown_member_id);

  // While it gives a partition up it may commit it; once it let go it may not.
  const auto told = group.beat({"g", "a", a->epoch, {}, partitions_of(*a)});
  const auto stays = partitions_of(*told);
  REQUIRE(stays.size() == 1);
  const auto goes = 1 - stays.front().partition.value();
  CHECK(first(group.commit("a", 1, "orders", goes, 10)) == taken);
  REQUIRE(group.beat({"g", "a", told->epoch, {}, stays}));
  CHECK(first(group.commit("a", 2, "orders", goes, 11)) == Errc::fenced_member_epoch);
  // The answer that told it of epoch 2 may be under way still.
  CHECK(first(group.commit("a", 1, "orders", stays.front().partition.value(), 12)) == taken);
  CHECK(group.committed("orders", goes)->offset == Offset{10});
}

TEST_CASE("a member is told where the group stands in what it owns, and nowhere else", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  REQUIRE(group.join("a", reads({"orders"})));
  const auto b = group.join("b", reads({"orders"}));
  const auto ask = [&](const std::string& member, std::int32_t partition) {
    return code(group.coordinator->offsets({"g",
                                            {member, GroupEpoch{member == "a" ? 1 : 2}},
                                            std::vector<GroupPartition>{{"orders", PartitionId{partition}}}}));
  };
  CHECK(ask("a", 0) == taken);
  CHECK(ask("a", 1) == taken);
  CHECK(ask("a", 2) == Errc::fenced_member_epoch);
  CHECK(ask("b", 0) == Errc::fenced_member_epoch);
}

TEST_CASE("offsets that cannot be, each with its code", "[group]") {
  GroupFixture group;
  group.topic("orders", 1);
  CHECK(first(group.commit("", -1, "orders", 1, 0)) == Errc::unknown_topic_or_partition);
  CHECK(first(group.commit("", -1, "orders", -1, 0)) == Errc::unknown_topic_or_partition);
  CHECK(first(group.commit("", -1, "bills", 0, 0)) == Errc::unknown_topic_or_partition);
  CHECK(first(group.commit("", -1, "orders", 0, -1)) == Errc::invalid_argument);
  OffsetToCommit one{"orders", PartitionId{0}, Offset{1}, no_leader_epoch, std::string(4'097, 'x'), 0};
  const auto send = [&] {
    return group.run([&](Turn& turn) { return group.coordinator->commit({"g", {}, {one}}, group.now, turn); });
  };
  CHECK(first(send()) == Errc::offset_metadata_too_large);
  CHECK(group.coordinator->group_count() == 0);  // nothing was taken: there is no group
  one.metadata.pop_back();
  CHECK(first(send()) == taken);
  CHECK(group.committed("orders", 0)->metadata.size() == 4'096);
}

TEST_CASE("a reset while the group runs is told, and no commit on its way undoes it", "[group]") {
  GroupFixture group;
  group.topic("orders", 1);
  const auto a = group.join("a", reads({"orders"}));
  REQUIRE(first(group.commit("a", 1, "orders", 0, 100)) == taken);
  REQUIRE(first(reset(group, "orders", 0, 5)) == taken);
  CHECK(group.was_nudged("a"));
  CHECK(first(group.commit("a", 1, "orders", 0, 101)) == Errc::stale_member_epoch);
  CHECK(group.committed("orders", 0)->offset == Offset{5});

  const bool failed_over = GENERATE(false, true);
  if (failed_over) group.fail_over(true);
  const auto told = group.beat({"g", "a", a->epoch, {}, failed_over ? std::optional{partitions_of(*a)} : std::nullopt});
  REQUIRE(told);
  REQUIRE(told->assignment);
  CHECK(told->assignment->front() == AssignedPartition{group.at("orders", 0), 1});
  CHECK(first(group.commit("a", 1, "orders", 0, 6, 1)) == taken);
  CHECK(group.committed("orders", 0)->offset == Offset{6});
  if (!failed_over) CHECK(!group.beat({"g", "a", a->epoch, {}, {}})->assignment);  // told once
}

TEST_CASE("a paused group keeps its members and what they have, and all are told", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  const auto pause = [&](bool paused) {
    return group.run([&](Turn& turn) { return group.coordinator->pause({"g", paused}, turn); });
  };
  const auto nobody = pause(true);
  REQUIRE(!nobody);
  CHECK(nobody.error().code == Errc::group_id_not_found);
  const auto a = group.join("a", reads({"orders"}));
  CHECK(!a->paused);

  REQUIRE(pause(true));
  CHECK(group.was_nudged("a"));
  CHECK(group.coordinator->describe("g")->paused);
  CHECK(group.coordinator->list().front().paused);
  const auto written = group.log.size();
  REQUIRE(pause(true));  // it is already
  CHECK(group.log.size() == written);

  // Told by this coordinator, or by the next one, whose predecessor may have died before it could.
  if (GENERATE(false, true)) group.fail_over(true);
  const auto told = group.beat({"g", "a", a->epoch, {}, {}});
  REQUIRE(told);
  REQUIRE(told->assignment);
  CHECK(told->paused);
  CHECK(partitions_of(*told) == partitions_of(*a));
  CHECK(!group.beat({"g", "a", a->epoch, {}, {}})->assignment);  // once
  CHECK(first(group.commit("a", 1, "orders", 0, 3)) == taken);
  CHECK(group.join("b", reads({"orders"}))->paused);

  REQUIRE(pause(false));
  CHECK(group.was_nudged("a"));
  group.fail_over(true);
  CHECK(!group.coordinator->describe("g")->paused);
  const auto resumed = group.beat({"g", "b", GroupEpoch{2}, {}, {}});
  REQUIRE(resumed);
  REQUIRE(resumed->assignment);
  CHECK(!resumed->paused);
}

TEST_CASE("a group that only has offsets can be paused, and forgets it when it is deleted", "[group]") {
  GroupFixture group;
  group.topic("orders", 1);
  REQUIRE(first(group.commit("", -1, "orders", 0, 7)) == taken);
  REQUIRE(group.run([&](Turn& turn) { return group.coordinator->pause({"g", true}, turn); }));
  group.fail_over(true);
  CHECK(group.coordinator->describe("g")->paused);
  REQUIRE(delete_group(group));
  group.fail_over(true);
  CHECK(group.coordinator->group_count() == 0);
  CHECK(!group.join("a", reads({"orders"}))->paused);
}

TEST_CASE("a group without members is reset, too, and unknown partitions are refused", "[group]") {
  GroupFixture group;
  group.topic("orders", 1);
  REQUIRE(first(reset(group, "orders", 0, 9)) == taken);
  CHECK(first(reset(group, "orders", 3, 9)) == Errc::unknown_topic_or_partition);
  CHECK(first(reset(group, "orders", 0, -2)) == Errc::invalid_argument);
  const auto joined = group.join("a", reads({"orders"}));
  CHECK(joined->assignment->front().reset_epoch == 1);
}

TEST_CASE("a topic that is made again under its name has no offsets", "[group]") {
  GroupFixture group;
  group.topic("orders", 1);
  REQUIRE(first(group.commit("", -1, "orders", 0, 7)) == taken);
  const auto gone = group.image->find_topic("orders");
  group.change(test::apply_records(group.image, {metadata::TopicRemovedRecord{gone->id}}).after);
  group.topic("orders", 1);
  CHECK(!group.committed("orders", 0));
  group.fail_over();
  CHECK(!group.committed("orders", 0));
}

TEST_CASE("the offsets of a group without members go after their retention, and the group with them", "[group]") {
  GroupFixture group;
  group.topic("orders", 2);
  REQUIRE(group.join("a", reads({"orders"})));
  REQUIRE(first(group.commit("a", 1, "orders", 0, 7)) == taken);
  constexpr Millis day = 86'400'000;
  for (int hour = 0; hour < 24 * 8; ++hour) {
    // As long as it has members they stay.
    group.now.monotonic = group.now.monotonic + 40'000;
    group.now.wall = group.now.wall + day / 24;
    REQUIRE(group.beat({"g", "a", GroupEpoch{1}, {}, {}}));
    group.pass(0);
  }
  CHECK(group.committed("orders", 0));
  REQUIRE(group.beat({"g", "a", leaving, {}, {}}));
  group.pass(7 * day - 1);
  CHECK(group.committed("orders", 0));
  group.pass(60'000);
  CHECK(!group.committed("orders", 0));
  CHECK(group.coordinator->group_count() == 0);
  group.fail_over(true);
  CHECK(group.coordinator->group_count() == 0);
}

TEST_CASE("groups and offsets are deleted when nobody needs them", "[group]") {
  GroupFixture group;
  group.topic("orders", 1).topic("bills", 1);
  CHECK(code(delete_group(group)) == Errc::group_id_not_found);
  REQUIRE(group.join("a", reads({"orders"})));
  REQUIRE(first(group.commit("a", 1, "orders", 0, 3)) == taken);
  REQUIRE(first(reset(group, "bills", 0, 3)) == taken);
  CHECK(code(delete_group(group)) == Errc::non_empty_group);
  const auto forget = [&](const std::string& topic) {
    return group.run([&](Turn& turn) { return group.coordinator->delete_offsets("g", {{topic, PartitionId{0}}}, turn); });
  };
  CHECK(first(forget("orders")) == Errc::group_subscribed_to_topic);
  CHECK(first(forget("bills")) == taken);
  CHECK(first(forget("bills")) == Errc::unknown_topic_or_partition);
  REQUIRE(group.beat({"g", "a", leaving, {}, {}}));
  CHECK(delete_group(group));
  CHECK(group.coordinator->list().empty());
  group.fail_over(true);
  CHECK(group.coordinator->list().empty());
}

}  // namespace troupe::group
