#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/link/greeting.hpp"

namespace troupe::actors {

/// An open connection to another node. With TLS its handshake is done, and the other side's certificate was checked.
class WireConnection {
 public:
  /// open: false when the connection is at its end. bytes: 0 when the socket has to be waited for.
  struct Moved {
    bool open = true;
    std::size_t bytes = 0;
  };
  virtual ~WireConnection() = default;

  virtual Moved read(MutableByteView into) = 0;
  virtual Moved write(ByteView from) = 0;
  /// Bytes that were taken from the socket and not read yet.
  virtual std::size_t unread() const = 0;

  /// The socket, which does not block. It is the caller's to close now, after it has called `ended`.
  virtual int take_descriptor() = 0;
  virtual void ended() = 0;
  /// The other side has said who it is: the connection may be silent from now on.
  virtual void greeted() = 0;
  /// It is ended, since the other side has broken the rules.
  virtual void refuse(const std::string& why) = 0;

  /// Whom the certificate names; no_broker without TLS.
  virtual BrokerId broker() const = 0;
  /// Its address, for people.
  virtual std::string remote() const = 0;
};
using WireConnectionPtr = std::shared_ptr<WireConnection>;

/// Opens and accepts connections between nodes, so that CAF only gets those that are to be spoken with. Never blocks. Callbacks come on any
/// thread. Outlives the actors.
class PeerWire {
 public:
  struct Listener {
    std::uint16_t port = 0;
    std::uint64_t number = 0;  ///< of this one, never given twice
  };
  virtual ~PeerWire() = default;

  /// Whether connections prove whom they lead to.
  virtual bool proves() const = 0;
  /// To a numeric address. `done` is called once, after `timeout_ms` at the latest. Errors: broker_not_available.
  virtual void connect(const link::PeerAddress& address, Millis timeout_ms,
                       std::function<void(Result<WireConnectionPtr>)> done) = 0;
  /// Listens at an IP address and a port, 0: the kernel chooses; what listened before does not any more. Errors: wrong_owner.
  virtual Result<Listener> listen(const link::PeerAddress& address, std::function<void(WireConnectionPtr)> accepted) = 0;
  /// Ends that listener, unless another one has taken its place; connections stay.
  virtual void close(const Listener& listener) = 0;
};

}  // namespace troupe::actors
