#pragma once

#include <memory>

#include "actors/link/peer_probe.hpp"

namespace troupe::runtime {

/// Probes over real sockets, on a thread of its own. A name that resolves to several addresses is open at the first that answers; names are
/// resolved beside, so that one that hangs delays no numeric address.
///
/// Destroyed after the actors that use it: what is under way then ends as failed. That may wait for a name that is being resolved.
class TcpProbe final : public actors::PeerProbe {
 public:
  TcpProbe();
  ~TcpProbe() override;
  TcpProbe(const TcpProbe&) = delete;
  TcpProbe& operator=(const TcpProbe&) = delete;

  void probe(const link::PeerAddress& address, Millis timeout_ms, std::function<void(link::ProbeResult)> done) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::runtime
