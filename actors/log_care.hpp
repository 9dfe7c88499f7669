#pragma once

#include <caf/fwd.hpp>

#include "actors/messages.hpp"
#include "actors/partition_roles.hpp"
#include "core/metadata/left_logs.hpp"

namespace troupe::actors {

/// The logs of this node that nobody here needs: removes them when they were left for long enough, moves aside what nobody knows. The part
/// of partition_manager around core/metadata/left_logs.hpp, whose memory is the file `known-logs` of the data directory.
///
///   directory opened --> ReadSideFile --> look ... look, each `retention_check_ms`
///   look --> ListLogs --> LeftLogs --> RemoveLog | QuarantineLog | WriteSideFile
class LogCare {
 public:
  /// All outlive this.
  LogCare(caf::event_based_actor& self, const PartitionManagerOptions& options, PartitionRoles& roles);

  void directory_opened();
  /// The metadata have changed: what waited for them is looked at.
  void metadata_changed();
  void look();

 private:
  void recalled(const SideFile& file);
  void listed(const std::vector<TopicIdPartition>& on_disk);
  void remove(const TopicIdPartition& id);
  void quarantine(const TopicIdPartition& id);
  void store();

  caf::event_based_actor& self_;
  const PartitionManagerOptions& options_;
  PartitionRoles& roles_;
  metadata::LeftLogs left_;
  bool recalled_ = false;
  bool listing_ = false;
  bool strays_due_ = false;  ///< not looked for since the directory was opened
  bool store_failed_ = false;
};

}  // namespace troupe::actors
