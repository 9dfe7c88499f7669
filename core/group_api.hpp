#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/broker_api.hpp"
#include "core/group/group_instances.hpp"
#include "core/group/group_requests.hpp"

/// What may be asked of groups, on any node: whoever coordinates the group answers.
namespace troupe {

/// All groups that could be asked about, and the partitions of `__consumer_offsets` whose coordinator did not say.
struct GroupListings {
  std::vector<group::GroupListing> groups = {};  ///< by name
  std::vector<PartitionId> silent = {};
};

/// Ends when it is destroyed; a call on its way may still come.
class GroupListening {
 public:
  virtual ~GroupListening() = default;
};

/// Thread-safe; calls do not block. Every call is answered once, within its timeout, on a thread of the node's. A coordinator that moves,
/// or that still reads its log, is waited for, and asked again, within that time. What it changes is committed when it is answered. A
/// change whose answer got lost is not asked twice (request_timed_out: outcome unknown), but a heartbeat, commit, reset, pause may be.
/// Errors: those of core/group/group_coordinator.hpp; coordinator_not_available (nothing was changed), request_timed_out, overloaded.
class GroupApi {
 public:
  virtual ~GroupApi() = default;

  virtual void heartbeat(group::HeartbeatRequest request, Millis timeout_ms, Reply<group::HeartbeatAnswer> reply) = 0;
  virtual void commit(group::CommitRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) = 0;
  virtual void offsets(group::OffsetsRequest request, Millis timeout_ms, Reply<std::vector<group::Position>> reply) = 0;
  virtual void reset(group::ResetRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) = 0;
  virtual void pause(group::PauseRequest request, Millis timeout_ms, Reply<Nothing> reply) = 0;
  virtual void delete_group(std::string group, Millis timeout_ms, Reply<Nothing> reply) = 0;
  virtual void delete_offsets(std::string group, std::vector<group::GroupPartition> partitions, Millis timeout_ms,
                              Reply<std::vector<Status>> reply) = 0;
  virtual void describe(std::string group, Millis timeout_ms, Reply<group::GroupDescription> reply) = 0;
  /// Consumer instances of the REST proxy, which node has them: core/group/group_instances.hpp
  virtual void instance(group::InstanceRequest request, Millis timeout_ms, Reply<group::InstanceEntry> reply) = 0;
  virtual void list(Millis timeout_ms, Reply<GroupListings> reply) = 0;

  // --- members of classic groups (Kafka's JoinGroup, SyncGroup, Heartbeat, LeaveGroup). They commit and ask for offsets as above, with
  // their generation for an epoch.

  /// Answered when the group's next generation begins, which may take the longest rebalance timeout of its members: `timeout_ms` has to be
  /// more than that. When the coordinator moves meanwhile, the next one is asked.
  virtual void join(group::ClassicJoinRequest request, Millis timeout_ms, Reply<group::ClassicJoinAnswer> reply) = 0;
  /// Answered when the leader has assigned.
  virtual void sync(group::ClassicSyncRequest request, Millis timeout_ms, Reply<group::ClassicSyncAnswer> reply) = 0;
  virtual void heartbeat(group::ClassicHeartbeatRequest request, Millis timeout_ms, Reply<Nothing> reply) = 0;
  /// One answer a leaver. Is not asked twice.
  virtual void leave(group::ClassicLeaveRequest request, Millis timeout_ms, Reply<std::vector<Status>> reply) = 0;

  /// `on_news` is called, on any thread of the node's, when the coordinator wants that member's next heartbeat now. It posts, and returns.
  /// Nothing is promised: who hears nothing heartbeats at its interval.
  virtual std::unique_ptr<GroupListening> listen(std::string group, std::string member, std::function<void()> on_news) = 0;
};

}  // namespace troupe
