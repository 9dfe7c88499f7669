#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/group/group_requests.hpp"
#include "core/metadata/metadata_image.hpp"

/// How far a group is behind. Pure.
namespace troupe::group {

/// One partition that a group reads, or has read.
struct PartitionLag {
  GroupPartition partition = {};
  std::optional<CommittedOffset> committed = {};
  std::optional<Offset> log_start = {};  ///< nullopt: its leader did not say
  std::optional<Offset> log_end = {};    ///< where consumers read up to
  std::string member = {};               ///< who owns it; empty: nobody
  std::string instance_id = {};          ///< of the member; empty: a dynamic one
  std::string client_id = {};
  std::string client_host = {};

  /// Records that wait. A position that is below what the log still has counts from where the log begins; one above its end, after an
  /// unclean election, counts as none. nullopt: nothing is committed, or the log's end is not known.
  std::optional<std::int64_t> lag() const;
};

/// All partitions that the group has committed or its members own, by topic and partition. A partition that was revoked, and is not yet
/// given up, is still its owner's.
std::vector<PartitionLag> partitions_of_group(const GroupDescription& group, const std::vector<Position>& committed,
                                              const metadata::MetadataImage& image);

struct LagSummary {
  std::int64_t total = 0;
  std::size_t counted = 0;             ///< partitions with a lag that is known
  const PartitionLag* most = nullptr;  ///< null: none is known. Of several with the same lag the first
};
LagSummary summarise(const std::vector<PartitionLag>& partitions);

}  // namespace troupe::group
