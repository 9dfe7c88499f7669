#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/group/group_lag.hpp"
#include "core/group_api.hpp"
#include "http/rest/rest.hpp"

/// What several routes about groups need: a group, its offsets, and how far its partitions go, gathered.
namespace troupe::http {

/// How long a route waits for a group's coordinator.
inline constexpr Millis group_timeout_ms = 10'000;

struct GroupView {
  group::GroupDescription group = {};
  std::vector<group::PartitionLag> partitions = {};
};

/// Gathers a group and calls `use` on the call's thread. Errors: those of GroupApi::describe and GroupApi::offsets. Partitions whose leader
/// does not say how far they go are there all the same.
void gather_group(Rest& rest, const CallPtr& call, const std::string& group,
                  std::function<void(const CallPtr& call, Result<GroupView> view)> use);

/// One answer for each of `partitions`, in their order: what find_offset says. unknown_topic_or_partition where there is no such partition.
void find_offsets(Rest& rest, const CallPtr& call, const std::vector<group::GroupPartition>& partitions, OffsetSpec spec,
                  std::function<void(const CallPtr& call, std::vector<Result<OffsetAnswer>> found)> use);

/// Who coordinates the group now; no_broker: nobody, or there are no groups yet.
BrokerId coordinator_of(Rest& rest, std::string_view group);

}  // namespace troupe::http
