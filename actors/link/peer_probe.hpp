#pragma once

#include <functional>

#include "core/link/link_effects.hpp"

namespace troupe::actors {

/// Looks whether somebody listens at an address, before a connection is made: who refuses is told from who does not answer, and names are
/// resolved, each time.
class PeerProbe {
 public:
  virtual ~PeerProbe() = default;
  /// Opens a TCP connection and closes it. Never blocks; calls `done` once, on any thread, after `timeout_ms` at the latest.
  virtual void probe(const link::PeerAddress& address, Millis timeout_ms, std::function<void(link::ProbeResult)> done) = 0;
};

}  // namespace troupe::actors
