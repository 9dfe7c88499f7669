#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/group/partition_list.hpp"

/// Who of a group shall read what.
namespace troupe::group {

struct AssignorMember {
  std::string name = {};               ///< the group instance id, or the member id: what orders members for `range`
  std::vector<TopicId> topics = {};    ///< it subscribes to, sorted; ones that do not exist are left out
  const PartitionList* had = nullptr;  ///< its target until now; never null
};

struct AssignorRequest {
  std::span<const AssignorMember> members = {};
  std::map<TopicId, std::int32_t> partitions = {};  ///< of each topic that somebody subscribes to
  /// What a partition costs its reader, for example the records that wait in it. Empty function: all are equal.
  std::function<std::uint64_t(const TopicIdPartition&)> load = {};
};

/// Each partition of a topic is given to one member that subscribes to the topic, if there is one. The same request, the same answer.
class Assignor {
 public:
  virtual ~Assignor() = default;
  virtual std::string_view name() const = 0;
  /// One list a member, in the order of the request.
  virtual std::vector<PartitionList> assign(const AssignorRequest& request) const = 0;
};

/// As equal numbers as can be; among those, as few partitions move as can be.
///
/// With equal subscriptions: counts differ by one at most, and no other such assignment moves fewer. With different ones: no single
/// partition could move to a member that has two fewer. Source: KIP-848 (uniform), KIP-54 (sticky).
const Assignor& uniform_assignor();

/// For each topic, its partitions in runs of equal length over its subscribers by name: partition 3 of one topic and of another go to
/// the same member, when both have as many partitions and the same readers. Not sticky. Source: Kafka's RangeAssignor.
const Assignor& range_assignor();

/// As `uniform`, but what is made equal is the load: a partition moves only from a member that has a quarter more than its share.
const Assignor& load_assignor();

/// By name: "uniform", "range", "load". nullptr: there is none.
const Assignor* find_assignor(std::string_view name);

}  // namespace troupe::group
