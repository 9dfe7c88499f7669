#pragma once

#include "runtime/cli/node_session.hpp"

namespace troupe::cli {

/// `troupe cluster status`: who is there, and whether all is as it should be. Returns the exit code.
int cluster_status(const NodeOptions& options);
/// `troupe actor tree`: the supervision tree of the node. Returns the exit code.
int actor_tree(const NodeOptions& options);

}  // namespace troupe::cli
