#include "core/group/group_lag.hpp"

#include <algorithm>

namespace troupe::group {

std::optional<std::int64_t> PartitionLag::lag() const {
  if (!committed || !log_end) return std::nullopt;
  const auto from = std::max(committed->offset, log_start.value_or(Offset{0}));
  return std::max<std::int64_t>(0, log_end->value() - from.value());
}

std::vector<PartitionLag> partitions_of_group(const GroupDescription& group, const std::vector<Position>& committed,
                                              const metadata::MetadataImage& image) {
  std::map<GroupPartition, PartitionLag> all;
  for (const auto& [partition, offset] : committed) {
    if (offset) all[partition].committed = offset;
  }
  for (const auto& member : group.members) {
    for (const auto& id : in_either(member.current.assigned, member.current.revoking)) {
      const auto topic = image.find_topic(id.topic_id);
      if (topic == nullptr) continue;
      auto& one = all[{topic->name, id.partition}];
      one.member = member.member;
      one.instance_id = member.profile.instance_id;
      one.client_id = member.profile.client_id;
      one.client_host = member.profile.client_host;
    }
  }
  std::vector<PartitionLag> list;
  list.reserve(all.size());
  for (auto& [partition, one] : all) {
    one.partition = partition;
    list.push_back(std::move(one));
  }
  return list;
}

LagSummary summarise(const std::vector<PartitionLag>& partitions) {
  LagSummary summary;
  std::int64_t most = -1;
  for (const auto& one : partitions) {
    const auto lag = one.lag();
    if (!lag) continue;
    ++summary.counted;
    summary.total += *lag;
    if (*lag <= most) continue;
    most = *lag;
    summary.most = &one;
  }
  return summary;
}

}  // namespace troupe::group
