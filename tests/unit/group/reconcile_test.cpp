#include "core/group/reconcile.hpp"

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

// KIP-848, "Reconciliation of the group": revoke before assign, and the epoch of a member grows when nothing is left to revoke.
namespace troupe::group {
namespace {

const TopicId topic{{9}};

PartitionList list(std::initializer_list<std::int32_t> numbers) {
  PartitionList all;
  for (const auto number : numbers) all.push_back({topic, PartitionId{number}});
  return all;
}

MemberAssignment member(std::int32_t epoch, MemberState state, PartitionList assigned, PartitionList revoking = {}) {
  return {GroupEpoch{epoch}, GroupEpoch{epoch - 1}, state, std::move(assigned), std::move(revoking)};
}

MemberAssignment step(const MemberAssignment& now, std::int32_t epoch, const PartitionList& target,
                      std::optional<PartitionList> owned, const PartitionList& others = {}) {
  const std::function<bool(const TopicIdPartition&)> taken = [&](const auto& partition) {
    return contains(others, partition);
  };
  return reconcile(now, {GroupEpoch{epoch}, target, owned ? &*owned : nullptr, taken});
}

}  // namespace

TEST_CASE("a member at its target stays as it is", "[group]") {
  const auto now = member(3, MemberState::stable, list({0, 1}));
  CHECK(step(now, 3, list({0, 1}), list({0, 1})) == now);
  CHECK(step(now, 3, list({0, 1}), std::nullopt) == now);
}

TEST_CASE("what is free is given at once, and the epoch is the target's", "[group]") {
  const auto next = step(member(3, MemberState::stable, list({0})), 4, list({0, 1, 2}), list({0}));
  CHECK(next.state == MemberState::stable);
  CHECK(next.assigned == list({0, 1, 2}));
  CHECK(next.epoch == GroupEpoch{4});
  CHECK(next.previous_epoch == GroupEpoch{3});
}

TEST_CASE("nothing is given before all that has to go is gone, and what stays never pauses", "[group]") {
  const auto told = step(member(3, MemberState::stable, list({0, 1, 2})), 4, list({0, 5}), list({0, 1, 2}));
  CHECK(told.state == MemberState::revoking);
  CHECK(told.assigned == list({0}));
  CHECK(told.revoking == list({1, 2}));
  CHECK(told.epoch == GroupEpoch{3});

  SECTION("it has one of them still") { CHECK(step(told, 4, list({0, 5}), list({0, 2})) == told); }
  SECTION("it does not say what it has") { CHECK(step(told, 4, list({0, 5}), std::nullopt) == told); }
  SECTION("a newer target changes nothing before it let go") { CHECK(step(told, 5, list({0, 1}), list({0, 1, 2})) == told); }
  SECTION("it let go") {
    const auto next = step(told, 4, list({0, 5}), list({0}));
    CHECK(next.state == MemberState::stable);
    CHECK(next.assigned == list({0, 5}));
    CHECK(next.revoking.empty());
    CHECK(next.epoch == GroupEpoch{4});
  }
}

TEST_CASE("a member waits for what others have, and gets each as it becomes free", "[group]") {
  const auto waits = step(member(3, MemberState::stable, list({0})), 4, list({0, 1, 2}), list({0}), list({1, 2}));
  CHECK(waits.state == MemberState::waiting);
  CHECK(waits.assigned == list({0}));
  CHECK(waits.epoch == GroupEpoch{4});

  const auto one = step(waits, 4, list({0, 1, 2}), list({0}), list({2}));
  CHECK(one.state == MemberState::waiting);
  CHECK(one.assigned == list({0, 1}));
  CHECK(one.epoch == GroupEpoch{4});
  CHECK(one.previous_epoch == waits.previous_epoch);  // the epoch did not move: neither does the one before it

  const auto all = step(one, 4, list({0, 1, 2}), list({0, 1}));
  CHECK(all.state == MemberState::stable);
  CHECK(all.assigned == list({0, 1, 2}));
}

TEST_CASE("a member that waits and gets a smaller target gives up first", "[group]") {
  const auto waits = member(4, MemberState::waiting, list({0, 1}));
  const auto next = step(waits, 5, list({2}), std::nullopt, list({2}));
  CHECK(next.state == MemberState::revoking);
  CHECK(next.revoking == list({0, 1}));
  CHECK(next.assigned.empty());
}

TEST_CASE("any member that says what it has reaches any target when the others let go", "[group]") {
  const auto seed = test::seed_or(848);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  const auto some = [&] {
    PartitionList all;
    for (std::int32_t number = 0; number < 8; ++number) {
      if (random.chance(1, 2)) all.push_back({topic, PartitionId{number}});
    }
    return all;
  };
  for (int round = 0; round < 2'000; ++round) {
    auto now = member(3, MemberState::stable, some());
    auto owned = now.assigned;
    const auto target = some();
    auto others = without(some(), now.assigned);
    for (int steps = 0; steps < 12; ++steps) {
      const auto before = now;
      now = step(now, 4, target, owned, others);
      // What is its own and stays is in every assignment on the way.
      REQUIRE(includes(now.assigned, in_both(before.assigned, target)));
      // Nothing of others is given.
      REQUIRE(in_both(now.assigned, others).empty());
      REQUIRE(in_both(now.revoking, others).empty());
      REQUIRE((now.state == MemberState::revoking) == !now.revoking.empty());
      owned = now.assigned;
      if (!others.empty() && random.chance(1, 2)) others.pop_back();
    }
    for (int steps = 0; steps < 3; ++steps) now = step(now, 4, target, now.assigned);
    REQUIRE(now.state == MemberState::stable);
    REQUIRE(now.assigned == target);
    REQUIRE(now.epoch == GroupEpoch{4});
  }
}

}  // namespace troupe::group
