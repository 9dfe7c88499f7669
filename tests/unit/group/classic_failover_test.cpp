#include "core/group/consumer_protocol.hpp"
#include "core/group/group_lag.hpp"
#include "tests/unit/group/classic_fixture.hpp"

// Classic groups in time: timeouts, static members, the next coordinator; and what is shown of them.
namespace troupe::group {
namespace {

using test::ClassicFixture;
using test::taken;

/// Kafka's consumer protocol, as its clients write it.
class ProtocolBytes {
 public:
  ProtocolBytes& i16(std::int16_t value) { return number(value, 2); }
  ProtocolBytes& i32(std::int32_t value) { return number(value, 4); }
  ProtocolBytes& text(const std::string& value) {
    i16(static_cast<std::int16_t>(value.size()));
    bytes += value;
    return *this;
  }
  std::string bytes = {};

 private:
  ProtocolBytes& number(std::int32_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
    return *this;
  }
};
std::string subscription(const std::vector<std::string>& topics, std::int16_t version = 1) {
  ProtocolBytes out;
  out.i16(version).i32(static_cast<std::int32_t>(topics.size()));
  for (const auto& topic : topics) out.text(topic);
  out.i32(-1);
  if (version >= 1) out.i32(0);
  return out.bytes;
}
std::string assignment(const std::string& topic, const std::vector<std::int32_t>& partitions, std::int16_t version = 1) {
  ProtocolBytes out;
  out.i16(version).i32(1).text(topic).i32(static_cast<std::int32_t>(partitions.size()));
  for (const auto partition : partitions) out.i32(partition);
  out.i32(-1);
  return out.bytes;
}

}  // namespace

// --- time -----------------------------------------------------------------------------------------------------------------------------

TEST_CASE("KIP-134: the first members wait for others, longer when others come, not for ever", "[classic]") {
  auto options = ClassicFixture::at_once();
  options.initial_rebalance_delay_ms = 3'000;
  ClassicFixture group(options);
  std::vector<ClassicFixture::Call> calls;
  const auto join = [&] {
    auto one = group.request();
    one.rebalance_timeout_ms = 8'000;
    calls.push_back(group.start(one));
  };
  join();
  group.pass(2'900);
  CHECK(group.waits(calls[0]));
  join();
  group.pass(100);
  CHECK(group.waits(calls[0]));  // somebody came: 3 s more
  join();
  group.pass(3'000);
  CHECK(group.waits(calls[0]));  // and 2, then the rebalance timeout is over
  join();
  group.pass(2'000);
  for (const auto call : calls) CHECK(group.joined(call).generation == GroupEpoch{1});
  CHECK(group.joined(calls[0]).members.size() == 4);

  ClassicFixture alone(options);
  const auto call = alone.start(alone.request());
  alone.pass(3'000);
  CHECK(alone.joined(call).generation == GroupEpoch{1});
}

TEST_CASE("who is called and does not come within the rebalance timeout is out", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(3);
  const auto newcomer = group.start(group.request());
  const auto back = group.start(group.request(ids[1]));
  // The others live, and do not come: nobody is out before the time is over.
  group.live(59'999, {{ids[0], 3}, {ids[2], 3}});
  CHECK(group.waits(newcomer));
  group.pass(1);
  CHECK(group.joined(newcomer).generation == GroupEpoch{4});
  CHECK(group.joined(back).leader == group.joined(newcomer).member);  // of those who came, the first
  CHECK(group.members().size() == 2);
  CHECK(group.beat(ids[0], 3) == Errc::unknown_member_id);
  CHECK(group.refused(group.start(group.request(ids[0]))) == Errc::unknown_member_id);
}

TEST_CASE("a member that is silent for its session timeout is out, and the others are called", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  group.live(9'999, {{ids[0], 2}});
  CHECK(group.state() == GroupState::stable);
  group.pass(1);
  CHECK(group.beat(ids[0], 2) == Errc::rebalance_in_progress);
  CHECK(group.beat(ids[1], 2) == Errc::unknown_member_id);
  CHECK(group.joined(group.start(group.request(ids[0]))).members.size() == 1);
  group.pass(10'000);
  CHECK(group.state() == GroupState::empty);
}

TEST_CASE("a commit is a sign of life", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 1);
  const auto id = group.stable(1).front();
  group.pass(9'000);
  CHECK(group.commits({id, GroupEpoch{1}}) == taken);
  group.pass(9'000);
  CHECK(group.beat(id, 1) == taken);
}

TEST_CASE("who waits for the others is not silent; who joins for the first time waits at most 5 minutes", "[classic]") {
  ClassicFixture group;
  auto first = group.request();
  first.rebalance_timeout_ms = 3'600'000;
  const auto leader = group.joined(group.start(first)).member;
  group.start_sync(leader, 1, {});
  first.member = leader;
  const auto newcomer = group.start(group.request());
  const auto waiting = group.start(group.request(leader, "news"));
  const auto second = group.joined(newcomer).member;
  CHECK(group.joined(waiting).generation == GroupEpoch{2});
  group.start_sync(leader, 2, {});
  // second goes on heartbeating and does not come back; the leader waits in its join for ten minutes.
  const auto long_wait = [&](const std::string& member) {
    auto one = group.request(member, "more");
    one.rebalance_timeout_ms = 3'600'000;
    return group.start(one);
  };
  const auto parked = long_wait(leader);
  const auto fresh = group.start(group.request());
  group.live(299'000, {{second, 2}});
  CHECK(group.waits(fresh));
  group.live(301'000, {{second, 2}});
  CHECK(group.refused(fresh) == Errc::unknown_member_id);
  CHECK(group.waits(parked));
}

TEST_CASE("who does not sync within the rebalance timeout is out", "[classic]") {
  // Kafka 3.0 (KAFKA-12890 and later): a member that heartbeats and never syncs would keep its partitions from all.
  const bool leader_is_gone = GENERATE(false, true);
  ClassicFixture group;
  const auto ids = group.stable(2);
  const auto a = group.start(group.request(ids[0]));
  group.start(group.request(ids[1]));
  CHECK(group.joined(a).generation == GroupEpoch{3});
  const auto& there = leader_is_gone ? ids[1] : ids[0];
  const auto& gone = leader_is_gone ? ids[0] : ids[1];
  const auto waiting = group.start_sync(there, 3);
  CHECK(group.waits(waiting) == leader_is_gone);
  group.live(59'999, {{ids[0], 3}, {ids[1], 3}});
  CHECK(group.beat(gone, 3) == taken);
  group.pass(1);
  CHECK(group.beat(gone, 3) == Errc::unknown_member_id);
  CHECK(group.beat(there, 3) == Errc::rebalance_in_progress);
  if (leader_is_gone) CHECK(group.refused(waiting) == Errc::rebalance_in_progress);
  CHECK(group.joined(group.start(group.request(there))).leader == there);
}

// --- static members -------------------------------------------------------------------------------------------------------------------

TEST_CASE("KIP-345: a static member that comes back has what it had, and nobody else notices", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 1);
  const auto a = group.joined(group.start(group.static_request("A"))).member;
  const auto call = group.start(group.static_request("B"));
  auto again = group.static_request("A");
  again.member = a;
  group.start(again);
  const auto b = group.joined(call).member;
  CHECK(b.starts_with("B-"));
  group.sync_all({a, b});

  const auto back = group.joined(group.start(group.static_request("B")));
  CHECK(back.member != b);
  CHECK(back.generation == GroupEpoch{2});
  CHECK(back.leader == a);
  CHECK(group.state() == GroupState::stable);
  CHECK(group.beat(a, 2, "A") == taken);
  CHECK(group.synced(group.start_sync(back.member, 2, {}, "B")).assignment == b);

  // The older run is fenced, whatever it does; without its instance id nobody knows it.
  CHECK(group.beat(b, 2, "B") == Errc::fenced_instance_id);
  CHECK(group.beat(b, 2) == Errc::unknown_member_id);
  CHECK(group.refused(group.start_sync(b, 2, {}, "B")) == Errc::fenced_instance_id);
  CHECK(group.commits({b, GroupEpoch{2}, "B"}) == Errc::fenced_instance_id);
  CHECK(group.commits({back.member, GroupEpoch{2}, "B"}) == taken);
  CHECK(group.commits({back.member, GroupEpoch{2}, "C"}) == Errc::unknown_member_id);
  auto fenced = group.static_request("B");
  fenced.member = b;
  CHECK(group.refused(group.start(fenced)) == Errc::fenced_instance_id);
  CHECK(group.leave({{b, "B"}}) == std::vector<Errc>{Errc::fenced_instance_id});

  group.fail_over(true);
  CHECK(group.beat(back.member, 2, "B") == taken);
  CHECK(group.beat(b, 2, "B") == Errc::fenced_instance_id);
  CHECK(group.synced(group.start_sync(back.member, 2, {}, "B")).assignment == b);
  CHECK(group.leave({{{}, "B"}}) == std::vector<Errc>{taken});  // by an operator
  CHECK(group.beat(a, 2, "A") == Errc::rebalance_in_progress);
}

TEST_CASE("KIP-814: a static leader that comes back leaves the assignments alone", "[classic]") {
  const bool knows = GENERATE(true, false);
  ClassicFixture group;
  const auto old = group.joined(group.start(group.static_request("A"))).member;
  group.start_sync(old, 1, {{old, "mine"}}, "A");
  auto request = group.static_request("A");
  request.can_skip_assignment = knows;
  const auto back = group.joined(group.start(request));
  CHECK(back.skip_assignment == knows);
  CHECK(back.leader == (knows ? back.member : old));
  CHECK(back.members.size() == (knows ? 1 : 0));
  CHECK(group.synced(group.start_sync(back.member, 1, {{back.member, "other"}}, "A")).assignment == "mine");
  CHECK(group.group().leader == back.member);
}

TEST_CASE("a static member that comes back with another protocol calls all together", "[classic]") {
  ClassicFixture group;
  auto request = group.static_request("A");
  request.protocols = {{"range", "m"}, {"sticky", "m"}};
  const auto old = group.joined(group.start(request)).member;
  group.start_sync(old, 1, {}, "A");
  request = group.static_request("A");
  request.protocols = {{"sticky", "m"}};
  const auto back = group.joined(group.start(request));
  CHECK(back.generation == GroupEpoch{2});
  CHECK(back.protocol == "sticky");
}

TEST_CASE("a static member that comes back while the leader assigns calls all together", "[classic]") {
  ClassicFixture group;
  const auto leader = group.stable(1).front();
  const auto first = group.start(group.static_request("B"));
  group.start(group.request(leader));
  const auto b = group.joined(first).member;
  const auto waiting = group.start_sync(b, 2, {}, "B");
  const auto back = group.start(group.static_request("B"));
  CHECK(group.refused(waiting) == Errc::fenced_instance_id);
  CHECK(group.waits(back));  // the leader would assign to the older run
  group.fail_over(true);
  CHECK(group.state() == GroupState::preparing_rebalance);
  CHECK(group.refused(group.start_sync(leader, 2, {{b, "x"}})) == Errc::rebalance_in_progress);
  const auto third = group.start(group.static_request("B"));
  const auto fourth = group.start(group.static_request("B"));
  CHECK(group.refused(third) == Errc::fenced_instance_id);
  group.start(group.request(leader));
  CHECK(group.joined(fourth).generation == GroupEpoch{3});
  CHECK(group.members().size() == 2);
}

TEST_CASE("KIP-345: a static member that is away keeps its place over a rebalance, until its session is over", "[classic]") {
  ClassicFixture group;
  const auto a = group.stable(1).front();
  auto request = group.static_request("B");
  request.session_timeout_ms = 100'000;
  const auto coming = group.start(request);
  group.start(group.request(a));
  const auto b = group.joined(coming).member;
  group.sync_all({a, b});
  // B is away. A newcomer calls all: the rebalance timeout passes without B.
  const auto newcomer = group.start(group.request());
  const auto again = group.start(group.request(a));
  group.pass(60'000);
  const auto told = group.joined(again);
  CHECK(told.members.size() == 3);
  const auto c = group.joined(newcomer).member;
  group.start_sync(c, 3);
  group.start_sync(a, 3, {{a, "0"}, {b, "1"}, {c, "2"}});
  // It comes back within its session, and has what the leader has kept for it.
  request = group.static_request("B");
  const auto back = group.joined(group.start(request));
  CHECK(back.generation == GroupEpoch{3});
  CHECK(group.synced(group.start_sync(back.member, 3, {}, "B")).assignment == "1");
  // Away for longer than that: out.
  group.live(10'000, {{a, 3}, {c, 3}});
  CHECK(group.beat(a, 3) == Errc::rebalance_in_progress);
  CHECK(group.beat(back.member, 3, "B") == Errc::unknown_member_id);
}

TEST_CASE("a group of static members that are all away waits for their sessions", "[classic]") {
  ClassicFixture group;
  auto request = group.static_request("A");
  request.session_timeout_ms = 600'000;
  const auto a = group.joined(group.start(request)).member;
  group.start_sync(a, 1, {}, "A");
  const auto newcomer = group.start(group.request());
  CHECK(group.leave({{group.members().front() == a ? group.members().back() : group.members().front(), {}}}) ==
        std::vector<Errc>{taken});
  CHECK(group.refused(newcomer) == Errc::unknown_member_id);
  for (int i = 0; i < 5; ++i) group.pass(60'000);
  CHECK(group.state() == GroupState::preparing_rebalance);
  CHECK(group.joined(group.start(group.static_request("A"))).generation == GroupEpoch{2});
}

// --- the next coordinator -------------------------------------------------------------------------------------------------------------

TEST_CASE("the next coordinator has members, generation and assignments as they were", "[classic]") {
  const bool compact = GENERATE(false, true);
  ClassicFixture group;
  const auto ids = group.stable(3);
  group.fail_over(compact);
  CHECK(group.state() == GroupState::stable);
  CHECK(group.group().epoch == GroupEpoch{3});
  CHECK(group.group().leader == ids[0]);
  for (const auto& id : ids) {
    CHECK(group.beat(id, 3) == taken);
    CHECK(group.synced(group.start_sync(id, 3)).assignment == id);
  }
  group.pass(10'000);  // their full time begins with it
  CHECK(group.state() == GroupState::empty);
}

TEST_CASE("the next coordinator goes on where the leader was to assign", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(2);
  group.start(group.request(ids[0]));
  group.start(group.request(ids[1]));
  group.start_sync(ids[1], 3);
  group.fail_over(true);
  CHECK(group.state() == GroupState::completing_rebalance);
  const auto follower = group.start_sync(ids[1], 3);
  CHECK(group.waits(follower));
  group.start_sync(ids[0], 3, {{ids[0], "a"}, {ids[1], "b"}});
  CHECK(group.synced(follower).assignment == "b");

  // Or the leader is gone, too.
  group.start(group.request(ids[0]));
  group.start(group.request(ids[1]));
  group.fail_over(true);
  group.live(60'000, {{ids[1], 4}});
  CHECK(group.members() == std::vector<std::string>{ids[1]});
}

TEST_CASE("who was on the way in when the coordinator went begins again", "[classic]") {
  ClassicFixture group;
  const auto first = group.stable(1).front();
  auto promised = group.request();
  promised.takes_id_first = true;
  const auto coming = group.joined(group.start(promised)).member;
  const auto again = group.request();
  const auto lost = group.start(again);
  group.fail_over();
  CHECK(group.state() == GroupState::stable);
  CHECK(group.waits(lost));  // whoever ran that coordinator answers
  CHECK(group.refused(group.start(group.request(coming))) == Errc::unknown_member_id);
  const auto retried = group.start(again);  // without an id: as if it came now
  group.start(group.request(first));
  CHECK(group.joined(retried).generation == GroupEpoch{2});
}

TEST_CASE("members that left while all were called together stay away", "[classic]") {
  ClassicFixture group;
  const auto ids = group.stable(3);
  group.leave({{ids[2], {}}});
  group.fail_over(true);
  CHECK(group.members().size() == 2);
  CHECK(group.beat(ids[0], 3) == Errc::rebalance_in_progress);  // what it had belongs to nobody
  CHECK(group.beat(ids[2], 3) == Errc::unknown_member_id);
  group.start(group.request(ids[1]));
  CHECK(group.joined(group.start(group.request(ids[0]))).generation == GroupEpoch{4});
}

TEST_CASE("a log that ends in the middle of a turn makes no half a generation", "[classic]") {
  // A turn that is larger than a batch may be cut there. What it led to was told to nobody.
  ClassicFixture whole;
  const auto ids = whole.stable(2);
  const auto before = whole.log.size();
  const auto newcomer = whole.start(whole.request());
  whole.start(whole.request(ids[0], "news"));
  whole.start(whole.request(ids[1], "news"));
  const auto third = whole.joined(newcomer).member;
  whole.start_sync(ids[0], 3, {{ids[0], "x"}, {ids[1], "y"}, {third, "z"}});
  whole.leave({{ids[1], {}}});
  for (auto size = before; size <= whole.log.size(); ++size) {
    CAPTURE(size);
    ClassicFixture group;
    group.log = {whole.log.begin(), whole.log.begin() + static_cast<std::ptrdiff_t>(size)};
    group.fail_over();
    const auto state = group.state();
    if (state == GroupState::stable) {
      const auto generation = group.group().epoch.value();
      for (const auto& id : group.members()) {
        const auto told = group.synced(group.start_sync(id, generation)).assignment;
        CHECK(told == (generation == 2 ? id : id == ids[0] ? "x" : id == ids[1] ? "y" : "z"));
      }
    }
    // Whatever it is: who is there comes back, and goes on together.
    std::vector<ClassicFixture::Call> calls;
    for (const auto& id : group.members()) calls.push_back(group.start(group.request(id, "back")));
    REQUIRE(!calls.empty());
    for (const auto call : calls) CHECK(group.joined(call).generation > GroupEpoch{2});
  }
  const auto code = [](ClassicFixture& group, const std::string& id) {
    return group.refused(group.start(group.request(id)));
  };
  // The first generation, half of it: there are no members.
  ClassicFixture half;
  half.log = {whole.log.front()};
  half.fail_over();
  CHECK(half.coordinator->group_count() == 0);
  CHECK(code(half, ids[0]) == Errc::unknown_member_id);
  CHECK(half.log.size() == 3);  // and the log is told so
}

// --- what is over, what is shown ------------------------------------------------------------------------------------------------------

TEST_CASE("a classic group is deleted when it has no members, its offsets when nobody reads the topic", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 1).topic("rides", 1);
  CHECK(group.commits({}) == taken);
  CHECK(group.commits({}, 5, "rides") == taken);
  const auto id = group.joined(group.start(group.request({}, subscription({"orders"})))).member;
  const auto remove = [&] { return group.run([&](Turn& turn) { return group.coordinator->delete_group("g", turn); }); };
  const auto forget = [&](const std::string& topic) {
    return group.run([&](Turn& turn) {
                  return group.coordinator->delete_offsets("g", {{topic, PartitionId{0}}}, turn);
                })
        .value()
        .front();
  };
  CHECK(remove().error().code == Errc::non_empty_group);
  CHECK(forget("orders").error().code == Errc::group_subscribed_to_topic);
  CHECK(forget("rides"));
  const auto reset = group.run([&](Turn& turn) {
    return group.coordinator->reset({"g", {{{"orders", PartitionId{0}}, Offset{1}}}}, group.now, turn);
  });
  CHECK(reset.error().code == Errc::non_empty_group);
  group.leave({{id, {}}});
  CHECK(remove());
  group.fail_over(true);
  CHECK(group.coordinator->group_count() == 0);
  CHECK(group.joined(group.start(group.request())).generation == GroupEpoch{1});
}

TEST_CASE("a classic group without members is forgotten after a week", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 1);
  const auto id = group.stable(1).front();
  CHECK(group.commits({id, GroupEpoch{1}}) == taken);
  group.leave({{id, {}}});
  group.pass(604'700'000);
  CHECK(group.coordinator->group_count() == 1);
  group.pass(200'000);
  CHECK(group.coordinator->group_count() == 0);
  group.fail_over(true);
  CHECK(group.coordinator->group_count() == 0);
}

TEST_CASE("members of classic consumers are shown with topics, partitions and lag", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 3);
  const auto a = group.joined(group.start(group.request({}, subscription({"orders", "later"})))).member;
  group.start_sync(a, 1, {{a, assignment("orders", {2, 0, 7})}});
  CHECK(group.commits({a, GroupEpoch{1}}, 5) == taken);
  const auto shown = group.group();
  CHECK(shown.type == GroupType::classic);
  CHECK(shown.protocol_type == "consumer");
  CHECK(shown.assignor == "range");
  CHECK(shown.leader == a);
  CHECK(shown.epoch == GroupEpoch{1});
  REQUIRE(shown.members.size() == 1);
  const auto& member = shown.members.front();
  CHECK(member.profile.client_id == "app");
  CHECK(member.profile.client_host == "/127.0.0.1");
  CHECK(member.profile.topics == std::vector<std::string>{"later", "orders"});
  CHECK(member.current.assigned == PartitionList{group.at("orders", 0), group.at("orders", 2)});
  CHECK(member.assignment == assignment("orders", {2, 0, 7}));  // as it is, for Kafka's own tools
  CHECK(member.metadata == subscription({"orders", "later"}));
  const auto lags = partitions_of_group(shown, group.coordinator->offsets({"g", {}, {}}).value(), *group.image);
  REQUIRE(lags.size() == 2);
  CHECK(lags[0].member == a);
  CHECK(lags[0].committed->offset == Offset{5});

  const auto listed = group.coordinator->list();
  REQUIRE(listed.size() == 1);
  CHECK(listed.front().type == GroupType::classic);
  CHECK(listed.front().protocol_type == "consumer");
  CHECK(listed.front().assignor == "range");
  CHECK(listed.front().members == 1);
}

TEST_CASE("Kafka's consumer protocol is read in all its versions, and nonsense is nonsense", "[classic]") {
  ClassicFixture group;
  group.topic("orders", 3);
  const auto& image = *group.image;
  for (const std::int16_t version : {0, 1, 2, 3, 99}) {
    CAPTURE(version);
    CHECK(topics_of_subscription(subscription({"b", "a", "b"}, version)) == std::vector<std::string>{"a", "b"});
    CHECK(partitions_of_assignment(assignment("orders", {1, 1}, version), image) == PartitionList{group.at("orders", 1)});
  }
  CHECK(partitions_of_assignment(assignment("no-topic", {1}), image) == PartitionList{});
  CHECK_FALSE(partitions_of_assignment(assignment("orders", {-1}), image));
  CHECK_FALSE(topics_of_subscription(subscription({"a"}, -1)));
  CHECK_FALSE(topics_of_subscription(ProtocolBytes().i16(0).i32(-1).bytes));
  CHECK_FALSE(topics_of_subscription(ProtocolBytes().i16(0).i32(0x7fffffff).bytes));
  CHECK_FALSE(topics_of_subscription(ProtocolBytes().i16(0).i32(1).i16(-1).bytes));
  const auto good = assignment("orders", {0, 2});
  for (std::size_t size = 0; size < good.size() - 4; ++size) {  // the user data behind it are nobody's
    CHECK_FALSE(partitions_of_assignment(good.substr(0, size), image));
  }
  const auto names = subscription({"orders"});
  for (std::size_t size = 0; size < names.size() - 8; ++size) CHECK_FALSE(topics_of_subscription(names.substr(0, size)));

  // A group of such members works, and shows nothing of it.
  const auto a = group.joined(group.start(group.request({}, "\x01\x02nonsense"))).member;
  CHECK(group.synced(group.start_sync(a, 1, {{a, "\xff\xff\xff"}})).assignment == "\xff\xff\xff");
  CHECK(group.group().members.front().current.assigned.empty());
  CHECK(group.group().members.front().profile.topics.empty());
}

}  // namespace troupe::group
