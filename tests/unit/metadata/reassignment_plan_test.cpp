#include "core/metadata/reassignment_plan.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::metadata;

namespace {

std::vector<BrokerId> ids(std::initializer_list<int> numbers) {
  std::vector<BrokerId> all;
  for (const int number : numbers) all.emplace_back(number);
  return all;
}

std::vector<PlanBroker> brokers(std::initializer_list<int> numbers) {
  std::vector<PlanBroker> all;
  for (const int number : numbers) all.push_back({BrokerId{number}});
  return all;
}

/// Partitions of one topic, in order.
std::vector<ReplicaPlan> topic(const std::string& name, const std::vector<std::vector<BrokerId>>& replicas) {
  std::vector<ReplicaPlan> all;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    all.push_back({name, PartitionId{static_cast<std::int32_t>(i)}, replicas[i]});
  }
  return all;
}

std::vector<ReplicaPlan> carried_out(std::vector<ReplicaPlan> now, const std::vector<ReplicaPlan>& changes) {
  for (const auto& change : changes) {
    const auto place = std::ranges::find_if(
        now, [&](const auto& one) { return one.topic == change.topic && one.partition == change.partition; });
    REQUIRE(place != now.end());
    CHECK(place->replicas != change.replicas);
    *place = change;
  }
  return now;
}

std::size_t moves(const std::vector<ReplicaPlan>& before, const std::vector<ReplicaPlan>& after) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    for (const auto broker : after[i].replicas) {
      const auto& old = before[i].replicas;
      count += std::ranges::find(old, broker) == old.end() ? 1U : 0U;
    }
  }
  return count;
}

struct Spread {
  std::map<BrokerId, std::size_t> copies = {}, leads = {};
  static std::size_t difference(const std::map<BrokerId, std::size_t>& counts) {
    std::size_t least = counts.begin()->second, most = least;
    for (const auto& [broker, count] : counts) {
      least = std::min(least, count);
      most = std::max(most, count);
    }
    return most - least;
  }
};

Spread spread(const std::vector<ReplicaPlan>& all, const std::vector<PlanBroker>& on) {
  Spread result;
  for (const auto& broker : on) result.copies[broker.id] = result.leads[broker.id] = 0;
  for (const auto& one : all) {
    for (const auto broker : one.replicas) ++result.copies.at(broker);
    ++result.leads.at(one.replicas.front());
  }
  return result;
}

}  // namespace

TEST_CASE("what is balanced stays as it is", "[reassignment_plan]") {
  const auto now = topic("t", {ids({1, 2}), ids({2, 3}), ids({3, 1})});
  CHECK(plan_reassignment(now, brokers({1, 2, 3}))->empty());
  CHECK(plan_reassignment({}, brokers({1}))->empty());
}

TEST_CASE("a new broker gets its share by as few moves as that takes", "[reassignment_plan]") {
  const auto now = topic("t", {ids({1, 2}), ids({2, 3}), ids({3, 1}), ids({1, 3}), ids({2, 1}), ids({3, 2})});
  const auto plan = plan_reassignment(now, brokers({1, 2, 3, 4}));
  REQUIRE(plan);
  const auto after = carried_out(now, *plan);
  CHECK(moves(now, after) == 3);
  const auto counts = spread(after, brokers({1, 2, 3, 4}));
  CHECK(counts.copies.at(BrokerId{4}) == 3);
  CHECK(Spread::difference(counts.leads) <= 1);
}

TEST_CASE("copies of a broker that is to go are spread over the others, and nothing else moves", "[reassignment_plan]") {
  const auto now = topic("t", {ids({1, 2, 3}), ids({2, 3, 4}), ids({3, 4, 1}), ids({4, 1, 2})});
  const auto plan = plan_reassignment(now, brokers({1, 2, 3}));
  REQUIRE(plan);
  const auto after = carried_out(now, *plan);
  CHECK(moves(now, after) == 3);
  for (const auto& one : after) {
    CHECK(std::set<BrokerId>(one.replicas.begin(), one.replicas.end()).size() == 3);
    CHECK(std::ranges::find(one.replicas, BrokerId{4}) == one.replicas.end());
  }
}

TEST_CASE("leaderships are evened out by the order of replicas alone", "[reassignment_plan]") {
  const auto now = topic("t", {ids({1, 2}), ids({1, 2}), ids({1, 2}), ids({1, 2})});
  const auto plan = plan_reassignment(now, brokers({1, 2}));
  REQUIRE(plan);
  CHECK(plan->size() == 2);
  CHECK(moves(now, carried_out(now, *plan)) == 0);
  // Broker 1 has no partition with broker 3: its leadership goes by way of broker 2.
  const auto chain = topic("t", {ids({1, 2}), ids({1, 2}), ids({2, 3}), ids({3, 2})});
  const auto linked =
      topic("t", {ids({1, 2}), ids({1, 2}), ids({1, 2}), ids({2, 3}), ids({2, 3}), ids({4, 3}), ids({4, 1}), ids({3, 4})});
  for (const auto& each : {chain, linked}) {
    const auto on = &each == &chain ? brokers({1, 2, 3}) : brokers({1, 2, 3, 4});
    const auto after = carried_out(each, *plan_reassignment(each, on));
    CHECK(Spread::difference(spread(after, on).leads) <= 1);
  }
}

TEST_CASE("a copy does not move into a rack that has one already", "[reassignment_plan]") {
  const std::vector<PlanBroker> racks{{BrokerId{1}, "a"}, {BrokerId{2}, "a"}, {BrokerId{3}, "b"}, {BrokerId{4}, "b"}};
  const auto now = topic("t", {ids({1, 3}), ids({1, 3}), ids({3, 1}), ids({3, 1})});
  const auto after = carried_out(now, *plan_reassignment(now, racks));
  const auto rack_of = [&](BrokerId broker) { return broker.value() <= 2 ? 'a' : 'b'; };
  for (const auto& one : after) CHECK(rack_of(one.replicas[0]) != rack_of(one.replicas[1]));
  CHECK(Spread::difference(spread(after, racks).copies) == 0);
  CHECK(moves(now, after) == 4);
  // The broker that takes over stands in the rack of the one that goes, though the other rack has an emptier one.
  const std::vector<PlanBroker> three{{BrokerId{2}, "a"}, {BrokerId{3}, "b"}, {BrokerId{4}, "b"}};
  const auto replaced = carried_out(topic("t", {ids({1, 3})}), *plan_reassignment(topic("t", {ids({1, 3})}), three));
  CHECK(std::ranges::find(replaced[0].replicas, BrokerId{2}) != replaced[0].replicas.end());
}

TEST_CASE("each topic goes over all brokers, not only all topics together", "[reassignment_plan]") {
  auto now = topic("a", {ids({1}), ids({1}), ids({1}), ids({1})});
  for (auto& one : topic("b", {ids({1}), ids({1}), ids({1}), ids({1})})) now.push_back(one);
  const auto after = carried_out(now, *plan_reassignment(now, brokers({1, 2})));
  for (const std::string name : {"a", "b"}) {
    const auto here =
        std::ranges::count_if(after, [&](const auto& one) { return one.topic == name && one.replicas[0] == BrokerId{2}; });
    CHECK(here == 2);
  }
}

TEST_CASE("a plan that cannot be is refused with the reason", "[reassignment_plan]") {
  const auto now = topic("t", {ids({1, 2})});
  CHECK(plan_reassignment(now, {}).error().code == Errc::invalid_replica_assignment);
  CHECK(plan_reassignment(now, brokers({1, 1})).error().message == "broker 1 is named twice");
  CHECK(plan_reassignment(now, brokers({1})).error().message ==
        "partition 0 of topic t has 2 replicas, and there are 1 brokers for them");
  CHECK_FALSE(plan_reassignment(topic("t", {{}}), brokers({1})));
}

TEST_CASE("random clusters become even, and moving back and forth ends", "[reassignment_plan]") {
  const auto seed = test::seed_or(20261122);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  for (int round = 0; round < 200; ++round) {
    const auto before = 1 + static_cast<int>(prng.below(8)), after_count = 1 + static_cast<int>(prng.below(8));
    const auto copies = 1 + prng.below(static_cast<std::uint64_t>(std::min({before, after_count, 4})));
    std::vector<ReplicaPlan> now;
    for (int partition = 0; partition < static_cast<int>(1 + prng.below(40)); ++partition) {
      ReplicaPlan one{"t" + std::to_string(prng.below(3)), PartitionId{partition}};
      while (one.replicas.size() < copies) {
        const BrokerId broker{1 + static_cast<std::int32_t>(prng.below(static_cast<std::uint64_t>(before)))};
        if (std::ranges::find(one.replicas, broker) == one.replicas.end()) one.replicas.push_back(broker);
      }
      now.push_back(std::move(one));
    }
    std::vector<PlanBroker> on;
    const int first = 1 + static_cast<int>(prng.below(3));
    for (int i = 0; i < after_count; ++i) on.push_back({BrokerId{first + i}});

    const auto plan = plan_reassignment(now, on);
    REQUIRE(plan);
    const auto after = carried_out(now, *plan);
    for (std::size_t i = 0; i < now.size(); ++i) {
      CHECK(after[i].replicas.size() == now[i].replicas.size());
      CHECK(std::set<BrokerId>(after[i].replicas.begin(), after[i].replicas.end()).size() == copies);
    }
    const auto counts = spread(after, on);
    CHECK(Spread::difference(counts.copies) <= 1);
    CHECK(Spread::difference(counts.leads) <= 1);
    // Hardly fewer moves do: what was elsewhere has to move, and a broker gives what it has above its share.
    std::size_t least = 0;
    std::map<BrokerId, std::size_t> had;
    for (const auto& broker : on) had[broker.id] = 0;
    std::size_t total = 0;
    for (const auto& one : now) {
      for (const auto broker : one.replicas) {
        ++total;
        had.contains(broker) ? ++had[broker] : ++least;
      }
    }
    const auto floor = total / on.size();
    std::size_t over = 0, at_ceiling = total % on.size();
    std::vector<std::size_t> sorted;
    for (const auto& [broker, count] : had) sorted.push_back(count);
    std::ranges::sort(sorted, std::greater<>());
    for (const auto count : sorted) {
      const auto share = floor + (at_ceiling > 0 ? 1 : 0);
      if (at_ceiling > 0) --at_ceiling;
      over += count > share ? count - share : 0;
    }
    CHECK(moves(now, after) >= least + over);
    CHECK(moves(now, after) <= least + over + 2);  // a copy cannot always go straight to where one is missing
    CHECK(plan_reassignment(after, on)->empty());
  }
}
