#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

AppendResponse refusal(std::int64_t base, std::int32_t hint_epoch, std::int64_t hint_end) {
  return {.base_offset = Offset{base}, .hint_epoch = LeaderEpoch{hint_epoch}, .hint_end_offset = Offset{hint_end}};
}

}  // namespace

// --- the leader

TEST_CASE("a leader begins its epoch with an entry of its own that names the voters (thesis 6.4; KIP-595)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead({2});
  REQUIRE(one.log.size() == 1);
  CHECK(one.log[0].kind == EntryKind::leader_change);
  CHECK(one.log[0].epoch == LeaderEpoch{1});
  CHECK(decode_control_entry(one.log[0].payload)->voters == voters({1, 2, 3}));
  CHECK(one.sent<AppendRequest>(2).size() == 1);
  CHECK(one.sent<AppendRequest>(3).size() == 1);
}

TEST_CASE("entries commit when a majority has them on disk, the leader's own disk included (thesis 3.5, 10.2.1)",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = one.propose(5);
  CHECK(one.sent<AppendRequest>(2).size() == 1);  // before the leader has written it itself
  one.accept(2, 1, 6, 1);                         // received, not on disk
  CHECK(one.node().high_watermark() == Offset{1});
  one.accept(2, 1, 6, 6);
  CHECK(one.node().high_watermark() == Offset{1});  // the leader's disk is missing
  one.persist();
  CHECK(one.node().high_watermark() == Offset{6});
  REQUIRE(one.answered(token));
  CHECK(*one.answers.at(token) == Offset{6});
  CHECK(one.delivered.back().end_offset() == Offset{6});
}

TEST_CASE("a majority of followers commits without the leader's disk; it delivers when it has written, too", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = one.propose(5);
  one.accept(2, 1, 6, 6);
  one.accept(3, 1, 6, 6);
  CHECK(one.node().high_watermark() == Offset{6});
  CHECK(one.node().applied() == Offset{1});
  CHECK_FALSE(one.answered(token));
  one.persist();
  CHECK(one.answered(token));
}

TEST_CASE("entries of older epochs commit only with one of the leader's own (Raft 5.4.2, figure 8)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.with_log({data_entry(0, 1, 5), data_entry(5, 2, 5)}, 2).start();
  one.lead({2, 3});
  one.accept(2, 3, 10, 10);
  one.accept(3, 3, 10, 10);
  one.accept(4, 3, 10, 10);
  CHECK(one.node().high_watermark() == Offset{0});
  one.accept(2, 3, 11, 11);
  CHECK(one.node().high_watermark() == Offset{0});
  one.accept(3, 3, 11, 11);
  CHECK(one.node().high_watermark() == Offset{11});
}

TEST_CASE("elected is not ready: proposals wait until the leader's own epoch is committed and delivered (R13)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead({2});
  CHECK_FALSE(one.node().next_place());
  const auto token = one.token();
  one.take(one.node().propose(token, {Offset{1}, LeaderEpoch{1}}, 1, payload_of(1), one.now));
  CHECK(one.refused(token) == Errc::leader_not_available);
  one.accept(3, 1, 1, 1);
  CHECK(one.node().next_place() == QuorumNode::Place{Offset{1}, LeaderEpoch{1}});
}

TEST_CASE("a proposal for another place, of nothing, or too large is refused and not written", "[quorum]") {
  QuorumOptions options;
  options.entry_bytes_max = 100;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  const auto refusal_of = [&](QuorumNode::Place place, std::int32_t records, std::size_t bytes) {
    const auto token = one.token();
    one.take(one.node().propose(token, place, records, payload_of(bytes), one.now));
    return one.refused(token);
  };
  CHECK(refusal_of({Offset{2}, LeaderEpoch{1}}, 1, 1) == Errc::conflict);
  CHECK(refusal_of({Offset{1}, LeaderEpoch{2}}, 1, 1) == Errc::conflict);
  CHECK(refusal_of({Offset{1}, LeaderEpoch{1}}, 0, 1) == Errc::invalid_argument);
  CHECK(refusal_of({Offset{1}, LeaderEpoch{1}}, 1, 101) == Errc::message_too_large);
  CHECK(one.unpersisted.empty());
}

TEST_CASE("what is proposed and not committed is bounded in proposals and in bytes", "[quorum]") {
  QuorumOptions options;
  options.proposals_max = 3;
  options.uncommitted_bytes_max = 1'000;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  for (int i = 0; i < 3; ++i) CHECK_FALSE(one.answered(one.propose()));
  CHECK(one.refused(one.propose()) == Errc::overloaded);
  one.persist();
  one.accept(2, 1, 4, 4);
  CHECK_FALSE(one.answered(one.propose(1, 900)));
  CHECK(one.refused(one.propose(1, 100)) == Errc::overloaded);
}

TEST_CASE("what an earlier leadership left open does not take room from the next", "[quorum]") {
  QuorumOptions options;
  options.proposals_max = 2;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  one.propose(10);
  one.propose(10);
  one.persist();
  one.append(3, 2, 1, 1, {control_entry(1, 2, EntryKind::leader_change, 3, voters({1, 2, 3}))}, 2);  // replaces them
  one.persist();
  one.lead_ready({2});
  CHECK_FALSE(one.answered(one.propose()));
}

TEST_CASE("messages to one follower are bounded in number and in bytes, and go on as it writes", "[quorum]") {
  QuorumOptions options;
  options.inflight_messages_max = 3;
  options.inflight_bytes_max = 5'000;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  for (int i = 0; i < 10; ++i) one.propose();
  CHECK(one.sent<AppendRequest>(2).size() == 3);
  one.accept(2, 1, 4, 1);  // received is not written
  CHECK(one.sent<AppendRequest>(2).size() == 3);
  one.accept(2, 1, 4, 4);
  REQUIRE(one.sent<AppendRequest>(2).size() == 4);
  CHECK(one.sent<AppendRequest>(2)[3].entries.size() == 7);  // what gathered meanwhile, in one
  one.accept(2, 1, 11, 11);
  one.clear();
  for (int i = 0; i < 5; ++i) one.propose(1, 3'000);
  CHECK(one.sent<AppendRequest>(2).size() == 2);  // the bound is passed by one message at most
}

TEST_CASE("a message carries up to its bound in bytes, or one entry", "[quorum]") {
  QuorumOptions options;
  options.append_bytes_max = 1'000;
  options.inflight_messages_max = 1;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  one.propose();
  for (const std::size_t bytes : {400, 400, 400, 3'000, 10}) one.propose(1, bytes);
  const auto next = [&](std::int64_t end) {
    one.clear();
    one.accept(2, 1, end, end);
    std::size_t entries = 0;
    for (const auto& request : one.sent<AppendRequest>(2)) entries += request.entries.size();
    return entries;
  };
  CHECK(next(2) == 2);
  CHECK(next(4) == 1);
  CHECK(next(5) == 1);
  CHECK(next(6) == 1);
}

TEST_CASE("followers hear of a new high watermark at once", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  one.propose(4);
  one.persist();
  one.accept(3, 1, 5, 1);
  one.clear();
  one.accept(2, 1, 5, 5);
  REQUIRE(one.sent<AppendRequest>(3).size() == 1);
  CHECK(one.sent<AppendRequest>(3)[0].high_watermark == Offset{5});
}

TEST_CASE("a leader beats every 0.1 s, and asks with it whether all has arrived", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  one.propose(4);
  one.clear();
  one.pass(100);
  REQUIRE(one.sent<AppendRequest>(2).size() == 1);
  CHECK(one.sent<AppendRequest>(2)[0].base_offset == Offset{5});  // behind what was sent
  CHECK(one.sent<AppendRequest>(2)[0].entries.empty());
  one.clear();
  one.receive(2, 1, refusal(5, 1, 1));  // the message with the entry was lost
  REQUIRE(one.sent<AppendRequest>(2).size() == 1);
  CHECK(one.sent<AppendRequest>(2)[0].base_offset == Offset{1});
  CHECK(one.sent<AppendRequest>(2)[0].entries.size() == 1);
}

TEST_CASE("a leader goes back an epoch at a time, not an entry (Raft 5.3; KIP-595)", "[quorum]") {
  // ours  [0..9 e1] [10..19 e4] [20 e6]      the follower's  [0..9 e1] [10..11 e2] [12..13 e3]
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 10), data_entry(10, 4, 10)}, 5).start();
  one.lead({3});
  one.clear();
  one.receive(2, 6, refusal(20, 3, 14));  // its last epoch not above ours before 20 is 3, and ends at 14
  REQUIRE(one.sent<AppendRequest>(2).size() == 1);
  CHECK(one.sent<AppendRequest>(2)[0].base_offset == Offset{10});
  CHECK(one.sent<AppendRequest>(2)[0].previous_epoch == LeaderEpoch{1});
}

TEST_CASE("a late refusal does not take back what was acknowledged", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 10)}, 1).start();
  one.lead({3});
  one.accept(2, 2, 11, 11);
  one.clear();
  one.receive(2, 2, refusal(10, 1, 4));
  CHECK(one.all_sent().empty());
  one.propose();
  CHECK(one.sent<AppendRequest>(2).back().base_offset == Offset{11});
}

TEST_CASE("each refusal is answered by two messages at most, until the follower takes entries again", "[quorum]") {
  QuorumOptions options;
  options.append_bytes_max = 1'000;  // an entry each
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  for (int i = 0; i < 60; ++i) one.propose(1, 900);
  one.persist();
  one.clear();
  // The first of those on their way was dropped, so all behind it are refused, each when the leader streams again.
  constexpr std::size_t refusals = 50;
  for (std::size_t i = 0; i < refusals; ++i) {
    one.receive(2, 1, refusal(5, 1, 1));
    one.accept(2, 1, 1, 1);  // the probe's place, none of its entries
  }
  CHECK(one.sent<AppendRequest>(2).size() <= 2 * refusals);
  // Taken entries double what may be on its way.
  for (const std::size_t expected : {2U, 4U, 8U, 16U, 16U}) {
    const auto taken = one.sent<AppendRequest>(2).back().entries.back().end_offset().value();
    one.clear();
    one.accept(2, 1, taken, taken);
    CHECK(one.sent<AppendRequest>(2).size() == std::min<std::size_t>(expected, static_cast<std::size_t>(one.end() - taken)));
  }
}

TEST_CASE("a follower that acknowledges what it was not sent is not believed", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  one.accept(3, 1, 50, 50);
  one.accept(2, 1, 50, 50);
  CHECK(one.node().high_watermark() == Offset{1});
  CHECK(one.notes.size() == 2);
}

TEST_CASE("entries that left memory are read from the disk for a follower that is behind", "[quorum]") {
  QuorumOptions options;
  options.tail_bytes_max = 0;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  for (int i = 0; i < 3; ++i) {
    one.propose();
    one.persist();
    one.accept(2, 1, one.end(), one.end());
  }
  CHECK(one.node().tail_bytes() == 0);
  one.clear();
  one.receive(3, 1, refusal(0, -1, 0));
  one.accept(3, 1, 0, 0);  // the logs are equal at 0
  REQUIRE(one.reads.size() == 1);
  CHECK(one.reads[0].from == Offset{0});
  CHECK(one.reads[0].to == Offset{4});
  one.accept(3, 1, 0, 0);
  CHECK(one.reads.size() == 1);  // one at a time
  one.clear();
  one.reads.push_back({1'000, Offset{0}, Offset{4}, 100});  // an answer to nobody's question
  one.serve_read();
  CHECK(one.sent<AppendRequest>(3).empty());
}

TEST_CASE("a follower that a connection was lost to is probed again", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  one.propose();
  one.take(one.node().peer_down(BrokerId{2}, one.now));
  one.clear();
  one.propose();
  CHECK(one.sent<AppendRequest>(3).size() == 1);
  one.take(one.node().peer_up(BrokerId{2}, one.now));
  CHECK(one.sent<AppendRequest>(2).size() >= 1);
}

// --- outcomes after leadership was lost

TEST_CASE("a proposal that another leader commits is answered as committed", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = one.propose(4);
  one.persist();
  one.append(2, 2, 5, 1, {control_entry(5, 2, EntryKind::leader_change, 2, voters({1, 2, 3}))}, 1);
  one.persist();
  CHECK_FALSE(one.answered(token));
  one.append(2, 2, 6, 2, {}, 6);
  REQUIRE(one.answered(token));
  CHECK(*one.answers.at(token) == Offset{5});
}

TEST_CASE("a proposal is refused only when something else is committed in its place (R12, ambiguity of lost leadership)",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = one.propose(4);
  one.persist();
  one.append(2, 2, 1, 1, {control_entry(1, 2, EntryKind::leader_change, 2, voters({1, 2, 3})), data_entry(2, 2, 9)}, 1);
  one.persist();
  CHECK_FALSE(one.answered(token));  // cut off here, but node 3 may hold it, and lead
  one.append(2, 2, 11, 2, {}, 11);
  CHECK(one.refused(token) == Errc::not_leader_or_follower);
}

// --- the follower

TEST_CASE("a follower acknowledges entries when they are on its disk (Raft figure 2)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {data_entry(0, 1, 5)}, 5);
  CHECK(one.all_sent().empty());  // its epoch is not on the disk either
  one.persist();
  REQUIRE_FALSE(one.sent<AppendResponse>(2).empty());
  CHECK(one.sent<AppendResponse>(2).back().durable_offset == Offset{5});
  one.clear();
  one.append(2, 1, 5, 1, {data_entry(5, 1, 5)}, 5);
  REQUIRE(one.sent<AppendResponse>(2).size() == 1);
  CHECK(one.sent<AppendResponse>(2)[0].matched_offset == Offset{10});
  CHECK(one.sent<AppendResponse>(2)[0].durable_offset == Offset{5});
  one.persist();
  CHECK(one.sent<AppendResponse>(2).back().durable_offset == Offset{10});
}

TEST_CASE("a follower delivers what is committed and on its disk, once and in order", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {data_entry(0, 1, 5), data_entry(5, 1, 5)}, 10);
  CHECK(one.node().high_watermark() == Offset{10});
  CHECK(one.delivered.empty());
  one.persist();
  REQUIRE(one.delivered.size() == 2);
  one.append(2, 1, 0, -1, {data_entry(0, 1, 5), data_entry(5, 1, 5)}, 10);  // doubled
  CHECK(one.delivered.size() == 2);
  CHECK(one.unpersisted.empty());
}

TEST_CASE("a follower's high watermark is not above what it has from this leader (Raft figure 2)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 5), data_entry(5, 1, 5)}, 1).start();
  one.append(2, 2, 5, 1, {}, 100);  // says nothing of what is here behind 5
  CHECK(one.node().high_watermark() == Offset{5});
}

TEST_CASE("a follower refuses what does not follow its log, and says where to look (thesis 3.5; KIP-595)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 10), data_entry(10, 3, 5), data_entry(15, 4, 5)}, 6).start();
  const auto hint = [&](std::int64_t base, std::int32_t previous) {
    one.clear();
    one.append(2, 6, base, previous, {data_entry(base, 6)});
    const auto answers = one.sent<AppendResponse>(2);
    REQUIRE(answers.size() == 1);
    CHECK_FALSE(answers[0].accepted);
    return std::pair{answers[0].hint_epoch.value(), answers[0].hint_end_offset.value()};
  };
  CHECK(hint(30, 5) == std::pair{4, std::int64_t{20}});  // the log is too short
  CHECK(hint(20, 3) == std::pair{3, std::int64_t{15}});  // the leader's epoch there is older
  CHECK(hint(20, 2) == std::pair{1, std::int64_t{10}});
  CHECK(hint(15, 5) == std::pair{3, std::int64_t{15}});  // the leader's epoch there is newer
  CHECK(hint(12, 2) == std::pair{1, std::int64_t{10}});
  CHECK(one.end() == 20);
}

TEST_CASE("entries that conflict are cut off by epoch, and those that do not stay (Raft 5.3)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 10), data_entry(10, 2, 5), data_entry(15, 2, 5)}, 2).start();
  one.append(2, 3, 0, -1, {data_entry(0, 1, 10)});
  CHECK(one.end() == 20);  // a late, short message takes nothing away
  one.append(2, 3, 10, 1, {data_entry(10, 3, 3)});
  CHECK(one.end() == 13);
  one.persist();
  REQUIRE(one.log.size() == 2);
  CHECK(one.log[1].epoch == LeaderEpoch{3});
}

TEST_CASE("an acknowledgement does not count entries that a later leader cut off while they were being written",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {data_entry(0, 1, 5)});
  one.persist();
  one.append(2, 1, 5, 1, {data_entry(5, 1, 20)});
  one.append(3, 2, 5, 1, {data_entry(5, 2, 1)});
  one.clear();
  one.persist_one();  // the first leader's 20 records
  for (const auto& answer : one.sent<AppendResponse>()) CHECK(answer.durable_offset <= Offset{5});
  one.persist();
  CHECK(one.sent<AppendResponse>(3).back().durable_offset == Offset{6});
  CHECK(one.sent<AppendResponse>(2).empty());
}

TEST_CASE("a leader that would change what is committed ends this replica, not its log", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {data_entry(0, 1, 5), data_entry(5, 1, 5)}, 10);
  one.persist();
  SECTION("by its entries") { one.append(3, 2, 5, 1, {data_entry(5, 2, 5)}); }
  SECTION("by the epoch before them") { one.append(3, 2, 10, 2, {}); }
  REQUIRE(one.failure);
  CHECK(one.failure->code == Errc::corrupt_message);
  CHECK(one.unpersisted.empty());
}

TEST_CASE("two leaders in one epoch are not both followed", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {data_entry(0, 1, 5)});
  one.append(3, 1, 0, -1, {data_entry(0, 1, 7)});
  CHECK(one.end() == 5);
  CHECK(one.notes.size() == 1);
}

TEST_CASE("a follower with a long queue to its disk leaves entries unanswered, and still hears its leader", "[quorum]") {
  QuorumOptions options;
  options.disk_queue_max = 3;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.append(2, 1, 0, -1, {});
  one.persist();
  for (int i = 0; i < 5; ++i) one.append(2, 1, i, i == 0 ? -1 : 1, {data_entry(i, 1)});
  CHECK(one.end() == 3);
  CHECK(one.node().leader() == BrokerId{2});
  one.persist();
  one.append(2, 1, 3, 1, {data_entry(3, 1)});
  CHECK(one.end() == 4);
}

TEST_CASE("after a restart a replica delivers from its snapshot on, and only what it is told is committed", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 10), data_entry(10, 1, 10)}, 1).start();
  CHECK(one.node().high_watermark() == Offset{0});
  CHECK(one.delivered.empty());
  one.append(2, 1, 20, 1, {}, 10);
  REQUIRE(one.delivered.size() == 1);
  CHECK(one.delivered[0].end_offset() == Offset{10});
}

TEST_CASE("a control entry that cannot be read is not taken", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1,
             {data_entry(0, 1), {Offset{1}, LeaderEpoch{1}, EntryKind::voters, 1, payload_of(3)}, data_entry(2, 1)}, 3);
  CHECK(one.end() == 1);
  CHECK(one.notes.size() == 1);
  one.persist();
  CHECK(one.sent<AppendResponse>(2).back().durable_offset == Offset{1});
}
