#include "actors/group_coordinator.hpp"

#include <deque>

#include "actors/partition_messages.hpp"
#include "core/group/turn_log.hpp"
#include "tests/actors/group_fixture.hpp"

// One coordinator over a leader that does what the test says.

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::test;

namespace {

/// A partition's leader in a test's hands: appends wait until the test commits or refuses them.
struct ScriptedLeader {
  std::deque<ProduceSlot> asked;
  ByteBuffer log;
  Offset end{0};
  std::vector<FetchPartition> fetches;
  bool serves = true;  ///< fetches
};

caf::behavior scripted_leader(caf::event_based_actor* self, const std::shared_ptr<ScriptedLeader>& leader) {
  return {
      [=](const ProduceSlot& slot) { leader->asked.push_back(slot); },
      [=](const FindOffset& find) {
        self->send(find.reply_to,
                   OffsetAnswered{find.token, OffsetAnswer{.offset = Offset{0}, .high_watermark = leader->end}});
      },
      [=](const FetchPartition& fetch) {
        leader->fetches.push_back(fetch);
        if (!leader->serves) return;
        self->send(fetch.reply_to, FetchAnswered{fetch.token, FetchResponse{.batches = Bytes::copy_of(leader->log),
                                                                            .next_offset = leader->end}});
      },
  };
}

struct CoordinatorFixture {
  SeededScheduler scheduler{1};
  FixedClock clock;
  std::shared_ptr<ScriptedLeader> script = std::make_shared<ScriptedLeader>();
  std::shared_ptr<HandleSlot<caf::actor>> desk_slot = std::make_shared<HandleSlot<caf::actor>>();
  caf::actor leader;
  caf::actor desk;
  caf::actor coordinator;
  ActorRowPtr row = std::make_shared<ActorRow>("group_coordinator", "c");
  std::map<std::uint64_t, Result<group::GroupAnswer>> answers;
  std::vector<MembersNews> news;
  metadata::ImagePtr image = image_with_orders();
  GroupCoordinatorOptions options;

  CoordinatorFixture() {
    leader = scheduler.own(scheduler.system().spawn(scripted_leader, script));
    const auto take = [this](caf::event_based_actor*, int) -> caf::behavior {
      return {[this](const CoordinatorAnswered& answer) { REQUIRE(answers.emplace(answer.token, answer.answer).second); },
              [this](const MembersNews& one) { news.push_back(one); }};
    };
    desk = scheduler.own(scheduler.system().spawn(take, 0));
    desk_slot->set(desk);
  }
  ~CoordinatorFixture() {
    coordinator = nullptr;
    scheduler.end_owned();
  }

  static metadata::ImagePtr image_with_orders() {
    FakeController controller;
    const auto images = std::make_shared<ImageHolder>();
    controller.join(BrokerId{1}, images);
    controller.create("orders", {brokers({1}), brokers({1})});
    return images->get();
  }

  void start() {
    options.partition = {TopicId{{9}}, PartitionId{0}};
    options.leader = leader;
    options.image = image;
    options.clock = &clock;
    options.desk = desk_slot;
    options.counts = std::make_shared<CoordinatorCounts>();
    coordinator = scheduler.own(spawn_group_coordinator(scheduler.system(), options, row));
    scheduler.run();
  }
  /// What was asked first is committed.
  void commit_one() {
    REQUIRE_FALSE(script->asked.empty());
    auto slot = std::move(script->asked.front());
    script->asked.pop_front();
    SlotAnswered answer{slot.partition, slot.slot, {}};
    for (const auto& batch : slot.batches) {
      auto bytes = ByteBuffer(batch.bytes.view().begin(), batch.bytes.view().end());
      record::stamp_batch(bytes, script->end, LeaderEpoch{1});
      append_bytes(script->log, bytes);
      answer.results.emplace_back(replication::PlacedRecords{.base_offset = script->end});
      script->end = record::parse_batch_header(bytes)->next_offset();
    }
    caf::anon_send(slot.reply_to, std::move(answer));
    scheduler.run();
  }
  void refuse_one(Errc code) {
    REQUIRE_FALSE(script->asked.empty());
    const auto slot = std::move(script->asked.front());
    script->asked.pop_front();
    std::vector<Result<replication::PlacedRecords>> refused(slot.batches.size(), Error{code, "the test says so"});
    caf::anon_send(slot.reply_to, SlotAnswered{slot.partition, slot.slot, std::move(refused)});
    scheduler.run();
  }
  void load() {
    start();
    commit_one();
    REQUIRE(row->state() == ActorState::running);
  }
  void send(std::uint64_t token, group::GroupCall call, int from = 1) {
    caf::anon_send(coordinator, CoordinatorCall{BrokerId{from}, std::make_shared<const group::GroupCall>(std::move(call)),
                                                std::make_shared<CoordinatorTicket>(desk, token)});
    scheduler.run();
  }
  Errc code_of(std::uint64_t token) {
    REQUIRE(answers.contains(token));
    return answers.at(token) ? Errc::unknown_error : answers.at(token).error().code;
  }
  bool is_done(std::uint64_t token) { return answers.contains(token) && answers.at(token).has_value(); }

  static group::HeartbeatRequest joins(const std::string& member) {
    return {"g", member, group::joining, GroupClient::reads({"orders"}), {}};
  }
  static group::ClassicJoinRequest joins_classic(const std::string& member = {}) {
    static std::uint8_t fresh = 0;
    group::ClassicJoinRequest join;
    join.group = "c";
    join.member = member;
    join.protocol_type = "consumer";
    join.protocols = {{"range", "m"}};
    join.fresh = Uuid{{++fresh}};
    return join;
  }
  static group::CommitRequest commits(std::int64_t offset) {
    return {"plain", {}, {{"orders", PartitionId{0}, Offset{offset}, no_leader_epoch, {}, 0}}};
  }
};

}  // namespace

TEST_CASE("a coordinator marks its log, reads it up to there, and is asked to wait until then", "[groups]") {
  CoordinatorFixture fixture;
  fixture.script->serves = false;
  auto before = group::encode_batch(
                    std::vector<group::Record>{group::OffsetRecord{
                        "plain", "orders", PartitionId{0},
                        group::CommittedOffset{.topic_id = fixture.image->find_topic("orders")->id, .offset = Offset{7}}}},
                    TimestampMs{1})
                    .value();
  record::stamp_batch(before, Offset{0}, LeaderEpoch{1});
  fixture.script->log = before;
  fixture.script->end = Offset{1};
  fixture.start();
  REQUIRE(fixture.script->asked.size() == 1);
  CHECK(fixture.script->asked[0].terms.acks == replication::Acks::quorum);
  fixture.send(1, group::OffsetsRequest{"plain", {}, {}});
  CHECK(fixture.code_of(1) == Errc::coordinator_load_in_progress);
  fixture.commit_one();
  fixture.send(2, group::OffsetsRequest{"plain", {}, {}});
  CHECK(fixture.code_of(2) == Errc::coordinator_load_in_progress);
  REQUIRE(fixture.script->fetches.size() == 1);
  caf::anon_send(fixture.coordinator, FetchAnswered{0, FetchResponse{.batches = Bytes::copy_of(fixture.script->log),
                                                                     .next_offset = fixture.script->end}});
  fixture.scheduler.run();
  fixture.send(3, group::OffsetsRequest{"plain", {}, {}});
  REQUIRE(fixture.is_done(3));
  CHECK(std::get<std::vector<group::Position>>(*fixture.answers.at(3)).at(0).second->offset == Offset{7});
}

TEST_CASE("a mark that is refused for now is written again", "[groups]") {
  CoordinatorFixture fixture;
  fixture.start();
  fixture.refuse_one(Errc::not_enough_replicas);
  CHECK(fixture.script->asked.empty());
  fixture.scheduler.advance(100);
  REQUIRE(fixture.script->asked.size() == 1);
  fixture.commit_one();
  CHECK(fixture.row->state() == ActorState::running);
}

TEST_CASE("no answer goes out before everything that was written until then is committed", "[groups]") {
  CoordinatorFixture fixture;
  fixture.load();
  fixture.send(1, fixture.joins("a"));
  REQUIRE(fixture.script->asked.size() == 1);
  CHECK_FALSE(fixture.is_done(1));
  fixture.send(2, group::DescribeRequest{"g"});  // writes nothing, and rests on what the first has written
  fixture.send(3, fixture.commits(5));
  CHECK(fixture.answers.empty());
  CHECK(fixture.script->asked.size() == 1);  // one append at a time
  fixture.commit_one();
  CHECK(fixture.is_done(1));
  CHECK(fixture.is_done(2));
  CHECK_FALSE(fixture.is_done(3));
  fixture.commit_one();
  CHECK(fixture.is_done(3));
  fixture.send(4, group::DescribeRequest{"g"});
  CHECK(fixture.is_done(4));
}

TEST_CASE("an append that fails ends the coordinator, and who waits does not know", "[groups]") {
  const auto code = GENERATE(Errc::not_enough_replicas, Errc::leadership_lost, Errc::storage_full);
  CoordinatorFixture fixture;
  fixture.load();
  fixture.send(1, fixture.joins("a"));
  fixture.send(2, group::DescribeRequest{"g"});
  fixture.refuse_one(code);
  CHECK(fixture.code_of(1) == Errc::leadership_lost);
  CHECK(fixture.code_of(2) == Errc::leadership_lost);
  fixture.send(3, group::DescribeRequest{"g"});
  CHECK(fixture.code_of(3) == Errc::not_coordinator);  // nobody took it
}

TEST_CASE("a coordinator ends with its leader", "[groups]") {
  CoordinatorFixture fixture;
  fixture.load();
  fixture.send(1, fixture.joins("a"));
  caf::anon_send_exit(fixture.leader, caf::exit_reason::user_shutdown);
  fixture.scheduler.run();
  CHECK(fixture.code_of(1) == Errc::leadership_lost);
}

TEST_CASE("what waits for the log has a bound", "[groups]") {
  CoordinatorFixture fixture;
  fixture.options.held_max = 2;
  fixture.load();
  fixture.send(1, fixture.commits(1));
  fixture.send(2, fixture.commits(2));
  fixture.send(3, fixture.commits(3));
  CHECK(fixture.code_of(3) == Errc::overloaded);
  CHECK(fixture.options.counts->held.load() == 2);
  fixture.commit_one();
  fixture.commit_one();
  CHECK(fixture.is_done(2));
  fixture.send(4, fixture.commits(4));
  fixture.commit_one();
  CHECK(fixture.is_done(4));
  CHECK(fixture.options.counts->groups.load() == 1);
}

TEST_CASE("a log that cannot be read ends the coordinator", "[groups]") {
  CoordinatorFixture fixture;
  auto broken =
      group::encode_batch(std::vector<group::Record>{group::GroupRecord{"g", group::GroupRecord::Value{}}}, TimestampMs{1})
          .value();
  record::stamp_batch(broken, Offset{0}, LeaderEpoch{1});
  broken[broken.size() - 1] ^= std::byte{0xff};  // inside the record
  fixture.script->log = broken;
  fixture.script->end = Offset{1};
  fixture.start();
  fixture.commit_one();
  CHECK(fixture.row->status().last_error->find("corrupt_message") != std::string::npos);
  fixture.send(1, group::DescribeRequest{"g"});
  CHECK(fixture.code_of(1) == Errc::not_coordinator);
}

TEST_CASE("members are told of news at the node where they live, and go with it", "[groups]") {
  CoordinatorFixture fixture;
  fixture.load();
  fixture.send(1, fixture.joins("a"), 2);
  fixture.commit_one();
  fixture.news.clear();
  fixture.send(2, fixture.joins("b"), 3);
  fixture.commit_one();
  const auto told = [&](int node, const std::string& member) {
    return std::ranges::any_of(fixture.news, [&](const MembersNews& one) {
      return one.node == BrokerId{node} && one.members == std::vector<group::MemberName>{{"g", member}};
    });
  };
  CHECK(told(2, "a"));
  CHECK_FALSE(told(3, "a"));

  caf::anon_send(fixture.coordinator, GroupNodeLost{BrokerId{3}});
  fixture.scheduler.run();
  fixture.commit_one();
  fixture.send(3, group::DescribeRequest{"g"});
  REQUIRE(fixture.is_done(3));
  const auto& described = std::get<group::GroupDescription>(*fixture.answers.at(3));
  REQUIRE(described.members.size() == 1);
  CHECK(described.members[0].member == "a");
}

TEST_CASE("a member that falls silent is out when its session is over", "[groups]") {
  CoordinatorFixture fixture;
  fixture.load();
  auto join = fixture.joins("a");
  join.profile->session_timeout_ms = 6'000;
  fixture.send(1, join);
  fixture.commit_one();
  fixture.scheduler.advance(5'900);
  CHECK(fixture.script->asked.empty());
  fixture.scheduler.advance(200);
  fixture.commit_one();
  fixture.send(2, group::DescribeRequest{"g"});
  CHECK(std::get<group::GroupDescription>(*fixture.answers.at(2)).members.empty());
}

TEST_CASE("members of a classic group wait for each other, and hear of a generation when it is committed", "[groups]") {
  CoordinatorFixture fixture;
  fixture.load();
  fixture.send(1, fixture.joins_classic());
  CHECK(fixture.script->asked.empty());
  fixture.scheduler.advance(500);  // the group's first members wait for others
  REQUIRE(fixture.script->asked.size() == 1);
  CHECK_FALSE(fixture.is_done(1));
  fixture.commit_one();
  REQUIRE(fixture.is_done(1));
  const auto first = std::get<group::ClassicJoinAnswer>(*fixture.answers.at(1)).member;

  fixture.send(2, fixture.joins_classic());
  CHECK(fixture.answers.size() == 1);
  CHECK(fixture.script->asked.empty());
  fixture.send(3, fixture.joins_classic(first));
  CHECK(fixture.answers.size() == 1);
  fixture.commit_one();
  REQUIRE(fixture.is_done(2));
  REQUIRE(fixture.is_done(3));
  const auto second = std::get<group::ClassicJoinAnswer>(*fixture.answers.at(2)).member;
  CHECK(std::get<group::ClassicJoinAnswer>(*fixture.answers.at(3)).members.size() == 2);

  fixture.send(4, group::ClassicSyncRequest{"c", second, {}, group::GroupEpoch{2}, {}, {}, {}});
  CHECK(fixture.script->asked.empty());
  fixture.send(5, group::ClassicSyncRequest{"c", first, {}, group::GroupEpoch{2}, {}, {}, {{first, "0"}, {second, "1"}}});
  fixture.send(6, group::ClassicHeartbeatRequest{"c", first, {}, group::GroupEpoch{2}});
  CHECK(fixture.answers.size() == 3);
  fixture.commit_one();
  REQUIRE(fixture.is_done(4));
  CHECK(std::get<group::ClassicSyncAnswer>(*fixture.answers.at(4)).assignment == "1");
  CHECK(fixture.is_done(5));
  CHECK(fixture.is_done(6));
}

TEST_CASE("who waits for others when the coordinator ends does not know", "[groups]") {
  CoordinatorFixture fixture;
  fixture.options.held_max = 2;
  fixture.load();
  fixture.send(1, fixture.joins_classic());
  fixture.send(2, fixture.joins_classic());
  fixture.send(3, fixture.joins_classic());
  CHECK(fixture.code_of(3) == Errc::overloaded);  // who waits counts
  fixture.scheduler.advance(1'100);
  fixture.refuse_one(Errc::leadership_lost);
  CHECK(fixture.code_of(1) == Errc::leadership_lost);
  CHECK(fixture.code_of(2) == Errc::leadership_lost);
}
