#include "core/group/assignor.hpp"

#include <algorithm>
#include <numeric>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

namespace troupe::group {
namespace {

TopicId topic(std::uint8_t number) { return TopicId{{number}}; }

TopicIdPartition at(std::uint8_t of_topic, std::int32_t number) { return {topic(of_topic), PartitionId{number}}; }

/// A group that is assigned again and again.
struct Round {
  std::vector<AssignorMember> members = {};
  std::map<TopicId, std::int32_t> partitions = {};
  std::function<std::uint64_t(const TopicIdPartition&)> load = {};
  std::vector<PartitionList> had = {};

  void add(std::string name, std::vector<TopicId> topics) {
    std::ranges::sort(topics);
    members.push_back({std::move(name), std::move(topics), nullptr});
    had.emplace_back();
  }
  void drop(std::size_t member) {
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(member));
    had.erase(had.begin() + static_cast<std::ptrdiff_t>(member));
  }
  const std::vector<PartitionList>& assign(const Assignor& assignor) {
    for (std::size_t at = 0; at < members.size(); ++at) members[at].had = &had[at];
    auto lists = assignor.assign({members, partitions, load});
    had = std::move(lists);
    return had;
  }

  /// Each partition with a reader has one, and nobody has what it does not read.
  void check_complete() const {
    std::map<TopicIdPartition, int> owners;
    for (std::size_t member = 0; member < had.size(); ++member) {
      REQUIRE(std::ranges::is_sorted(had[member]));
      for (const auto& partition : had[member]) {
        REQUIRE(std::ranges::binary_search(members[member].topics, partition.topic_id));
        ++owners[partition];
      }
    }
    for (const auto& [id, count] : partitions) {
      const bool is_read =
          std::ranges::any_of(members, [&](const auto& one) { return std::ranges::binary_search(one.topics, id); });
      for (std::int32_t number = 0; number < count; ++number) {
        REQUIRE(owners[{id, PartitionId{number}}] == (is_read ? 1 : 0));
      }
    }
    std::size_t real = 0;
    for (const auto& [partition, count] : owners) real += count > 0 ? 1U : 0U;
    std::size_t all = 0;
    for (const auto& [id, count] : partitions) all += static_cast<std::size_t>(count);
    REQUIRE(real <= all);
  }
};

std::size_t kept(const std::vector<PartitionList>& before, const std::vector<PartitionList>& after) {
  std::size_t count = 0;
  for (std::size_t member = 0; member < after.size(); ++member) count += in_both(before[member], after[member]).size();
  return count;
}

/// The most that any assignment can keep in which counts differ by one at most: those with most have the larger share.
std::size_t most_that_can_stay(const std::vector<PartitionList>& before, std::size_t all) {
  std::vector<std::size_t> sizes;
  for (const auto& list : before) sizes.push_back(list.size());
  std::ranges::sort(sizes, std::ranges::greater{});
  std::size_t count = 0;
  for (std::size_t member = 0; member < sizes.size(); ++member) {
    const auto share = all / sizes.size() + (member < all % sizes.size() ? 1 : 0);
    count += std::min(sizes[member], share);
  }
  return count;
}

}  // namespace

TEST_CASE("uniform: shares of equal readers differ by one, and no more moves than must", "[group]") {
  const auto seed = test::seed_or(54);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int run = 0; run < 100; ++run) {
    Round round;
    const std::vector<TopicId> topics{topic(1), topic(2), topic(3)};
    for (const auto& id : topics) round.partitions[id] = static_cast<std::int32_t>(random.between(1, 9));
    std::size_t next_name = 0;
    for (int change = 0; change < 20; ++change) {
      if (round.members.empty() || random.chance(3, 5)) {
        round.add("m" + std::to_string(next_name++), topics);
      } else {
        round.drop(random.below(round.members.size()));
      }
      if (round.members.empty()) continue;
      const auto before = round.had;
      const auto& after = round.assign(uniform_assignor());
      round.check_complete();
      std::size_t all = 0;
      for (const auto& list : after) all += list.size();
      const auto [least, most] = std::ranges::minmax(after, {}, &PartitionList::size);
      REQUIRE(most.size() - least.size() <= 1);
      REQUIRE(kept(before, after) == most_that_can_stay(before, all));
    }
  }
}

TEST_CASE("uniform: with different subscriptions nobody could take one off somebody with two more", "[group]") {
  const auto seed = test::seed_or(55);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int run = 0; run < 200; ++run) {
    Round round;
    for (std::uint8_t id = 1; id <= 4; ++id) round.partitions[topic(id)] = static_cast<std::int32_t>(random.between(1, 6));
    const auto members = random.between(1, 6);
    for (std::int64_t member = 0; member < members; ++member) {
      std::vector<TopicId> topics;
      for (std::uint8_t id = 1; id <= 4; ++id) {
        if (random.chance(1, 2)) topics.push_back(topic(id));
      }
      round.add("m" + std::to_string(member), topics);
    }
    const auto& lists = round.assign(uniform_assignor());
    round.check_complete();
    for (std::size_t heavy = 0; heavy < lists.size(); ++heavy) {
      for (const auto& partition : lists[heavy]) {
        for (std::size_t other = 0; other < lists.size(); ++other) {
          if (!std::ranges::binary_search(round.members[other].topics, partition.topic_id)) continue;
          REQUIRE(lists[other].size() + 1 >= lists[heavy].size());
        }
      }
    }
  }
}

TEST_CASE("uniform: a topic's partitions go round the members", "[group]") {
  Round round;
  round.partitions = {{topic(1), 3}, {topic(2), 3}};
  for (const auto* name : {"a", "b", "c"}) round.add(name, {topic(1), topic(2)});
  for (const auto& list : round.assign(uniform_assignor())) {
    REQUIRE(list.size() == 2);
    CHECK(list[0].topic_id == topic(1));
    CHECK(list[1].topic_id == topic(2));
  }
}

TEST_CASE("uniform: members without topics, topics without members, more members than partitions", "[group]") {
  Round round;
  round.add("a", {});
  CHECK(round.assign(uniform_assignor()).front().empty());
  CHECK(uniform_assignor().assign({}).empty());
  round.partitions = {{topic(1), 1}};
  round.drop(0);
  round.add("a", {topic(1)});
  round.add("b", {topic(1)});
  round.assign(uniform_assignor());
  round.check_complete();
}

TEST_CASE("range: runs of each topic by the members' names, equal numbers together", "[group]") {
  Round round;
  round.partitions = {{topic(1), 5}, {topic(2), 5}};
  round.add("c", {topic(1), topic(2)});
  round.add("a", {topic(1), topic(2)});
  const auto& lists = round.assign(range_assignor());
  CHECK(lists[1] == PartitionList{at(1, 0), at(1, 1), at(1, 2), at(2, 0), at(2, 1), at(2, 2)});
  CHECK(lists[0] == PartitionList{at(1, 3), at(1, 4), at(2, 3), at(2, 4)});
}

TEST_CASE("load: what waits counts, and nothing moves for less than a quarter of a share", "[group]") {
  Round round;
  round.partitions = {{topic(1), 4}};
  round.load = [](const TopicIdPartition& partition) { return partition.partition == PartitionId{0} ? 300U : 100U; };
  round.add("a", {topic(1)});
  round.add("b", {topic(1)});
  const auto& lists = round.assign(load_assignor());
  round.check_complete();
  // 300 against three times 100.
  CHECK(std::ranges::any_of(lists, [](const auto& list) { return list == PartitionList{at(1, 0)}; }));

  const auto before = round.had;
  round.load = [](const TopicIdPartition& partition) { return partition.partition == PartitionId{0} ? 330U : 100U; };
  CHECK(round.assign(load_assignor()) == before);
  round.load = [](const TopicIdPartition& partition) { return partition.partition == PartitionId{3} ? 900U : 100U; };
  CHECK(kept(before, round.assign(load_assignor())) == 2);  // two of the three leave the member with the heavy one
  round.check_complete();
}

TEST_CASE("assignors are found by name", "[group]") {
  CHECK(find_assignor("uniform") == &uniform_assignor());
  CHECK(find_assignor("range") == &range_assignor());
  CHECK(find_assignor("load") == &load_assignor());
  CHECK(find_assignor("sticky") == nullptr);
  CHECK(find_assignor("") == nullptr);
}

}  // namespace troupe::group
