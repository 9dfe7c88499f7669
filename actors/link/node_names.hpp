#pragma once

#include <map>
#include <mutex>

#include <caf/node_id.hpp>

#include "core/link/basp_guard.hpp"
#include "core/link/proof.hpp"

namespace troupe::actors {

/// A node's id as CAF writes it; all zeros for one that no guard lets through.
link::BaspGuard::NodeId bytes_of(const caf::node_id& node);

/// Which broker each of CAF's nodes is, by the certificates of the connections to it. CAF's node ids prove nothing, everybody may say any:
/// the first broker that has one keeps it as long as it has a connection. Any thread.
class NodeNames {
 public:
  using NodeId = link::BaspGuard::NodeId;

  /// A connection of `broker` says that it is of that node. False: another broker is that node.
  bool claim(const NodeId& node, BrokerId broker);
  /// A connection that had claimed it is gone.
  void release(const NodeId& node);

  /// What is proven of actors of that node.
  link::Proof proof_of(const caf::node_id& node) const;

 private:
  struct Owner {
    BrokerId broker = no_broker;
    std::size_t connections = 0;
  };
  mutable std::mutex mutex_;
  std::map<NodeId, Owner> owners_ = {};
};

}  // namespace troupe::actors
