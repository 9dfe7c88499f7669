#include "core/group/group_instances.hpp"

#include "tests/unit/group/group_fixture.hpp"

// Consumer instances of the REST proxy: which node has each. docs/decisions/0027
namespace troupe::group {
namespace {

using Kind = InstanceRequest::Kind;

struct InstancesFixture : test::GroupFixture {
  explicit InstancesFixture(GroupCoordinator::Options with = {}) : GroupFixture(with) { topic("t", 2); }

  Result<InstanceEntry> ask(int node, Kind kind, std::int32_t epoch = 0, const std::string& definition = "d",
                            const std::string& name = "c") {
    InstanceRequest request{kind, "g", name, epoch, {}};
    if (kind == Kind::make || kind == Kind::save) {
      const auto bytes = as_bytes(definition);
      request.definition.assign(bytes.begin(), bytes.end());
    }
    return run([&](Turn& turn) { return coordinator->instance(request, BrokerId{node}, now, turn); });
  }
  /// The member that the instance reads with on some node.
  Result<HeartbeatAnswer> join_as(const std::string& member) {
    return join(member, test::reads({"t"}, member_instance_of("c")));
  }
};

}  // namespace

TEST_CASE("an instance is made once, and found on any node", "[instances]") {
  InstancesFixture fixture;
  CHECK(fixture.ask(1, Kind::find).error().code == Errc::not_found);
  const auto made = fixture.ask(1, Kind::make);
  REQUIRE(made);
  CHECK(made->host == BrokerId{1});
  CHECK(made->epoch == 1);
  // The answer got lost, and it asks again; another node does not get it.
  CHECK(fixture.ask(1, Kind::make).value() == made.value());
  CHECK(fixture.ask(1, Kind::make, 0, "other").error().code == Errc::conflict);
  CHECK(fixture.ask(2, Kind::make).error().code == Errc::conflict);
  CHECK(fixture.ask(3, Kind::find).value() == made.value());
  CHECK(fixture.ask(1, Kind::make, 0, "d", "no name").error().code == Errc::invalid_argument);
  // The group is no group because of it.
  CHECK(fixture.coordinator->list().empty());

  REQUIRE(fixture.ask(1, Kind::save, 1, "more"));
  fixture.fail_over(true);
  CHECK(as_text(fixture.ask(2, Kind::find)->definition) == "more");
  REQUIRE(fixture.ask(1, Kind::remove, 1));
  CHECK(fixture.ask(1, Kind::remove, 1).error().code == Errc::not_found);
  fixture.fail_over(true);
  CHECK(fixture.ask(1, Kind::find).error().code == Errc::not_found);
}

TEST_CASE("of two nodes that claim an instance one has it, and the old one may do nothing more", "[instances]") {
  InstancesFixture fixture;
  REQUIRE(fixture.ask(1, Kind::make));
  const auto second = fixture.ask(2, Kind::claim, 1);
  REQUIRE(second);
  CHECK(second->host == BrokerId{2});
  CHECK(second->epoch == 2);
  CHECK(as_text(second->definition) == "d");
  // Late: it hears who has it. Once more: it has it.
  CHECK(fixture.ask(3, Kind::claim, 1).value() == second.value());
  CHECK(fixture.ask(2, Kind::claim, 1).value() == second.value());
  for (const auto kind : {Kind::save, Kind::keep, Kind::remove}) {
    CHECK(fixture.ask(1, kind, 1).error().code == Errc::fenced_instance_id);
    CHECK(fixture.ask(3, kind, 2).error().code == Errc::fenced_instance_id);
  }
  fixture.fail_over();
  CHECK(fixture.ask(3, Kind::find).value() == second.value());
  CHECK(fixture.ask(2, Kind::keep, 2));
}

TEST_CASE("who takes an instance over is its member, with all that it had, and nobody else is moved", "[instances]") {
  InstancesFixture fixture;
  REQUIRE(fixture.ask(1, Kind::make));
  REQUIRE(fixture.join_as("run-1"));
  const auto all = test::partitions_of(*fixture.beat({"g", "run-1", GroupEpoch{1}, {}, PartitionList{}}));
  CHECK(all.size() == 2);
  // Without a claim there is no way past it.
  CHECK(fixture.join_as("run-2").error().code == Errc::unreleased_instance_id);

  REQUIRE(fixture.ask(2, Kind::claim, 1));
  const auto epoch = fixture.coordinator->describe("g")->epoch;
  const auto joined = fixture.join_as("run-2");
  REQUIRE(joined);
  CHECK(test::partitions_of(*joined) == all);
  CHECK(fixture.coordinator->describe("g")->epoch == epoch);
  CHECK(fixture.beat({"g", "run-1", joined->epoch, {}, {}}).error().code == Errc::unknown_member_id);
  CHECK(fixture.join_as("run-1").error().code == Errc::unreleased_instance_id);
  // A claim that lost changes nothing for the member.
  REQUIRE(fixture.ask(3, Kind::claim, 1));
  CHECK(fixture.beat({"g", "run-2", joined->epoch, {}, {}}));
}

TEST_CASE("an instance that nobody keeps is forgotten, also when its node is gone", "[instances]") {
  GroupCoordinator::Options options;
  options.instances.idle_ms_max = 120'000;
  InstancesFixture fixture(options);
  REQUIRE(fixture.ask(1, Kind::make));
  REQUIRE(fixture.ask(1, Kind::make, 0, "d", "kept"));
  fixture.pass(90'000);
  REQUIRE(fixture.ask(1, Kind::keep, 1, "", "kept"));
  fixture.pass(60'000);
  CHECK(fixture.ask(2, Kind::find).error().code == Errc::not_found);
  CHECK(fixture.ask(2, Kind::find, 0, "", "kept"));
  // A successor gives it its full time again.
  fixture.fail_over();
  fixture.pass(60'000);
  CHECK(fixture.ask(2, Kind::find, 0, "", "kept"));
  fixture.pass(60'000);
  CHECK(fixture.ask(2, Kind::find, 0, "", "kept").error().code == Errc::not_found);
}

TEST_CASE("instances go with their group, and are bounded", "[instances]") {
  GroupCoordinator::Options options;
  options.instances.instances_max = 2;
  options.instances.definition_bytes_max = 10;
  InstancesFixture fixture(options);
  CHECK(fixture.ask(1, Kind::make, 0, "more than ten").error().code == Errc::message_too_large);
  REQUIRE(fixture.ask(1, Kind::make));
  REQUIRE(fixture.ask(1, Kind::make, 0, "d", "d"));
  CHECK(fixture.ask(1, Kind::make, 0, "d", "e").error().code == Errc::policy_violation);
  REQUIRE(fixture.join("m", test::reads({"t"})));
  REQUIRE(fixture.beat({"g", "m", leaving, {}, {}}));
  REQUIRE(fixture.run([&](Turn& turn) { return fixture.coordinator->delete_group("g", turn); }));
  CHECK(fixture.ask(1, Kind::find).error().code == Errc::not_found);
  fixture.fail_over();
  CHECK(fixture.ask(1, Kind::find, 0, "", "d").error().code == Errc::not_found);
}

}  // namespace troupe::group
