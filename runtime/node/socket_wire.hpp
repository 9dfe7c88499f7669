#pragma once

#include <memory>
#include <optional>

#include "actors/link/peer_wire.hpp"
#include "runtime/node/tls_context.hpp"

namespace troupe::runtime {

/// Connections between nodes over TCP, with mutual TLS or without, opened and accepted on a thread of its own. What strangers do is
/// paid for there and nowhere else: a connection that has not proven itself never reaches CAF.
class SocketWire final : public actors::PeerWire {
 public:
  struct Options {
    Millis handshake_timeout_ms = 3'000;  ///< of TLS, for those who connect to us
    Millis greeting_timeout_ms = 5'000;   ///< for them, until CAF's first word
    /// Handshakes under way, of those who connect to us: beyond, the oldest is given up. One takes some milliseconds.
    std::size_t handshakes_max = 128;
    std::size_t accepted_max = 1'024;  ///< connections of others that are there at once; more are closed
  };
  /// Since the start.
  struct Counts {
    std::uint64_t accepted = 0;  ///< that were handed on
    std::uint64_t refused = 0;   ///< that proved nothing, came too late, or were too many
    std::uint64_t open = 0;      ///< now, of those that were accepted
  };

  /// `tls`: nullopt, it proves nothing and is for loopback.
  explicit SocketWire(std::optional<TlsContext> tls);
  SocketWire(std::optional<TlsContext> tls, const Options& options);
  ~SocketWire() override;
  SocketWire(const SocketWire&) = delete;
  SocketWire& operator=(const SocketWire&) = delete;

  bool proves() const override;
  void connect(const link::PeerAddress& address, Millis timeout_ms,
               std::function<void(Result<actors::WireConnectionPtr>)> done) override;
  Result<Listener> listen(const link::PeerAddress& address,
                          std::function<void(actors::WireConnectionPtr)> accepted) override;
  void close(const Listener& listener) override;

  Counts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::runtime
