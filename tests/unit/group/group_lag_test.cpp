#include "core/group/group_lag.hpp"

#include "tests/unit/group/group_fixture.hpp"

// How far a group is behind.
namespace troupe::group {
namespace {

PartitionLag at(std::optional<std::int64_t> committed, std::optional<std::int64_t> start, std::optional<std::int64_t> end) {
  PartitionLag one;
  if (committed) one.committed = CommittedOffset{.offset = Offset{*committed}};
  if (start) one.log_start = Offset{*start};
  if (end) one.log_end = Offset{*end};
  return one;
}

}  // namespace

TEST_CASE("a partition's lag is what waits in it", "[group_lag]") {
  CHECK(at(3, 0, 10).lag() == 7);
  CHECK(at(10, 0, 10).lag() == 0);
  CHECK(at(2, 5, 10).lag() == 5);   // what retention took does not wait
  CHECK(at(12, 0, 10).lag() == 0);  // the log lost its end
  CHECK_FALSE(at({}, 0, 10).lag());
  CHECK_FALSE(at(3, {}, {}).lag());
  CHECK(at(3, {}, 10).lag() == 7);
}

TEST_CASE("the summary is the sum, and where it is most", "[group_lag]") {
  const std::vector<PartitionLag> partitions{at(1, 0, 4), at({}, 0, 100), at(0, 0, 9), at(1, 0, 10)};
  const auto summary = summarise(partitions);
  CHECK(summary.total == 3 + 9 + 9);
  CHECK(summary.counted == 3);
  CHECK(summary.most == &partitions[2]);
  CHECK(summarise({at({}, 0, 1)}).most == nullptr);
  const std::vector<PartitionLag> even{at(4, 0, 4)};
  CHECK(summarise(even).most == &even[0]);
}

TEST_CASE("a group's partitions are those it has committed and those its members own", "[group_lag]") {
  test::GroupFixture group;
  group.topic("orders", 2).topic("rides", 1);
  auto profile = test::reads({"orders"}, "worker-1");
  profile.client_id = "worker";
  profile.client_host = "10.0.0.1";
  REQUIRE(group.join("a", profile));
  const CommittedOffset offset{.offset = Offset{5}};
  const auto all =
      partitions_of_group(*group.coordinator->describe("g"),
                          {{{"orders", PartitionId{1}}, offset}, {{"rides", PartitionId{0}}, offset}}, *group.image);
  REQUIRE(all.size() == 3);
  CHECK(all[0].partition == GroupPartition{"orders", PartitionId{0}});
  CHECK_FALSE(all[0].committed);
  CHECK(all[0].member == "a");
  CHECK(all[0].instance_id == "worker-1");
  CHECK(all[0].client_id == "worker");
  CHECK(all[0].client_host == "10.0.0.1");
  CHECK(all[1].partition == GroupPartition{"orders", PartitionId{1}});
  CHECK(all[1].committed->offset == Offset{5});
  CHECK(all[1].member == "a");
  CHECK(all[2].partition.topic == "rides");
  CHECK(all[2].member.empty());
}

}  // namespace troupe::group
