#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "core/consumer_api.hpp"
#include "core/ids.hpp"

/// How the nodes' doors reach the consumer instances of the REST proxy that other nodes have: docs/formats/instance-calls.md
namespace troupe {

/// What a node says to those that ask it. Any thread; does not block.
class InstanceServer {
 public:
  virtual ~InstanceServer() = default;

  /// One call of another node. Errors: not_coordinator (it has no such instance, or another run of it: nothing was done).
  virtual void on_call(BrokerId from, Bytes call, Reply<Bytes> reply) = 0;
  /// The link to that node was cut, or is there again: what it was told last may not have arrived.
  virtual void on_link(BrokerId node) = 0;
};

/// Thread-safe; calls do not block.
class InstanceLinks {
 public:
  virtual ~InstanceLinks() = default;

  /// Who answers on this node from now on, as long as it lives.
  virtual void serve(std::weak_ptr<InstanceServer> server) = 0;
  /// Answered once, within `timeout_ms` or a little later. A node that cannot be reached now is waited for.
  /// Errors: broker_not_available (that process is gone, or the cluster has fenced it: nothing was done), coordinator_not_available (it
  /// cannot be reached now, nothing was done), request_timed_out (the outcome is unknown), and what the node answers.
  virtual void call(BrokerId node, Bytes call, Millis timeout_ms, Reply<Bytes> reply) = 0;
};

}  // namespace troupe
