#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/group/group_fixture.hpp"

/// Members of the classic group "g" that speak in one line.
namespace troupe::test {

class ClassicFixture : public GroupFixture {
 public:
  using Call = group::CallToken;
  using GroupFixture::beat;

  explicit ClassicFixture(group::GroupCoordinator::Options with = at_once()) : GroupFixture(with) {}

  /// Without a delay before the first generation.
  static group::GroupCoordinator::Options at_once() {
    group::GroupCoordinator::Options options;
    options.initial_rebalance_delay_ms = 0;
    return options;
  }

  group::ClassicJoinRequest request(std::string member = {}, std::string metadata = "m") {
    group::ClassicJoinRequest one;
    one.group = "g";
    one.member = std::move(member);
    one.client_id = "app";
    one.client_host = "/127.0.0.1";
    one.protocol_type = "consumer";
    one.protocols = {{"range", std::move(metadata)}};
    one.session_timeout_ms = 10'000;
    one.rebalance_timeout_ms = 60'000;
    one.fresh = new_uuid();
    return one;
  }
  group::ClassicJoinRequest static_request(std::string instance) {
    auto one = request();
    one.instance_id = std::move(instance);
    return one;
  }

  Call start(const group::ClassicJoinRequest& one) {
    run([&](group::Turn& turn) { return coordinator->join(one, ++last_call, now, turn), 0; });
    return last_call;
  }
  Call start_sync(const std::string& member, std::int32_t generation, std::vector<group::ClassicAssignment> assignments = {},
                  std::string instance = {}) {
    group::ClassicSyncRequest one{"g", member, std::move(instance), group::GroupEpoch{generation}, {}, {}, {}};
    one.assignments = std::move(assignments);
    return start(one);
  }
  Call start(const group::ClassicSyncRequest& one) {
    run([&](group::Turn& turn) { return coordinator->sync(one, ++last_call, now, turn), 0; });
    return last_call;
  }

  bool waits(Call call) const { return !delivered.contains(call); }
  template <class Answer>
  Answer told(Call call) const {
    REQUIRE(delivered.contains(call));
    const auto& answer = delivered.at(call);
    INFO((answer ? std::string() : to_string(answer.error())));
    REQUIRE(answer);
    REQUIRE(std::holds_alternative<Answer>(*answer));
    return std::get<Answer>(*answer);
  }
  group::ClassicJoinAnswer joined(Call call) const { return told<group::ClassicJoinAnswer>(call); }
  group::ClassicSyncAnswer synced(Call call) const { return told<group::ClassicSyncAnswer>(call); }
  Errc refused(Call call) const {
    REQUIRE(delivered.contains(call));
    return delivered.at(call) ? Errc::unknown_error : delivered.at(call).error().code;
  }

  /// unknown_error: taken.
  Errc beat(const std::string& member, std::int32_t generation, const std::string& instance = {}) {
    const group::ClassicHeartbeatRequest one{"g", member, instance, group::GroupEpoch{generation}};
    const auto said = run([&](group::Turn& turn) { return coordinator->heartbeat(one, now, turn); });
    return said ? Errc::unknown_error : said.error().code;
  }
  std::vector<Errc> leave(std::vector<group::ClassicLeaver> members) {
    std::vector<Errc> codes;
    const group::ClassicLeaveRequest one{"g", std::move(members)};
    for (const auto& said : run([&](group::Turn& turn) { return coordinator->leave(one, now, turn); })) {
      codes.push_back(said ? Errc::unknown_error : said.error().code);
    }
    return codes;
  }
  Errc commits(const group::Committer& who, std::int64_t offset = 5, const std::string& topic = "orders") {
    const group::OffsetToCommit one{topic, PartitionId{0}, Offset{offset}, no_leader_epoch, {}, 0};
    const auto said = run([&](group::Turn& turn) { return coordinator->commit({"g", who, {one}}, now, turn); });
    if (!said) return said.error().code;
    return said->front() ? Errc::unknown_error : said->front().error().code;
  }

  /// Lets that much pass in steps in which everybody in `alive` heartbeats.
  void live(Millis time, const std::vector<std::pair<std::string, std::int32_t>>& alive, Millis step = 3'000) {
    for (Millis passed = 0; passed < time; passed += step) {
      pass(std::min(step, time - passed));
      for (const auto& [member, generation] : alive) beat(member, generation);
    }
  }

  group::GroupDescription group() const { return *coordinator->describe("g"); }
  group::GroupState state() const { return group().state; }
  std::vector<std::string> members() const {
    std::vector<std::string> ids;
    for (const auto& one : group().members) ids.push_back(one.member);
    return ids;
  }

  /// Members that are together in a stable generation, the first one leads; each has got its own id as its assignment.
  std::vector<std::string> stable(std::size_t count) {
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; ++i) {
      const auto newcomer = start(request());
      for (const auto& id : ids) start(request(id));
      ids.push_back(joined(newcomer).member);
    }
    sync_all(ids);
    return ids;
  }
  void sync_all(const std::vector<std::string>& ids) {
    const auto generation = group().epoch.value();
    std::vector<group::ClassicAssignment> assignments;
    for (const auto& id : ids) assignments.push_back({id, id});
    for (const auto& id : ids) {
      const auto is_leader = id == group().leader;
      start_sync(id, generation, is_leader ? assignments : std::vector<group::ClassicAssignment>{});
    }
    REQUIRE(state() == group::GroupState::stable);
  }

  Call last_call = 0;
};

inline constexpr auto taken = Errc::unknown_error;

}  // namespace troupe::test
