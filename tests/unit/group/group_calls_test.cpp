#include "core/group/group_calls.hpp"

#include "core/group/group_place.hpp"
#include "tests/unit/group/group_fixture.hpp"

// Calls to coordinators of groups on their way between nodes.
namespace troupe::group {
namespace {

const TopicIdPartition first{TopicId{{1}}, PartitionId{0}};
const TopicIdPartition second{TopicId{{1}}, PartitionId{7}};

template <class Decode>
void refuses_what_is_cut_or_longer(ByteBuffer bytes, Decode decode) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    const auto cut = decode(ByteView{bytes}.first(size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == Errc::corrupt_message);
  }
  bytes.push_back(std::byte{0});
  CHECK_FALSE(decode(ByteView{bytes}));
  bytes.pop_back();
  bytes.front() = std::byte{9};  // a version of tomorrow
  CHECK_FALSE(decode(ByteView{bytes}));
}

template <class Call>
Call read_back(const Call& call) {
  const auto bytes = encode_call(call);
  refuses_what_is_cut_or_longer(bytes, decode_call);
  const auto read = decode_call(bytes);
  REQUIRE(read);
  REQUIRE(std::holds_alternative<Call>(*read));
  CHECK(encode_call(*read) == bytes);
  return std::get<Call>(*read);
}

template <class Answer>
Answer answer_back(const Answer& answer) {
  const auto bytes = encode_answer(answer);
  refuses_what_is_cut_or_longer(bytes, decode_answer);
  const auto read = decode_answer(bytes);
  REQUIRE(read);
  REQUIRE(std::holds_alternative<Answer>(*read));
  CHECK(encode_answer(*read) == bytes);
  return std::get<Answer>(*read);
}

}  // namespace

TEST_CASE("a call about an instance comes out as it went in", "[group_calls]") {
  const InstanceRequest save{InstanceRequest::Kind::save, "g", "c1", 3, {std::byte{1}, std::byte{2}}};
  const auto read = read_back(save);
  CHECK(read.kind == save.kind);
  CHECK(read.name == "c1");
  CHECK(read.epoch == 3);
  CHECK(read.definition == save.definition);
  const InstanceEntry entry{BrokerId{2}, Offset{9}, 3, {std::byte{7}}};
  CHECK(answer_back(entry) == entry);
  CHECK(is_repeatable(save));
  CHECK_FALSE(is_question(save));
  CHECK(is_question(InstanceRequest{}));
}

TEST_CASE("a call to a coordinator comes out as it went in", "[group_calls]") {
  auto profile = test::reads({"orders", "rides"}, "worker-1");
  profile.pattern = "maps.*";
  profile.assignor = "range";
  profile.client_host = "here";
  const auto beat = read_back(HeartbeatRequest{"g", "m", GroupEpoch{7}, profile, PartitionList{first, second}});
  CHECK(beat.group == "g");
  CHECK(beat.member == "m");
  CHECK(beat.epoch == GroupEpoch{7});
  CHECK(beat.profile == profile);
  CHECK(beat.owned == PartitionList{first, second});
  HeartbeatRequest heavy{"g", "m", GroupEpoch{7}, {}, {}};
  heavy.waiting = {{first, 5}, {second, 0}};
  CHECK(read_back(heavy).waiting == heavy.waiting);
  const auto bare = read_back(HeartbeatRequest{"g", "m", leaving, {}, {}});
  CHECK(bare.epoch == leaving);
  CHECK_FALSE(bare.profile);
  CHECK_FALSE(bare.owned);

  const auto commit = read_back(
      CommitRequest{"g", {"m", GroupEpoch{3}, "i"}, {{"orders", PartitionId{1}, Offset{9}, LeaderEpoch{2}, "note", 4}}});
  REQUIRE(commit.offsets.size() == 1);
  CHECK(commit.committer.epoch == GroupEpoch{3});
  CHECK(commit.committer.instance_id == "i");
  CHECK(commit.offsets[0].offset == Offset{9});
  CHECK(commit.offsets[0].leader_epoch == LeaderEpoch{2});
  CHECK(commit.offsets[0].metadata == "note");
  CHECK(commit.offsets[0].reset_epoch == 4);

  CHECK_FALSE(read_back(OffsetsRequest{"g", {}, {}}).partitions);
  CHECK(read_back(OffsetsRequest{"g", {"m", GroupEpoch{1}}, {{{"orders", PartitionId{2}}}}}).partitions->front().topic ==
        "orders");
  CHECK(read_back(ResetRequest{"g", {{{"orders", PartitionId{2}}, Offset{5}}}}).positions.front().offset == Offset{5});
  CHECK(read_back(DeleteGroupRequest{"g"}).group == "g");
  CHECK(read_back(PauseRequest{"g", true}).paused);
  CHECK_FALSE(read_back(PauseRequest{"g", false}).paused);
  CHECK(read_back(DeleteOffsetsRequest{"g", {{"orders", PartitionId{2}}}}).partitions.size() == 1);
  CHECK(read_back(DescribeRequest{"g"}).group == "g");
  CHECK(read_back(ListRequest{PartitionId{15}}).partition == PartitionId{15});
  CHECK_FALSE(decode_call(encode_call(ListRequest{PartitionId{16}})));
  auto unknown = encode_call(ListRequest{});
  unknown[1] = std::byte{8};
  CHECK_FALSE(decode_call(unknown));
}

TEST_CASE("a classic member's call comes out as it went in", "[group_calls]") {
  ClassicJoinRequest join;
  join.group = "g";
  join.member = "m";
  join.instance_id = "i";
  join.client_id = "app";
  join.client_host = "/::1";
  join.protocol_type = "consumer";
  join.protocols = {{"range", std::string("\0\xff", 2)}, {"sticky", std::string(300'000, 'x')}};
  join.session_timeout_ms = 7;
  join.rebalance_timeout_ms = 8;
  join.takes_id_first = true;
  join.fresh = Uuid{{9}};
  // Cut at each byte it would take long.
  const auto read = decode_call(encode_call(join));
  REQUIRE(read);
  const auto& joins = std::get<ClassicJoinRequest>(*read);
  CHECK(joins.protocols == join.protocols);
  CHECK(joins.instance_id == "i");
  CHECK(joins.takes_id_first);
  CHECK_FALSE(joins.can_skip_assignment);
  CHECK(joins.fresh == join.fresh);
  CHECK(joins.session_timeout_ms == 7);
  CHECK(joins.rebalance_timeout_ms == 8);
  join.protocols.pop_back();
  CHECK(read_back(join).client_host == "/::1");

  const auto sync = read_back(ClassicSyncRequest{"g", "m", "i", GroupEpoch{4}, "consumer", "range", {{"n", "bytes"}}});
  CHECK(sync.generation == GroupEpoch{4});
  CHECK(sync.protocol == "range");
  CHECK(sync.assignments.at(0).assignment == "bytes");
  CHECK(read_back(ClassicHeartbeatRequest{"g", "m", "i", GroupEpoch{4}}).instance_id == "i");
  CHECK(read_back(ClassicLeaveRequest{"g", {{"m", "i"}, {{}, "j"}}}).members.at(1).instance_id == "j");
  // Their numbers do not depend on what comes before them.
  CHECK(encode_call(ClassicJoinRequest{}).at(1) == std::byte{40});
  CHECK(encode_call(ClassicLeaveRequest{}).at(1) == std::byte{43});
  CHECK(encode_answer(ClassicSyncAnswer{}).at(1) == std::byte{41});

  ClassicJoinAnswer joined;
  joined.member = "m";
  joined.generation = GroupEpoch{4};
  joined.leader = "m";
  joined.skip_assignment = true;
  joined.members = {{"m", "i", "abc"}};
  CHECK(answer_back(joined) == joined);
  const ClassicSyncAnswer synced{"consumer", "range", "bytes"};
  CHECK(answer_back(synced) == synced);
  GroupDescription described;
  described.state = GroupState::completing_rebalance;
  described.type = GroupType::classic;
  described.protocol_type = "consumer";
  described.leader = "m";
  described.members.emplace_back().assignment = "bytes";
  const auto shown = answer_back(described);
  CHECK(shown.type == GroupType::classic);
  CHECK(shown.leader == "m");
  CHECK(shown.members.at(0).assignment == "bytes");
}

TEST_CASE("what a member says that it owns is a sorted set, however it was sent", "[group_calls]") {
  const auto read =
      decode_call(encode_call(HeartbeatRequest{"g", "m", GroupEpoch{1}, {}, PartitionList{second, first, second}}));
  REQUIRE(read);
  CHECK(std::get<HeartbeatRequest>(*read).owned == PartitionList{first, second});
}

TEST_CASE("a coordinator's answer comes out as it went in", "[group_calls]") {
  const HeartbeatAnswer told{GroupEpoch{4}, 3'000, {{{first, 1}, {second, 0}}}};
  CHECK(answer_back(told) == told);
  const HeartbeatAnswer nothing_new{GroupEpoch{4}, 1'000, {}};
  CHECK(answer_back(nothing_new) == nothing_new);

  const auto statuses = answer_back(std::vector<Status>{Status{}, Error{Errc::fenced_member_epoch, "not its own"}});
  REQUIRE(statuses.size() == 2);
  CHECK(statuses[0]);
  REQUIRE_FALSE(statuses[1]);
  CHECK(statuses[1].error().code == Errc::fenced_member_epoch);
  CHECK(statuses[1].error().message == "not its own");

  const CommittedOffset committed{TopicId{{1}}, Offset{9}, no_leader_epoch, "note", TimestampMs{5}, 2};
  const std::vector<Position> positions{{{"orders", PartitionId{0}}, committed}, {{"orders", PartitionId{1}}, std::nullopt}};
  CHECK(answer_back(positions) == positions);

  const MemberAssignment current{GroupEpoch{4}, GroupEpoch{3}, MemberState::revoking, {first}, {second}};
  const auto described = answer_back(GroupDescription{
      "g", GroupState::reconciling, GroupEpoch{5}, "uniform", {{"m", test::reads({"orders"}), current, {first}}}});
  CHECK(described.state == GroupState::reconciling);
  CHECK(described.assignor == "uniform");
  REQUIRE(described.members.size() == 1);
  CHECK(described.members[0].current == current);
  CHECK(described.members[0].target == PartitionList{first});

  const auto listed =
      answer_back(std::vector<GroupListing>{{.group = "g"}, {"h", GroupState::stable, 3, GroupEpoch{7}, "range"}});
  REQUIRE(listed.size() == 2);
  CHECK(listed[1].members == 3);
  CHECK(listed[1].epoch == GroupEpoch{7});
  CHECK(listed[1].assignor == "range");
  CHECK(listed[1].state == GroupState::stable);
  answer_back(std::monostate{});
}

TEST_CASE("news for members come out as they went in", "[group_calls]") {
  const std::vector<MemberName> members{{"g", "a"}, {"h", "b"}};
  const auto bytes = encode_news(members);
  CHECK(decode_news(bytes).value() == members);
  refuses_what_is_cut_or_longer(bytes, decode_news);
}

TEST_CASE("a call asks the coordinator what it says", "[group_calls]") {
  test::GroupFixture group;
  group.topic("orders", 1);
  const auto ask = [&](const GroupCall& call) {
    return group.run([&](Turn& turn) { return answer_call(*group.coordinator, call, BrokerId{1}, group.now, turn); });
  };
  const auto joined = ask(HeartbeatRequest{"g", "m", joining, test::reads({"orders"}), {}});
  REQUIRE(joined);
  CHECK(std::get<HeartbeatAnswer>(*joined).epoch == GroupEpoch{1});
  const auto committed =
      ask(CommitRequest{"g", {"m", GroupEpoch{1}}, {{"orders", PartitionId{0}, Offset{3}, no_leader_epoch, {}, 0}}});
  CHECK(std::get<std::vector<Status>>(*committed).at(0));
  CHECK(std::get<std::vector<Position>>(*ask(OffsetsRequest{"g", {}, {}})).at(0).second->offset == Offset{3});
  CHECK(std::get<std::vector<Status>>(*ask(ResetRequest{"g", {{{"orders", PartitionId{0}}, Offset{1}}}})).at(0));
  CHECK(std::get<GroupDescription>(*ask(DescribeRequest{"g"})).members.size() == 1);
  CHECK(std::get<std::vector<GroupListing>>(*ask(ListRequest{})).size() == 1);
  CHECK(ask(DeleteGroupRequest{"g"}).error().code == Errc::non_empty_group);
  CHECK(std::get<std::vector<Status>>(*ask(DeleteOffsetsRequest{"g", {{"orders", PartitionId{0}}}})).at(0).error().code ==
        Errc::group_subscribed_to_topic);
  CHECK(ask(HeartbeatRequest{"g", "m", leaving, {}, {}}));
  CHECK(std::holds_alternative<std::monostate>(*ask(DeleteGroupRequest{"g"})));
  CHECK(ask(DescribeRequest{"g"}).error().code == Errc::group_id_not_found);

  Turn turn;
  ClassicJoinRequest classic;
  classic.group = "g";
  classic.protocol_type = "consumer";
  classic.protocols = {{"range", {}}};
  REQUIRE(may_wait(classic));
  ask_later(*group.coordinator, classic, 7, group.now, turn);
  CHECK(turn.delivered.empty());
  group.now.monotonic = group.now.monotonic + 500;
  group.coordinator->on_deadline(group.now, turn);
  REQUIRE(turn.delivered.size() == 1);
  CHECK(turn.delivered[0].call == 7);
  const auto member = std::get<ClassicJoinAnswer>(to_answer(*turn.delivered[0].answer)).member;
  ask_later(*group.coordinator, ClassicSyncRequest{"g", member, {}, GroupEpoch{1}, {}, {}, {}}, 8, group.now, turn);
  CHECK(turn.delivered.at(1).call == 8);
  CHECK(ask(ClassicHeartbeatRequest{"g", member, {}, GroupEpoch{1}}));
  CHECK(std::get<std::vector<Status>>(*ask(ClassicLeaveRequest{"g", {{member, {}}}})).at(0));
}

TEST_CASE("a group's partition is the one that Kafka gives it", "[group_calls]") {
  // Java: "abc".hashCode() and so on.
  CHECK(java_hash("") == 0);
  CHECK(java_hash("abc") == 96'354);
  CHECK(java_hash("hello") == 99'162'322);
  CHECK(java_hash("\xc3\xa9") == 233);
  CHECK(java_hash("\xf0\x9f\x98\x80") == 1'772'899);
  CHECK(java_hash("polygenelubricants") == INT32_MIN);
  CHECK(java_hash("\xff") == 0xfffd);
  CHECK(java_hash("\xc3") == 0xfffd);
  CHECK(partition_of_group("polygenelubricants") == PartitionId{0});
  CHECK(partition_of_group("abc") == PartitionId{96'354 % 16});
  CHECK(partition_of(DescribeRequest{"abc"}) == partition_of_group("abc"));
  CHECK(partition_of(ListRequest{PartitionId{3}}) == PartitionId{3});
}

}  // namespace troupe::group
