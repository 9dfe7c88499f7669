#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

std::uint64_t add(ReplicaFixture& one, const ReplicaKey& voter) {
  const auto token = one.token();
  one.take(one.node().add_voter(token, voter, one.now));
  return token;
}
std::uint64_t remove(ReplicaFixture& one, const ReplicaKey& voter) {
  const auto token = one.token();
  one.take(one.node().remove_voter(token, voter, one.now));
  return token;
}
/// All voters but node 1 have everything; so has its own disk.
void commit(ReplicaFixture& one, std::initializer_list<int> followers) {
  one.persist();
  for (const auto id : followers) one.accept(id, one.node().epoch().value(), one.end(), one.end());
}

}  // namespace

TEST_CASE("a learner gets its vote when it has caught up, and not before (thesis 4.2.1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  one.receive(4, 1, Follow{Offset{0}});
  CHECK_FALSE(one.sent<AppendRequest>(4).empty());
  const auto token = add(one, replica(4));
  CHECK(one.node().voters() == voters({1, 2, 3}));
  one.accept(4, 1, 1, 0);  // received, not on disk
  CHECK(one.node().voters() == voters({1, 2, 3}));
  one.accept(4, 1, 1, 1);
  CHECK(one.node().voters() == voters({1, 2, 3, 4}));  // from its own log on, committed or not (thesis 4.1)
  CHECK_FALSE(one.answered(token));
  commit(one, {2});
  CHECK_FALSE(one.answered(token));  // two of four are no majority
  commit(one, {3});
  CHECK_FALSE(one.refused(token));
}

TEST_CASE("a learner that is too slow is given rounds, and then up (thesis 4.2.1)", "[quorum]") {
  QuorumOptions options;
  options.catch_up_rounds_max = 3;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2, 3});
  one.receive(4, 1, Follow{Offset{0}});
  const auto token = add(one, replica(4));
  for (int round = 0; round < 3; ++round) {
    CHECK_FALSE(one.answered(token));
    one.propose();
    for (int i = 0; i < 5; ++i) {
      one.pass(100);
      commit(one, {2, 3});
    }
    one.accept(4, 1, one.end() - 1, one.end() - 1);  // half a second for a round
  }
  CHECK(one.refused(token) == Errc::request_timed_out);
  CHECK(one.node().voters() == voters({1, 2, 3}));
}

TEST_CASE("one change at a time: no other while one is not committed (thesis 4.1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4})};
  one.start();
  one.lead_ready({2, 3});
  const auto first = remove(one, replica(4));
  CHECK(one.refused(remove(one, replica(3))) == Errc::conflict);
  one.receive(5, 1, Follow{Offset{0}});
  CHECK(one.refused(add(one, replica(5))) == Errc::conflict);
  CHECK(one.node().voters() == voters({1, 2, 3}));
  commit(one, {2});
  CHECK_FALSE(one.refused(first));
  CHECK(one.refused(remove(one, replica(3))) == Errc::unknown_error);  // taken
  CHECK(one.node().voters() == voters({1, 2}));
}

TEST_CASE("no change before an entry of the leader's own epoch is committed (Ongaro, raft-dev 2015)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4})};
  one.start();
  one.lead({2, 3});
  CHECK(one.refused(remove(one, replica(4))) == Errc::leader_not_available);
  CHECK(one.node().voters() == voters({1, 2, 3, 4}));
  commit(one, {2, 3});
  CHECK(one.refused(remove(one, replica(4))) == Errc::unknown_error);
}

TEST_CASE("a change that is not committed goes with the log that said it (thesis 4.1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1,
             {control_entry(0, 1, EntryKind::leader_change, 2, voters({1, 2, 3})),
              control_entry(1, 1, EntryKind::voters, 2, voters({1, 2, 3, 4}))},
             1);
  CHECK(one.node().voters() == voters({1, 2, 3, 4}));
  one.append(3, 2, 1, 1, {control_entry(1, 2, EntryKind::leader_change, 3, voters({1, 2, 3}))}, 1);
  CHECK(one.node().voters() == voters({1, 2, 3}));
}

TEST_CASE("a restarted replica knows the voters that its log says last", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({control_entry(0, 1, EntryKind::leader_change, 2, voters({1, 2, 3})), data_entry(1, 1, 9),
                control_entry(10, 1, EntryKind::voters, 2, voters({1, 2}))},
               1)
      .start();
  CHECK(one.node().voters() == voters({1, 2}));
  CHECK(one.node().role() == QuorumRole::follower);
}

TEST_CASE("a leader that is voted out leads until that is committed, does not count itself, then hands over (thesis 4.2.2)",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  const auto token = remove(one, replica(1));
  one.persist();
  one.accept(2, 1, one.end(), one.end());
  CHECK(one.node().role() == QuorumRole::leader);  // itself and one of {2, 3}
  CHECK_FALSE(one.answered(token));
  one.accept(3, 1, one.end(), one.end());
  CHECK_FALSE(one.refused(token));
  CHECK(one.node().role() == QuorumRole::observer);
  CHECK(one.sent<TimeoutNow>().size() == 1);
}

TEST_CASE("a voter that was voted out asks for no votes, when it knows that for certain (thesis 4.2.3)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const std::vector<LogEntry> entries{control_entry(0, 1, EntryKind::leader_change, 2, voters({1, 2, 3})),
                                      control_entry(1, 1, EntryKind::voters, 2, voters({2, 3}))};
  one.append(2, 1, 0, -1, entries, 1);
  one.persist();
  CHECK(one.node().role() == QuorumRole::follower);  // it may be undone, and then this replica is needed
  one.append(2, 1, 2, 1, {}, 2);
  CHECK(one.node().role() == QuorumRole::observer);
  one.clear();
  for (int i = 0; i < 10; ++i) one.time_out();
  CHECK(one.sent<VoteRequest>().empty());
  CHECK_FALSE(one.sent<Follow>().empty());
}

TEST_CASE("a replica votes for a candidate whose voters it has not heard of yet (thesis 4.1)", "[quorum]") {
  ReplicaFixture one{{}};  // joined, and its log has not come
  one.start();
  CHECK(one.node().role() == QuorumRole::observer);
  one.receive(2, 3, VoteRequest{false, false, Offset{5}, LeaderEpoch{2}});
  one.persist();
  REQUIRE(one.sent<VoteResponse>(2).size() == 1);
  CHECK(one.sent<VoteResponse>(2)[0].granted);
}

TEST_CASE("changes that cannot be are refused with a reason", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5, 6, 7})};
  one.start();
  CHECK(one.refused(remove(one, replica(2))) == Errc::not_leader_or_follower);
  one.lead_ready({2, 3, 4});
  one.receive(8, 1, Follow{Offset{0}});
  CHECK(one.refused(add(one, replica(8))) == Errc::invalid_argument);          // there are seven
  CHECK(one.refused(add(one, {BrokerId{2}, uuid_of(99)})) == Errc::conflict);  // the old disk goes first
  CHECK_FALSE(one.refused(add(one, replica(2))));                              // already so
  CHECK_FALSE(one.refused(remove(one, {BrokerId{2}, uuid_of(99)})));
  ReplicaFixture alone{voters({1})};
  alone.start();
  alone.persist();
  alone.persist();
  CHECK(alone.refused(remove(alone, replica(1))) == Errc::conflict);
  CHECK(alone.refused(add(alone, replica(2))) == Errc::not_found);
}

TEST_CASE("leadership is handed over when the target has everything, and nothing is taken meanwhile (thesis 3.10)",
          "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  one.propose();
  one.persist();
  const auto token = one.token();
  one.take(one.node().transfer(token, BrokerId{2}, one.now));
  CHECK(one.sent<TimeoutNow>().empty());
  CHECK_FALSE(one.node().next_place());
  one.accept(2, 1, 2, 2);
  CHECK(one.sent<TimeoutNow>(2).size() == 1);
  one.receive(2, 2, VoteRequest{false, true, Offset{2}, LeaderEpoch{1}});
  one.persist();
  CHECK_FALSE(one.refused(token));
  CHECK(one.sent<VoteResponse>(2).back().granted);
}

TEST_CASE("a hand-over that does not come about ends after 0.8 s, and proposals are taken again (thesis 3.10)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  const auto token = one.token();
  one.take(one.node().transfer(token, BrokerId{3}, one.now));
  for (int i = 0; i < 8; ++i) {
    CHECK_FALSE(one.node().next_place());
    one.pass(100);
    one.accept(2, 1, 1, 1);
  }
  CHECK(one.refused(token) == Errc::leader_not_available);
  CHECK(one.node().next_place());
}

TEST_CASE("without a target the voter that has most is chosen; a target has to be another voter", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2, 3});
  one.propose();
  one.persist();
  one.accept(3, 1, 2, 2);
  const auto wrong = one.token();
  one.take(one.node().transfer(wrong, BrokerId{9}, one.now));
  CHECK(one.refused(wrong) == Errc::invalid_argument);
  one.take(one.node().transfer(one.token(), BrokerId{-1}, one.now));
  CHECK(one.sent<TimeoutNow>(3).size() == 1);
}

TEST_CASE("who is told to be elected asks for votes at once, without a pre-vote (thesis 3.10)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.append(2, 1, 0, -1, {});
  one.persist();
  one.clear();
  one.receive(3, 1, TimeoutNow{});  // not its leader
  CHECK(one.node().role() == QuorumRole::follower);
  one.receive(2, 1, TimeoutNow{});
  one.persist();
  CHECK(one.node().role() == QuorumRole::candidate);
  REQUIRE(one.sent<VoteRequest>(3).size() == 1);
  CHECK(one.sent<VoteRequest>(3)[0].transfer);
  CHECK_FALSE(one.sent<VoteRequest>(3)[0].pre_vote);
}

TEST_CASE("a replica whose disk was put back is told of, and asked with heartbeats only", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  one.propose();
  one.persist();
  one.accept(2, 1, 2, 2);
  one.clear();
  for (int i = 0; i < 200; ++i) {
    one.receive(2, 1, AppendResponse{.base_offset = Offset{2}, .hint_end_offset = Offset{0}});
  }
  CHECK(one.sent<AppendRequest>(2).size() < 20);
  REQUIRE(one.notes.size() == 1);
  CHECK(one.notes[0].find("its disk was put back") != std::string::npos);
  one.clear();
  one.pass(100);
  CHECK(one.sent<AppendRequest>(2).size() == 1);
}

TEST_CASE("observers are sent the log, count for nothing, and are forgotten after 10 s of silence", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  one.receive(8, 1, Follow{Offset{0}});
  one.propose();
  one.persist();
  one.accept(8, 1, 2, 2);
  one.accept(8, 1, 2, 2);
  CHECK(one.node().high_watermark() == Offset{1});
  one.clear();
  for (int i = 0; i < 101; ++i) {
    one.pass(100);
    one.accept(2, 1, 2, 2);
  }
  one.clear();
  one.pass(100);
  CHECK(one.sent<AppendRequest>(8).empty());
  CHECK_FALSE(one.sent<AppendRequest>(3).empty());  // a voter never is
}

TEST_CASE("there are no more observers than the bound", "[quorum]") {
  QuorumOptions options;
  options.observers_max = 1;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  for (int id = 10; id < 30; ++id) one.receive(id, 1, Follow{Offset{0}});
  std::size_t served = 0;
  for (int id = 10; id < 30; ++id) served += one.sent<AppendRequest>(id).empty() ? 0U : 1U;
  CHECK(served > 0);
  CHECK(served <= 8);
  CHECK_FALSE(one.notes.empty());
}

TEST_CASE("an observer finds its leader by asking round, or by a hint", "[quorum]") {
  QuorumOptions options;
  options.contacts = {BrokerId{2}, BrokerId{3}};
  ReplicaFixture one{{}, options};
  one.start();
  for (int i = 0; i < 2; ++i) one.time_out();
  CHECK(one.sent<Follow>(2).size() == 1);
  CHECK(one.sent<Follow>(3).size() == 1);
  one.receive(3, 4, LeaderHint{BrokerId{5}});
  CHECK(one.sent<Follow>(5).size() == 1);
  one.append(5, 4, 0, -1, {});
  CHECK(one.node().leader() == BrokerId{5});
}

TEST_CASE("an observer that was told of nobody asks whoever it meets, again and again", "[quorum]") {
  ReplicaFixture one{{}};
  one.start();
  one.time_out();
  CHECK(one.sent<Follow>().empty());
  one.take(one.node().peer_up(BrokerId{2}, one.now));
  CHECK(one.sent<Follow>(2).size() == 1);
  one.take(one.node().peer_up(BrokerId{3}, one.now));
  one.clear();
  for (int i = 0; i < 4; ++i) one.time_out();
  CHECK(one.sent<Follow>(2).size() >= 1);
  CHECK(one.sent<Follow>(3).size() >= 1);
}

TEST_CASE("a voter that speaks with another directory has lost its vote, and everybody who hears it knows", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  const ReplicaKey other{BrokerId{3}, uuid_of(33)};
  const auto hear = [&](const ReplicaKey& from) {
    one.take(one.node().receive({cluster_id, from, replica(1), LeaderEpoch{0}, Follow{Offset{0}}}, one.now));
  };
  hear(replica(2));
  hear(replica(3));
  CHECK(one.node().lost_voters().empty());
  CHECK(one.node().report(one.now).lost_voters().empty());
  hear(other);
  CHECK(one.node().lost_voters() == std::vector{BrokerId{3}});
  const auto report = one.node().report(one.now);
  CHECK(report.lost_voters() == std::vector{BrokerId{3}});
  REQUIRE(report.observers.size() == 1);
  CHECK(report.observers[0].key == other);
  hear(replica(3));  // its directory was put back
  CHECK(one.node().lost_voters().empty());
}

TEST_CASE("a replica knows that its own vote is lost", "[quorum]") {
  const auto mine = *VoterSet::of({ReplicaKey{BrokerId{1}, uuid_of(99)}, replica(2), replica(3)});
  ReplicaFixture one{mine};
  one.start();
  CHECK(one.node().role() == QuorumRole::observer);
  CHECK(one.node().lost_voters() == std::vector{BrokerId{1}});
  CHECK(one.node().report(one.now).lost_voters() == std::vector{BrokerId{1}});
}

TEST_CASE("the leader tells a lost vote from one that is only silent, and drops ghosts", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const ReplicaKey other{BrokerId{3}, uuid_of(33)};
  const auto follow = [&](const ReplicaKey& from) {
    one.take(one.node().receive({cluster_id, from, replica(1), one.node().epoch(), Follow{Offset{0}}}, one.now));
  };
  const auto none = [](BrokerId) { return false; };
  const auto all = [](BrokerId) { return true; };
  follow(other);
  follow(replica(4));
  const auto heard = one.node().report(one.now);
  CHECK(heard.observers.size() == 2);
  CHECK(heard.without_ghosts(none).observers.size() == 2);  // they are here, whatever the metadata says
  one.now += 3'000;
  one.take(one.node().receive({cluster_id, other, replica(1), one.node().epoch(), AppendResponse{}}, one.now));
  const auto report = one.node().report(one.now);
  CHECK(report.lost_voters() == std::vector{BrokerId{3}});
  CHECK(report.observers.size() == 2);
  CHECK(report.without_ghosts(all).observers.size() == 2);
  const auto shown = report.without_ghosts(none);  // 4 was removed
  REQUIRE(shown.observers.size() == 1);
  CHECK(shown.observers[0].key == other);
  one.now += 3'000;
  CHECK(one.node().report(one.now).lost_voters().empty());  // nobody is there
}
