#include "tests/support/seed.hpp"
#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

VoteRequest vote_for(std::int64_t log_end, std::int32_t last_epoch, bool pre_vote = false, bool transfer = false) {
  return {pre_vote, transfer, Offset{log_end}, LeaderEpoch{last_epoch}};
}

/// What was answered to the candidate; nullopt: nothing yet.
std::optional<bool> verdict(const ReplicaFixture& one, int candidate) {
  const auto answers = one.sent<VoteResponse>(candidate);
  return answers.empty() ? std::nullopt : std::optional{answers.back().granted};
}

}  // namespace

TEST_CASE("a follower that hears nothing waits 0.4 to 0.8 s, each time another time (thesis 3.4, 9.3)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  std::set<Millis> waits;
  for (int i = 0; i < 50; ++i) {
    const auto wait = *one.node().next_deadline() - one.now;
    CHECK(wait >= 400);
    CHECK(wait < 800);
    waits.insert(wait);
    one.time_out();
  }
  CHECK(waits.size() > 20);
}

TEST_CASE("a timeout asks for pre-votes and changes no epoch; a majority of them starts an election (thesis 9.6)",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.time_out();
  CHECK(one.node().role() == QuorumRole::prospective);
  CHECK(one.node().epoch() == LeaderEpoch{0});
  CHECK(one.unpersisted.empty());
  REQUIRE(one.sent<VoteRequest>().size() == 2);
  CHECK(one.sent<VoteRequest>()[0].pre_vote);
  one.grant(2, 0, true);
  CHECK(one.node().role() == QuorumRole::candidate);
  CHECK(one.node().epoch() == LeaderEpoch{1});
}

TEST_CASE("without a majority of pre-votes the epoch stays, however often it is tried (thesis 9.6)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.start();
  for (int i = 0; i < 20; ++i) {
    one.time_out();
    one.grant(2, 0, true);
    one.grant(2, 0, true);  // said twice, counted once
  }
  CHECK(one.node().epoch() == LeaderEpoch{0});
  CHECK(one.node().role() == QuorumRole::prospective);
}

TEST_CASE("a candidate asks when its epoch and its own vote are on its disk (Raft 5.1, figure 2)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.time_out();
  one.grant(2, 0, true);
  one.clear();
  one.grant(2, 1);
  one.grant(3, 1);
  CHECK(one.all_sent().empty());
  CHECK(one.node().role() == QuorumRole::candidate);
  REQUIRE(one.unpersisted.size() == 1);
  CHECK(one.unpersisted[0].hard_state->voted_for == replica(1));
  CHECK(one.unpersisted[0].hard_state->epoch == LeaderEpoch{1});
  one.persist();
  CHECK(one.node().role() == QuorumRole::leader);
}

TEST_CASE("a candidate needs votes of more than half of the voters (thesis 3.4)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.start();
  one.time_out();
  one.grant(2, 0, true);
  one.grant(3, 0, true);
  one.persist();
  one.grant(2, 1);
  one.receive(9, 1, VoteResponse{false, true, LeaderEpoch{1}});  // no voter
  CHECK(one.node().role() == QuorumRole::candidate);
  one.grant(4, 1);
  CHECK(one.node().role() == QuorumRole::leader);
}

TEST_CASE("votes of an older election, and pre-votes, do not count as votes", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.time_out();
  one.grant(2, 0, true);
  one.persist();
  one.receive(2, 1, VoteResponse{true, true, LeaderEpoch{0}});
  one.receive(2, 1, VoteResponse{true, true, LeaderEpoch{1}});
  one.receive(2, 1, VoteResponse{false, true, LeaderEpoch{0}});
  CHECK(one.node().role() == QuorumRole::candidate);
}

TEST_CASE("elections that come to nothing take longer, up to four times as long, until there is a leader", "[quorum]") {
  // Goal: where it takes longer to write down a vote, and to say so, than an election's timeout, a leader is found all the same.
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const auto candidacy = [&] {
    one.time_out();
    one.grant(2, one.node().epoch().value(), true);
    REQUIRE(one.node().role() == QuorumRole::candidate);
    one.persist();
    return *one.node().next_deadline() - one.now;
  };
  for (int i = 0; i < 4; ++i) CHECK(candidacy() < 800);
  Millis longest = 0;
  for (int i = 0; i < 40; ++i) longest = std::max(longest, candidacy());
  CHECK(longest >= 1'600);
  CHECK(longest < 3'200);
  candidacy();
  one.grant(2, one.node().epoch().value());
  REQUIRE(one.node().role() == QuorumRole::leader);
  for (int i = 0; i < 50 && one.node().role() == QuorumRole::leader; ++i) one.time_out();  // nobody answers it
  for (int i = 0; i < 3; ++i) CHECK(candidacy() < 800);
}

TEST_CASE("the only voter leads without asking", "[quorum]") {
  ReplicaFixture one{voters({1})};
  one.start();
  one.persist();
  CHECK(one.node().role() == QuorumRole::leader);
  one.persist();
  CHECK(one.node().next_place() == QuorumNode::Place{Offset{1}, LeaderEpoch{1}});
}

TEST_CASE("a vote leaves when it is on the disk (Raft figure 2: updated on stable storage before responding)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.receive(2, 1, vote_for(0, -1));
  CHECK_FALSE(verdict(one, 2));
  REQUIRE(one.unpersisted.size() == 1);
  CHECK(one.unpersisted[0].hard_state->voted_for == replica(2));
  one.persist();
  CHECK(verdict(one, 2) == true);
}

TEST_CASE("a replica votes once an epoch, also across a restart (thesis 3.4, 3.8)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.receive(2, 1, vote_for(0, -1));
  one.persist();
  one.receive(3, 1, vote_for(0, -1));
  one.persist();
  CHECK(verdict(one, 3) == false);
  one.crash_and_start();
  one.receive(3, 1, vote_for(0, -1));
  CHECK(verdict(one, 3) == false);
  one.receive(2, 1, vote_for(0, -1));  // the same again is no second vote
  CHECK(verdict(one, 2) == true);
  one.receive(3, 2, vote_for(0, -1));
  one.persist();
  CHECK(verdict(one, 3) == true);
}

TEST_CASE("a vote that a crash took from the disk was never sent", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.receive(2, 1, vote_for(0, -1));
  CHECK(one.all_sent().empty());
  one.crash_and_start();
  one.receive(3, 1, vote_for(0, -1));
  one.persist();
  CHECK(verdict(one, 3) == true);
}

TEST_CASE("no vote, and no pre-vote, for a log that is less up to date (Raft 5.4.1)", "[quorum]") {
  for (const bool pre_vote : {false, true}) {
    ReplicaFixture one{voters({1, 2, 3})};
    one.with_log({data_entry(0, 1, 10), data_entry(10, 3, 10)}, 3).start();
    const auto asked = [&](std::int32_t epoch, std::int64_t end, std::int32_t last_epoch) {
      one.clear();
      one.receive(2, epoch, vote_for(end, last_epoch, pre_vote));
      one.persist();
      return verdict(one, 2);
    };
    CHECK(asked(10, 100, 2) == false);  // longer, but of an older epoch
    CHECK(asked(11, 19, 3) == false);   // of the same epoch, but shorter
    CHECK(asked(12, 20, 3) == true);
    CHECK(asked(13, 1, 4) == true);  // shorter, but of a newer epoch
  }
}

TEST_CASE("a pre-vote that is granted binds nobody and moves nothing (thesis 9.6)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.receive(2, 7, vote_for(0, -1, true));
  one.receive(3, 7, vote_for(0, -1, true));
  CHECK(verdict(one, 2) == true);
  CHECK(verdict(one, 3) == true);
  CHECK(one.node().epoch() == LeaderEpoch{0});
  CHECK(one.unpersisted.empty());
}

TEST_CASE("whoever heard its leader within 0.4 s neither votes nor moves its epoch (thesis 4.2.3)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {});
  one.persist();
  one.now += 399;
  one.receive(3, 9, vote_for(50, 1));
  one.receive(3, 9, vote_for(50, 1, true));
  CHECK(one.sent<VoteResponse>(3).size() == 2);
  CHECK(verdict(one, 3) == false);
  CHECK(one.node().epoch() == LeaderEpoch{1});
  CHECK(one.sent<VoteResponse>(3)[0].leader == BrokerId{2});
  one.now += 1;
  one.receive(3, 9, vote_for(50, 1, true));
  CHECK(verdict(one, 3) == true);
}

TEST_CASE("a leader does not follow a candidate either: it steps down when it hears no majority (thesis 4.2.3, 6.2)",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead({2});
  one.receive(3, 9, vote_for(50, 8));
  CHECK(one.node().role() == QuorumRole::leader);
  CHECK(verdict(one, 3) == false);
}

TEST_CASE("a hand-over is heard although there is a leader (thesis 3.10, 4.2.3)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {});
  one.persist();
  one.receive(3, 2, vote_for(0, -1, false, true));
  one.persist();
  CHECK(verdict(one, 3) == true);
}

TEST_CASE("a vote asked of the disk that was here before is not given (M4)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.take(
      one.node().receive({cluster_id, replica(2), {BrokerId{1}, uuid_of(200)}, LeaderEpoch{5}, vote_for(0, -1)}, one.now));
  one.take(one.node().receive({cluster_id, replica(2), {BrokerId{1}, {}}, LeaderEpoch{5}, vote_for(0, -1)}, one.now));
  CHECK(one.all_sent().empty());
  CHECK(one.unpersisted.empty());
}

TEST_CASE("a message of another cluster means nothing, and is told of once", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  for (int i = 0; i < 3; ++i) {
    one.take(one.node().receive({uuid_of(66), replica(2), replica(1), LeaderEpoch{5}, vote_for(0, -1)}, one.now));
  }
  CHECK(one.node().epoch() == LeaderEpoch{0});
  CHECK(one.all_sent().empty());
  CHECK(one.notes.size() == 1);
}

TEST_CASE("a leader that hears of a newer epoch steps down (Raft 5.1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead({2});
  one.receive(3, 4, AppendResponse{});
  CHECK(one.node().role() == QuorumRole::follower);
  CHECK(one.node().epoch() == LeaderEpoch{4});
}

TEST_CASE("a leader that meets a newer epoch without a leader is back soon: it asks at once, and its followers say yes",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead({2});
  one.receive(3, 4, AppendResponse{});
  CHECK(*one.node().next_deadline() - one.now <= 50);
  one.time_out();
  CHECK(one.node().role() == QuorumRole::prospective);

  ReplicaFixture follower{voters({1, 2, 3})};
  follower.start();
  follower.append(2, 1, 0, -1, {});
  follower.persist();
  follower.receive(2, 4, vote_for(0, -1, true));
  CHECK(verdict(follower, 2) == true);
}

TEST_CASE("a leader of an older epoch is told so, and is not followed (Raft 5.1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({}, 5).start();
  one.append(2, 4, 0, -1, {data_entry(0, 4)});
  CHECK(one.end() == 0);
  REQUIRE(one.all_sent().size() == 1);
  CHECK(one.all_sent()[0].epoch == LeaderEpoch{5});
  CHECK_FALSE(one.sent<AppendResponse>(2)[0].accepted);
  CHECK(one.node().leader() == BrokerId{-1});
}

TEST_CASE("a candidate that sees the leader of its epoch follows it (Raft 5.2)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.time_out();
  one.grant(2, 0, true);
  one.persist();
  one.append(3, 1, 0, -1, {});
  CHECK(one.node().role() == QuorumRole::follower);
  CHECK(one.node().leader() == BrokerId{3});
}

TEST_CASE("a leader without answers of a majority for 0.8 s steps down in its epoch (thesis 6.2)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.start();
  one.lead({2, 3});
  const auto since = one.now;
  while (one.node().role() == QuorumRole::leader && one.now - since < 5'000) {
    one.pass(100);
    one.accept(2, 1, 1, 1);  // one of four others is no majority
  }
  CHECK(one.node().role() == QuorumRole::follower);
  CHECK(one.node().epoch() == LeaderEpoch{1});
  CHECK(one.now - since >= 800);
  CHECK(one.now - since <= 900);
}

TEST_CASE("a leader that a majority answers stays for ever", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.start();
  one.lead({2, 3});
  for (int i = 0; i < 100; ++i) {
    one.pass(100);
    one.accept(2, 1, 1, 1);
    one.accept(4, 1, 0, 0);
  }
  CHECK(one.node().role() == QuorumRole::leader);
}

TEST_CASE("a closed connection to the leader starts a pre-vote within 60 ms", "[quorum]") {
  for (int i = 0; i < 20; ++i) {
    ReplicaFixture one{voters({1, 2, 3})};
    one.start();
    one.append(2, 1, 0, -1, {});
    one.persist();
    one.take(one.node().peer_down(BrokerId{3}, one.now));
    CHECK(*one.node().next_deadline() - one.now >= 400);
    one.take(one.node().peer_down(BrokerId{2}, one.now));
    CHECK(*one.node().next_deadline() - one.now <= 60);
    one.time_out();
    CHECK(one.node().role() == QuorumRole::prospective);
  }
}

TEST_CASE("after the hint a replica also votes for others, and takes its leader back when it was a false alarm",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {});
  one.persist();
  one.take(one.node().peer_down(BrokerId{2}, one.now));
  one.receive(3, 1, vote_for(0, -1, true));
  CHECK(verdict(one, 3) == true);
  one.append(2, 1, 0, -1, {});
  CHECK(one.node().leader() == BrokerId{2});
  CHECK(*one.node().next_deadline() - one.now >= 400);
}

TEST_CASE("after a split vote the next try comes within 0.1 s (KIP-996)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.time_out();
  one.grant(2, 0, true);
  one.persist();
  one.receive(2, 1, VoteResponse{false, false, LeaderEpoch{1}});
  one.receive(3, 1, VoteResponse{false, false, LeaderEpoch{1}});
  CHECK(*one.node().next_deadline() - one.now <= 100);
  one.time_out();
  CHECK(one.node().role() == QuorumRole::prospective);
  CHECK(one.node().epoch() == LeaderEpoch{1});
}

TEST_CASE("a candidate does not wait for the vote of a process that is gone", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.take(one.node().peer_down(BrokerId{2}, one.now));
  one.time_out();
  one.grant(3, 0, true);
  one.persist();
  REQUIRE(one.node().role() == QuorumRole::candidate);
  SECTION("the votes are split: at once again") {
    one.receive(3, 1, VoteResponse{false, false, LeaderEpoch{1}});
    CHECK(*one.node().next_deadline() - one.now <= 100);
  }
  SECTION("it is back, and may still answer") {
    one.take(one.node().peer_up(BrokerId{2}, one.now));
    one.receive(3, 1, VoteResponse{false, false, LeaderEpoch{1}});
    CHECK(*one.node().next_deadline() - one.now >= 400);
  }
}

TEST_CASE("a pre-vote that is refused for a leader whose process is gone is tried again soon", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {});
  one.persist();
  one.take(one.node().peer_down(BrokerId{2}, one.now));
  one.time_out();
  REQUIRE(one.node().role() == QuorumRole::prospective);
  // Broker 3 has not noticed yet.
  for (int i = 0; i < 5; ++i) {
    one.receive(3, 1, VoteResponse{true, false, LeaderEpoch{1}, BrokerId{2}});
    CHECK(*one.node().next_deadline() - one.now >= 50);
    CHECK(*one.node().next_deadline() - one.now <= 100);
    one.time_out();
    CHECK(one.node().epoch() == LeaderEpoch{1});
  }
  one.grant(3, 1, true);
  CHECK(one.node().role() == QuorumRole::candidate);
}

TEST_CASE("without a majority of living processes nobody is asked more often", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.start();
  for (const auto id : {2, 3, 4}) one.take(one.node().peer_down(BrokerId{id}, one.now));
  one.time_out();
  one.receive(5, 0, VoteResponse{true, false, LeaderEpoch{0}});
  CHECK(*one.node().next_deadline() - one.now >= 400);
}

TEST_CASE("a leader whose disk does not answer for 2 s steps down, and does not try again meanwhile (F9)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead({2});
  one.accept(2, 1, 1, 1);
  one.propose();
  for (int i = 0; i < 30 && one.node().role() == QuorumRole::leader; ++i) {
    one.pass(100);
    one.accept(2, 1, 1, 1);
  }
  CHECK(one.node().role() == QuorumRole::follower);
  one.clear();
  one.time_out();
  CHECK(one.node().role() == QuorumRole::follower);
  CHECK(one.all_sent().empty());
  one.persist();
  one.time_out();
  CHECK(one.node().role() == QuorumRole::prospective);
}

TEST_CASE("who is told of a leader that it does not hear asks it for the log", "[quorum]") {
  // A voter that was voted out while it was away is sent nothing, and would ask for votes for ever.
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.time_out();
  one.receive(2, 0, VoteResponse{true, false, LeaderEpoch{0}, BrokerId{3}});
  CHECK(one.sent<Follow>(3).size() == 1);
}

TEST_CASE("a disk error ends everything that this replica does", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = one.token();
  one.take(one.node().read(token, one.now));
  one.take(one.node().failed({Errc::storage_error, "fdatasync: EIO"}));
  CHECK(one.refused(token) == Errc::not_leader_or_follower);
  REQUIRE(one.failure);
  CHECK(one.failure->code == Errc::storage_error);
  one.clear();
  one.receive(2, 9, vote_for(50, 8));
  one.take(one.node().persisted(99, one.now));
  CHECK(one.all_sent().empty());
  CHECK_FALSE(one.node().next_deadline());
}

TEST_CASE("a log without its hard state, or with an older one, is not trusted (F19)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 4)}, 3).start();
  REQUIRE(one.failure);
  CHECK(one.failure->code == Errc::corrupt_message);
  ReplicaFixture other{voters({1, 2, 3})};
  other.with_log({data_entry(0, 4)}, 4);
  other.disk.hard_state.reset();
  other.start();
  REQUIRE(other.failure);
  CHECK(other.failure->code == Errc::corrupt_message);
}
