#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cli/node_session.hpp"

/// Consumer groups, with the columns that users of kafka-consumer-groups know. Each command returns the exit code.
namespace troupe::cli {

/// `troupe group list`
int list_groups(const NodeOptions& options);

struct GroupOptions {
  NodeOptions node = {};
  std::vector<std::string> groups = {};
  bool watch = false;                     ///< of lag: again and again
  std::string every = "1s";               ///< with watch
  bool yes = false;                       ///< of delete: do not ask
  std::optional<std::string> topic = {};  ///< of delete: only the offsets of this topic
};
/// `troupe group describe`: partitions, committed offsets, lag, who reads.
int describe_groups(const GroupOptions& options);
/// `troupe group lag`: how far behind, the farthest first, and the sum.
int show_group_lag(const GroupOptions& options);
/// `troupe group members`
int list_group_members(const GroupOptions& options);
/// `troupe group pause`
int pause_groups(const GroupOptions& options);
/// `troupe group resume`
int resume_groups(const GroupOptions& options);
/// `troupe group delete`
int delete_groups(const GroupOptions& options);

struct GroupResetOptions {
  NodeOptions node = {};
  std::string group = {};
  std::vector<std::string> topics = {};  ///< "orders", or "orders:0,3"
  bool to_earliest = false;
  bool to_latest = false;
  bool to_current = false;
  std::optional<std::int64_t> to_offset = {};
  std::optional<std::string> to_time = {};
  std::optional<std::int64_t> shift_by = {};
  bool execute = false;  ///< else what would be done is shown, and nothing is
};
/// `troupe group reset`
int reset_group(const GroupResetOptions& options);

/// "/v1/groups/NAME" with NAME encoded.
std::string group_path(const std::string& group);

}  // namespace troupe::cli
