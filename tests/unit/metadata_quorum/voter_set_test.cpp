#include "core/metadata/voters_told.hpp"

#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

TEST_CASE("a majority of n voters is more than half of them", "[quorum]") {
  CHECK(voters({1}).majority() == 1);
  CHECK(voters({1, 2}).majority() == 2);
  CHECK(voters({1, 2, 3}).majority() == 2);
  CHECK(voters({1, 2, 3, 4}).majority() == 3);
  CHECK(voters({1, 2, 3, 4, 5}).majority() == 3);
  CHECK(voters({1, 2, 3, 4, 5, 6, 7}).majority() == 4);
}

TEST_CASE("the majority's value is the highest that more than half have reached", "[quorum]") {
  const auto values = [](std::vector<int> held) {
    std::vector<ReplicaKey> keys;
    for (int i = 0; i < static_cast<int>(held.size()); ++i) keys.push_back(replica(i));
    return VoterSet::of(keys)->majority_value(
        [&](const ReplicaKey& key) { return held[static_cast<std::size_t>(key.id.value())]; });
  };
  CHECK(values({5}) == 5);
  CHECK(values({5, 9}) == 5);
  CHECK(values({1, 9, 4}) == 4);
  CHECK(values({40, 10, 30, 20, 0}) == 20);
  CHECK(values({4, 3, 2, 1}) == 2);
}

TEST_CASE("a node is in a set of voters once, and a set holds at most seven", "[quorum]") {
  CHECK_FALSE(VoterSet::of({replica(1), {BrokerId{1}, uuid_of(9)}}));
  CHECK_FALSE(VoterSet::of({{BrokerId{-1}, uuid_of(9)}}));
  std::vector<ReplicaKey> eight;
  for (int i = 1; i <= 8; ++i) eight.push_back(replica(i));
  CHECK_FALSE(VoterSet::of(eight));
  eight.pop_back();
  CHECK(VoterSet::of(eight));
}

TEST_CASE("a voter is a disk: the node alone does not make one (KIP-853)", "[quorum]") {
  const auto set = voters({1, 2, 3});
  CHECK(set.contains(replica(2)));
  CHECK_FALSE(set.contains(ReplicaKey{BrokerId{2}, uuid_of(99)}));
  CHECK(set.contains(BrokerId{2}));
  CHECK(set.without(replica(2)).with({BrokerId{2}, uuid_of(99)}).contains(ReplicaKey{BrokerId{2}, uuid_of(99)}));
}

TEST_CASE("a node that was told of other voters than there are says so", "[quorum]") {
  const auto are = voters({1, 2, 3});
  CHECK_FALSE(other_voters({BrokerId{3}, BrokerId{1}, BrokerId{2}}, are));
  CHECK_FALSE(other_voters({}, are));
  CHECK_FALSE(other_voters({BrokerId{1}}, {}));
  const auto note = other_voters({BrokerId{2}, BrokerId{4}}, are);
  REQUIRE(note);
  CHECK(note->find("told of the voters 2,4, its metadata has the voters 1,2,3") != std::string::npos);
}
