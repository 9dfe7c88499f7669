#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

std::uint64_t read(ReplicaFixture& one) {
  const auto token = one.token();
  one.take(one.node().read(token, one.now));
  return token;
}

std::uint64_t round_asked(const ReplicaFixture& one) { return one.sent<AppendRequest>().back().round; }

}  // namespace

TEST_CASE("a read waits until a majority has answered a round that began after it (thesis 6.4)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3, 4, 5})};
  one.start();
  one.lead_ready({2, 3});
  const auto token = read(one);
  const auto round = round_asked(one);
  one.accept(2, 1, 1, 1, round - 1);
  one.accept(3, 1, 1, 1, round - 1);
  one.accept(4, 1, 1, 1, round - 1);
  CHECK_FALSE(one.answered(token));
  one.accept(2, 1, 1, 1, round);
  CHECK_FALSE(one.answered(token));
  one.accept(4, 1, 0, 0, round);
  REQUIRE(one.answered(token));
  CHECK(*one.answers.at(token) == Offset{1});
}

TEST_CASE("a refused append answers a round, too: it says that nobody newer leads", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto token = read(one);
  one.receive(3, 1, AppendResponse{.round = round_asked(one), .base_offset = Offset{1}});
  CHECK(one.answered(token));
}

TEST_CASE("a read that comes during a round waits for the next one", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  const auto first = read(one);
  const auto round = round_asked(one);
  const auto second = read(one);
  CHECK(round_asked(one) == round);
  one.accept(2, 1, 1, 1, round);
  CHECK(one.answered(first));
  CHECK_FALSE(one.answered(second));
  CHECK(round_asked(one) == round + 1);
  one.accept(3, 1, 1, 1, round + 1);
  CHECK(one.answered(second));
}

TEST_CASE("no read before an entry of the leader's own epoch is committed (thesis 6.4, step 1)", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.with_log({data_entry(0, 1, 5)}, 1).start();
  one.lead({2});
  const auto token = read(one);
  one.accept(3, 2, 5, 5, 100);
  CHECK_FALSE(one.answered(token));
  one.accept(2, 2, 6, 6);
  const auto round = round_asked(one);
  one.accept(2, 2, 6, 6, round);
  REQUIRE(one.answered(token));
  CHECK(*one.answers.at(token) == Offset{6});
}

TEST_CASE("a read is answered when the state machine has what was committed when it began", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  one.lead_ready({2});
  one.propose(3);
  one.accept(2, 1, 4, 4);
  one.accept(3, 1, 4, 4);  // committed by the two others; not on this disk, so not delivered
  CHECK(one.node().high_watermark() == Offset{4});
  CHECK(one.node().applied() == Offset{1});
  const auto token = read(one);
  one.accept(2, 1, 4, 4, round_asked(one));
  CHECK_FALSE(one.answered(token));
  one.persist();
  REQUIRE(one.answered(token));
  CHECK(*one.answers.at(token) == Offset{4});
}

TEST_CASE("the only voter answers a read at once", "[quorum]") {
  ReplicaFixture one{voters({1})};
  one.start();
  one.persist();
  one.persist();
  const auto token = read(one);
  CHECK(*one.answers.at(token) == Offset{1});
}

TEST_CASE("who does not lead answers no read, and who stops leading says so to those that wait", "[quorum]") {
  ReplicaFixture one{voters({1, 2, 3})};
  one.start();
  CHECK(one.refused(read(one)) == Errc::not_leader_or_follower);
  one.lead_ready({2});
  const auto asking = read(one);
  const auto waiting = read(one);
  one.receive(3, 2, AppendResponse{});
  CHECK(one.refused(asking) == Errc::not_leader_or_follower);
  CHECK(one.refused(waiting) == Errc::not_leader_or_follower);
}

TEST_CASE("more reads than the bound are refused at the door", "[quorum]") {
  QuorumOptions options;
  options.reads_max = 3;
  ReplicaFixture one{voters({1, 2, 3}), options};
  one.start();
  one.lead_ready({2});
  for (int i = 0; i < 3; ++i) CHECK_FALSE(one.answered(read(one)));
  CHECK(one.refused(read(one)) == Errc::overloaded);
  one.accept(2, 1, 1, 1, round_asked(one));
  one.accept(2, 1, 1, 1, round_asked(one));
  CHECK_FALSE(one.answered(read(one)));
}
