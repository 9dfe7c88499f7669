#include "core/replication/replica_care.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::replication;
using Cause = ReplicaCare::Cause;
using Step = ReplicaCare::Step;

namespace {

constexpr BrokerId self{1};
constexpr MonotonicMs start{1'000};

PartitionState state(int epoch, int leader, std::vector<BrokerId> isr, std::vector<BrokerId> eligible = {}) {
  return {.leader_epoch = LeaderEpoch{epoch},
          .leader = BrokerId{leader},
          .replicas = {BrokerId{1}, BrokerId{2}, BrokerId{3}},
          .isr = std::move(isr),
          .eligible_leader_replicas = std::move(eligible)};
}
const auto before = state(4, 1, {BrokerId{1}, BrokerId{2}});
const auto after = state(5, 2, {BrokerId{2}});

}  // namespace

TEST_CASE("a log is set aside once, when the image says that others do without it", "[replica_care]") {
  ReplicaCare care(Cause::offline, LeaderEpoch{4}, start);
  CHECK(care.next(before, self, true, start) == Step::ask);
  CHECK(care.next(before, self, true, start) == Step::wait);
  care.answered(std::nullopt, start);
  CHECK(care.next(before, self, true, start) == Step::wait);  // the image is late
  CHECK(care.next(after, self, false, start) == Step::wait);  // its actor has not gone
  CHECK(care.next(after, self, true, start) == Step::set_aside);
  CHECK(care.next(after, self, true, start) == Step::wait);
  care.not_stored(start);
  CHECK(care.next(after, self, true, start) == Step::wait);
  CHECK(care.next(after, self, true, start + 1'000) == Step::set_aside);
}

TEST_CASE("while anything may depend on the log, it is not touched", "[replica_care]") {
  const auto held = GENERATE(state(5, 1, {BrokerId{1}, BrokerId{2}}),    // it leads
                             state(5, 2, {BrokerId{2}, BrokerId{1}}),    // in sync
                             state(5, 2, {BrokerId{2}}, {BrokerId{1}}),  // eligible
                             state(4, 2, {BrokerId{2}}),                 // its positions of this epoch may be counted
                             state(5, -1, {BrokerId{2}}));               // nobody leads
  ReplicaCare care(Cause::damaged, LeaderEpoch{4}, start);
  for (Millis passed = 0; passed < 100'000; passed += 500) {
    const auto step = care.next(held, self, true, start + passed);
    CHECK((step == Step::ask || step == Step::wait));
    if (step == Step::ask) care.answered(std::nullopt, start + passed);
  }
}

TEST_CASE("who has nobody to take over does what the cause permits", "[replica_care]") {
  const auto refused = [](Cause cause) {
    ReplicaCare care(cause, LeaderEpoch{4}, start);
    CHECK(care.next(before, self, true, start) == Step::ask);
    care.answered(Errc::eligible_leaders_not_available, start);
    return care;
  };
  CHECK(refused(Cause::offline).next(before, self, true, start) == Step::recover);
  CHECK(refused(Cause::rot).next(before, self, false, start) == Step::go_on);
  auto damaged = refused(Cause::damaged);
  CHECK(damaged.next(before, self, true, start) == Step::wait);
  CHECK(damaged.next(before, self, true, start + 5'000) == Step::ask);
  damaged.answered(std::nullopt, start + 5'000);
  CHECK(damaged.next(after, self, true, start + 5'000) == Step::set_aside);
}

TEST_CASE("without a controller a damaged log waits, and one whose disk failed does not wait for ever", "[replica_care]") {
  for (const auto cause : {Cause::offline, Cause::damaged}) {
    ReplicaCare care(cause, LeaderEpoch{4}, start);
    Step last = Step::wait;
    int asked = 0;
    for (Millis passed = 0; passed <= 20'000; passed += 100) {
      last = care.next(before, self, true, start + passed);
      if (last != Step::ask) continue;
      ++asked;
      care.answered(Errc::request_timed_out, start + passed);
    }
    CHECK(asked >= 19);
    CHECK((last == Step::recover) == (cause == Cause::offline));
  }
}
