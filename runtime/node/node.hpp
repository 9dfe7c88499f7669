#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/metrics.hpp"
#include "core/broker_api.hpp"
#include "core/processing/processor.hpp"
#include "runtime/config/node_config.hpp"

namespace troupe::runtime {

/// One node's actors, from its data directory to its BrokerApi. design.md section 4
///
///   node (supervisor)
///     readers, data-disk, metadata-disk     the actors that block
///     metadata_quorum                       the metadata log
///     partition_manager                     leaders and tails
///     gateways                              calls of the doors
///     processors                            custom processors: core/processing/processor.hpp
///   with other nodes also:
///     links                                 one a peer
///     leader_server, controller_desk        what others ask of its leaders, what its leaders ask of the controller
///     broker_heartbeat                      "I am there"
///
/// The broker exists from the start and says "starting" until the actors are there, so that the doors can be opened first.
class Node {
 public:
  /// `metrics` outlives the node.
  Node(const NodeConfig& config, metrics::Registry& metrics);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  BrokerApi& broker();

  /// Opens the data directory, replays the metadata, starts the leaders. `self` is this node as clients reach it.
  /// Errors: wrong_owner (another process, node or cluster; names it), storage_error, storage_full, corrupt_message, request_timed_out.
  /// cancelled: `give_up`, which is asked now and then while it waits, said so. A node of several waits for the others as long as it takes.
  Status start(const metadata::BrokerImage& self, Millis deadline_ms, const std::function<bool()>& give_up = {});

  /// Runs a processor on every partition of its inputs that this node leads; before the start or after it, from any thread. It ends
  /// with the node. Errors: invalid_argument (names the field; also a name that another processor has).
  Status add_processor(processing::ProcessorSpec spec);

  /// Why the node gave up; nullopt while it runs.
  std::optional<Error> failure() const;

  /// From now on the node is not ready: load balancers look elsewhere. In a cluster its leaderships move to others; waits for that, at most
  /// `wait_ms_max`.
  void drain(Millis wait_ms_max = 0);

  /// Ends the actors in order and closes the data directory. Actors that do not end in time are killed: their names.
  std::vector<std::string> stop(Millis deadline_ms);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::runtime
