#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/cli/node_session.hpp"

/// What a cluster looks like. Each command returns the exit code.
namespace troupe::cli {

/// `troupe cluster status`: who is there, and whether all is as it should be with the node that is asked.
int cluster_status(const NodeOptions& options);

struct HealthOptions {
  NodeOptions node = {};
  bool until_healthy = false;  ///< asks until it is, at most for the timeout
};
/// `troupe cluster health`: 1 when anything is wrong with the cluster.
int cluster_health(const HealthOptions& options);

/// `troupe cluster brokers`
int cluster_brokers(const NodeOptions& options);

struct PartitionsOptions {
  NodeOptions node = {};
  std::string topic = {};                   ///< empty: all
  std::string only = {};                    ///< "leaderless", ...; empty: all
  std::optional<std::int32_t> broker = {};  ///< those that it holds a copy of
  std::optional<std::uint32_t> count = {};  ///< that many at most
};
/// `troupe cluster partitions`
int cluster_partitions(const PartitionsOptions& options);
/// All that there are of these, page after page, as one answer; or the first answer that is not ok. Errors: those of a call.
Result<Answer> all_partitions(NodeSession& session, const PartitionsOptions& options);

/// `troupe cluster quorum`
int cluster_quorum(const NodeOptions& options);
/// The table of an answer about the quorum.
void print_quorum(Output& out, const Json& quorum);

struct TreeOptions {
  NodeOptions node = {};
  std::optional<std::int32_t> of = {};  ///< only this node's
};
/// `troupe actor tree`: the supervision trees of all nodes.
int actor_tree(const TreeOptions& options);

}  // namespace troupe::cli
