#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/group/group_coordinator.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

/// A coordinator, the log that it writes, and members that speak to it in one line.
namespace troupe::test {

inline group::MemberProfile reads(std::vector<std::string> topics, std::string instance = {}) {
  group::MemberProfile profile;
  profile.topics = std::move(topics);
  profile.instance_id = std::move(instance);
  return profile;
}

class GroupFixture {
 public:
  explicit GroupFixture(group::GroupCoordinator::Options with = {}) : options(with), image(cluster_image()) {
    coordinator = std::make_unique<group::GroupCoordinator>(options, image);
    group::Turn turn;
    coordinator->begin(now, turn);
    take(std::move(turn));
  }

  /// Calls `handler(turn)`, and puts what it wrote into the log.
  template <class Handler>
  auto run(Handler handler) {
    group::Turn turn;
    auto answer = handler(turn);
    take(std::move(turn));
    return answer;
  }

  /// Topics before there is anybody.
  GroupFixture& topic(const std::string& name, std::int32_t partitions) {
    CreateTopicRequest request;
    request.name = name;
    request.partitions = partitions;
    change(with_topic(image, request, new_uuid));
    return *this;
  }

  void change(const metadata::ImagePtr& next) {
    metadata::ImageDelta delta{image, next, {}, {}, {}};
    next->for_each_topic([&](const metadata::TopicPtr& topic) {
      const auto before = image->find_topic(topic->id);
      if (before == nullptr) delta.created.push_back(topic);
      if (before != nullptr && *before != *topic) delta.changed.push_back(topic);
    });
    image->for_each_topic([&](const metadata::TopicPtr& topic) {
      if (next->find_topic(topic->id) == nullptr) delta.deleted.push_back(topic);
    });
    image = next;
    group::Turn turn;
    coordinator->update(delta, now, turn);
    take(std::move(turn));
  }

  TopicIdPartition at(const std::string& topic, std::int32_t partition) const {
    return {image->find_topic(topic)->id, PartitionId{partition}};
  }

  Result<group::HeartbeatAnswer> beat(const group::HeartbeatRequest& request) {
    return run([&](group::Turn& turn) { return coordinator->heartbeat(request, now, turn); });
  }
  Result<group::HeartbeatAnswer> join(const std::string& member, group::MemberProfile profile) {
    return beat({"g", member, group::joining, std::move(profile), {}});
  }
  Result<std::vector<Status>> commit(const std::string& member, std::int32_t epoch, const std::string& topic,
                                     std::int32_t partition, std::int64_t offset, std::int32_t reset_epoch = 0) {
    group::OffsetToCommit one{topic, PartitionId{partition}, Offset{offset}, no_leader_epoch, {}, reset_epoch};
    return run([&](group::Turn& turn) {
      return coordinator->commit({"g", {member, group::GroupEpoch{epoch}}, {one}}, now, turn);
    });
  }
  std::optional<group::CommittedOffset> committed(const std::string& topic, std::int32_t partition) const {
    return coordinator->offsets({"g", {}, std::vector<group::GroupPartition>{{topic, PartitionId{partition}}}})
        ->front()
        .second;
  }

  void pass(Millis time) {
    now.monotonic = now.monotonic + time;
    now.wall = now.wall + time;
    group::Turn turn;
    coordinator->on_deadline(now, turn);
    take(std::move(turn));
  }

  /// The next coordinator, from what is in the log; first `compact`ed: the last record of each key.
  void fail_over(bool compact = false) {
    coordinator = std::make_unique<group::GroupCoordinator>(options, image);
    std::set<ByteBuffer> seen;
    std::vector<const group::EncodedRecord*> kept;
    for (auto record = log.rbegin(); record != log.rend(); ++record) {
      if (!compact || seen.insert(record->key).second) kept.push_back(&*record);
    }
    for (auto record = kept.rbegin(); record != kept.rend(); ++record) {
      const auto value = (*record)->value ? std::optional<ByteView>{*(*record)->value} : std::nullopt;
      const auto decoded = group::decode((*record)->key, value);
      REQUIRE(decoded);
      coordinator->replay(**decoded);
    }
    group::Turn turn;
    coordinator->begin(now, turn);
    take(std::move(turn));
  }

  bool was_nudged(const std::string& member) const {
    return std::ranges::find(nudged, group::MemberName{"g", member}) != nudged.end();
  }

  std::function<Uuid()> new_uuid = ids();
  group::GroupCoordinator::Options options;
  metadata::ImagePtr image;
  group::Now now{MonotonicMs{0}, TimestampMs{1'700'000'000'000}};
  std::unique_ptr<group::GroupCoordinator> coordinator;
  std::vector<group::EncodedRecord> log;
  std::vector<group::MemberName> nudged;  ///< by the last turn
  std::map<group::CallToken, Result<group::ClassicAnswer>> delivered;

 private:
  void take(group::Turn turn) {
    for (const auto& record : turn.records) log.push_back(group::encode(record));
    nudged = std::move(turn.nudged);
    for (auto& one : turn.delivered) REQUIRE(delivered.emplace(one.call, std::move(one.answer)).second);
  }
};

/// The partitions of an answer, in order; empty when it says nothing new.
inline group::PartitionList partitions_of(const group::HeartbeatAnswer& answer) {
  group::PartitionList list;
  if (answer.assignment) {
    for (const auto& one : *answer.assignment) list.push_back(one.partition);
  }
  return list;
}

}  // namespace troupe::test
