#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <caf/actor.hpp>

#include "actors/handle_slot.hpp"
#include "core/group/consumer_group.hpp"
#include "core/group_api.hpp"

namespace troupe::actors {

/// Who on this node is to hear that a member of a group has news. Any thread.
class GroupListeners {
 public:
  void tell(const std::vector<group::MemberName>& members) const;
  std::uint64_t add(group::MemberName member, std::function<void()> on_news);
  void remove(const group::MemberName& member, std::uint64_t number);

 private:
  mutable std::mutex mutex_;
  std::uint64_t next_ = 1;
  std::map<group::MemberName, std::map<std::uint64_t, std::function<void()>>> listeners_;
};

/// GroupApi over group_desk. Null pointers: a node without groups, where coordinator_not_available is the answer.
class GroupFront final : public GroupApi {
 public:
  GroupFront(std::shared_ptr<const HandleSlot<caf::actor>> desk, std::shared_ptr<GroupListeners> listeners)
      : desk_(std::move(desk)), listeners_(listeners ? std::move(listeners) : std::make_shared<GroupListeners>()) {}

  void heartbeat(group::HeartbeatRequest request, Millis timeout_ms, Reply<group::HeartbeatAnswer> reply) override;
  void commit(group::CommitRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) override;
  void offsets(group::OffsetsRequest request, Millis timeout_ms, Reply<std::vector<group::Position>> reply) override;
  void reset(group::ResetRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) override;
  void pause(group::PauseRequest request, Millis timeout_ms, Reply<Nothing> reply) override;
  void delete_group(std::string group, Millis timeout_ms, Reply<Nothing> reply) override;
  void delete_offsets(std::string group, std::vector<group::GroupPartition> partitions, Millis timeout_ms,
                      Reply<std::vector<Status>> reply) override;
  void describe(std::string group, Millis timeout_ms, Reply<group::GroupDescription> reply) override;
  void instance(group::InstanceRequest request, Millis timeout_ms, Reply<group::InstanceEntry> reply) override;
  void list(Millis timeout_ms, Reply<GroupListings> reply) override;
  void join(group::ClassicJoinRequest request, Millis timeout_ms, Reply<group::ClassicJoinAnswer> reply) override;
  void sync(group::ClassicSyncRequest request, Millis timeout_ms, Reply<group::ClassicSyncAnswer> reply) override;
  void heartbeat(group::ClassicHeartbeatRequest request, Millis timeout_ms, Reply<Nothing> reply) override;
  void leave(group::ClassicLeaveRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) override;
  std::unique_ptr<GroupListening> listen(std::string group, std::string member, std::function<void()> on_news) override;

 private:
  class Listening;
  template <class Call>
  void send(Call call) const;

  const std::shared_ptr<const HandleSlot<caf::actor>> desk_;
  const std::shared_ptr<GroupListeners> listeners_;
};

}  // namespace troupe::actors
