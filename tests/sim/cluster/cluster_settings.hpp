#pragma once

#include "core/metadata/quorum_options.hpp"
#include "tests/sim/replication/sim_node.hpp"

namespace troupe::sim {

/// What may befall a cluster; each seed draws which of them do.
enum class Trouble : std::uint8_t {
  kill,
  power_cut,
  all_crash,
  pause,
  cut,
  cut_again,
  elect,
  crash_leader,
  crash_controller,
  lose_disk,
  clog,
  reassign,
  drain,
  stop_in_order,
  change_voters,
  change_topics,
  change_clock,
  transfer,
  unregister,
  late_mail,
  crash_joining,
};
inline constexpr std::size_t trouble_count = 21;

/// What a simulated cluster's groups are like.
struct GroupSettings {
  int groups = 1;
  int members_max = 5;      ///< of a group, at a time
  bool by_pattern = false;  ///< topics that come and go are read, too
  Millis session_ms = 3'000;
  Millis request_ms = 2'000;           ///< what takes longer is not waited for
  std::uint64_t holds_on_percent = 0;  ///< of members that do not let go of what they shall
  std::uint64_t static_percent = 0;
  std::int64_t pace_us = 500'000;
};

/// What one seed draws for the whole run.
struct ClusterSettings {
  SimSettings replication = {};
  int voters = 3;
  std::uint64_t troubles = 0;  ///< a bit for each kind
  std::int64_t pace_us = 350'000;
  Millis faults_ms = 10'000;
  Millis restart_ms_max = 1'500;
  bool stormy_founding = false;
  bool hints = true;  ///< links tell of nodes that come and go
  std::int64_t snapshot_records_min = 100;
  Millis session_ms = 1'500;
  quorum::QuorumOptions quorum = {};  ///< limits only
  std::optional<GroupSettings> groups = {};
};

ClusterSettings draw_cluster_settings(std::uint64_t seed);
ClusterSettings draw_group_settings(std::uint64_t seed);
std::string to_string(const ClusterSettings& settings);

}  // namespace troupe::sim
