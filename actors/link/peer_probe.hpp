#pragma once

#include <functional>

#include "core/link/link_effects.hpp"

namespace troupe::actors {

/// Looks whether somebody listens at an address, before CAF is told to connect: CAF's middleman blocks in its connect, and a node that
/// nobody answers for would hold up the links to all others. Names are resolved each time.
class PeerProbe {
 public:
  virtual ~PeerProbe() = default;
  /// Opens a TCP connection and closes it. Never blocks; calls `done` once, on any thread, after `timeout_ms` at the latest.
  virtual void probe(const link::PeerAddress& address, Millis timeout_ms, std::function<void(link::ProbeResult)> done) = 0;
};

}  // namespace troupe::actors
