#include <deque>
#include <unordered_set>

#include "tests/support/seed.hpp"
#include "tests/unit/metadata/cluster_world.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

std::vector<BrokerId> some_brokers(Prng& random, std::int32_t brokers, std::size_t count) {
  count = std::min(count, static_cast<std::size_t>(brokers));
  std::vector<BrokerId> all;
  while (all.size() < count) {
    const BrokerId broker{static_cast<std::int32_t>(1 + random.below(static_cast<std::uint64_t>(brokers)))};
    if (!has_broker(all, broker)) all.push_back(broker);
  }
  return all;
}

World random_world(Prng& random, std::int32_t brokers) {
  World world{brokers};
  const auto topics = 1 + random.below(3);
  for (std::uint64_t i = 0; i < topics; ++i) {
    const auto factor = 1 + random.below(std::min<std::uint64_t>(4, static_cast<std::uint64_t>(brokers)));
    std::vector<Ids> assignments;
    for (std::uint64_t j = 0; j <= random.below(3); ++j)
      assignments.push_back(numbers(some_brokers(random, brokers, factor)));
    std::map<std::string, std::string> config;
    if (random.chance(1, 2)) config["flush"] = "interval";
    if (random.chance(1, 3)) config["min.insync.replicas"] = std::to_string(1 + random.below(3));
    if (random.chance(1, 8)) config["unclean.leader.election.enable"] = "true";
    world.create("topic-" + std::to_string(i), assignments, config);
  }
  return world;
}

void random_step(World& world, Prng& random, std::int32_t brokers) {
  const auto id = world.partitions()[random.below(world.partitions().size())];
  const BrokerId broker{static_cast<std::int32_t>(1 + random.below(static_cast<std::uint64_t>(brokers)))};
  switch (random.below(29)) {
    case 0:
    case 1:
    case 2:
    case 3: world.write(id); return;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: world.follow(id, broker); return;
    case 9: world.shrink(id, broker); return;
    case 10: world.crash(broker, static_cast<std::int32_t>(random.below(4))); return;
    case 11: world.end_in_order(broker); return;
    case 12:
    case 13:
    case 14: world.restart(broker); return;
    case 15:
    case 16: world.fence(broker); return;
    case 17:
    case 18:
    case 19:
    case 20: world.heartbeat(broker); return;
    case 21: world.stop(broker); return;
    case 22: world.drain(broker, random.chance(1, 3)); return;
    case 23: world.balance(random.below(4)); return;
    case 24: world.elect(id, random.chance(1, 2) ? broker : no_broker, random.chance(1, 4)); return;
    case 25: world.reassign(id, some_brokers(random, brokers, 1 + random.below(3))); return;
    case 26: world.reassign(id, std::nullopt); return;
    case 27: world.lose_log(id, broker); return;
    default: world.set(id.topic_id, "min.insync.replicas", std::to_string(1 + random.below(3))); return;
  }
}

}  // namespace

TEST_CASE("whatever brokers, leaders and operators do, no image breaks a rule, and no committed record is lost",
          "[cluster_model]") {
  const auto seed = seed_or(4'711);
  std::size_t unclean = 0;
  std::size_t eligible = 0;
  std::size_t reassigned = 0;
  std::size_t refused = 0;
  std::size_t lost = 0;
  for (std::uint64_t run = 0; run < 200; ++run) {
    INFO("TROUPE_SEED=" << seed << " run " << run);
    Prng random{seed + run};
    const auto brokers = static_cast<std::int32_t>(random.between(1, 6));
    auto world = random_world(random, brokers);
    for (int step = 0; step < 250; ++step) {
      INFO("step " << step);
      random_step(world, random, brokers);
    }
    world.check_replay();
    unclean += world.unclean_elections;
    eligible += world.eligible_elections;
    reassigned += world.reassignments_done;
    refused += world.refusals;
    lost += world.logs_lost;
  }
  // What must have been met, or the test has looked at nothing.
  CHECK(unclean > 50);
  CHECK(eligible > 50);
  CHECK(reassigned > 10);
  CHECK(refused > 50);
  CHECK(lost > 50);
}

TEST_CASE("the first thousands of states that three brokers and one partition can come into keep the rules",
          "[cluster_model]") {
  // Goal: breadth first, all short histories of crashes, fences, restarts, heartbeats, writes, ISR changes, elections and a reassignment.
  const auto flush = GENERATE(std::string{"fsync"}, std::string{"interval"});
  const auto minimum = GENERATE(std::string{"1"}, std::string{"2"});
  World first{3};
  first.create("t", {{1, 2}}, {{"flush", flush}, {"min.insync.replicas", minimum}});
  const auto id = first.partitions()[0];
  std::unordered_set<std::string> seen{first.key()};
  std::deque<World> open;
  open.push_back(std::move(first));
  constexpr std::size_t states_max = 2'000;
  const auto visit = [&](World&& world) {
    if (seen.size() < states_max && seen.insert(world.key()).second) open.push_back(std::move(world));
  };
  const auto attempt = [&](const World& world, auto step) {
    auto next = world;
    if (step(next)) visit(std::move(next));
  };
  while (!open.empty()) {
    const auto world = std::move(open.front());
    open.pop_front();
    INFO("flush = " << flush << ", minimum " << minimum << ", from " << world.key());
    const auto leader = world.partition(id).leader;
    if (leader != no_broker && world.held(id, leader) < 2) attempt(world, [&](World& next) { return next.write(id); });
    for (const BrokerId broker : {BrokerId{1}, BrokerId{2}, BrokerId{3}}) {
      attempt(world, [&](World& next) { return next.follow(id, broker); });
      attempt(world, [&](World& next) { return next.shrink(id, broker); });
      attempt(world, [&](World& next) { return next.crash(broker, 0); });
      attempt(world, [&](World& next) { return next.fence(broker); });
      attempt(world, [&](World& next) { return next.restart(broker); });
      attempt(world, [&](World& next) { return next.heartbeat(broker); });
      attempt(world, [&](World& next) { return next.elect(id, broker, false); });
    }
    attempt(world, [&](World& next) { return next.reassign(id, ids_of({3, 1})); });
    attempt(world, [&](World& next) { return next.reassign(id, std::nullopt); });
  }
  CHECK(seen.size() >= 1'000);
}
