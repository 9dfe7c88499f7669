#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include <openssl/types.h>

#include "actors/link/peer_wire.hpp"
#include "runtime/node/wire_book.hpp"

namespace troupe::runtime {

struct FreeSsl {
  void operator()(SSL* session) const;
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

/// A socket, and the TLS session on it if there is one.
class SocketConnection final : public actors::WireConnection {
 public:
  /// Takes the socket, which does not block. `tls` has done its handshake; null: without. `accepted`: by the other side's wish.
  SocketConnection(int descriptor, SslPtr tls, BrokerId broker, std::string remote, bool accepted,
                   std::shared_ptr<WireBook> book);
  ~SocketConnection() override;
  SocketConnection(const SocketConnection&) = delete;
  SocketConnection& operator=(const SocketConnection&) = delete;

  Moved read(MutableByteView into) override;
  Moved write(ByteView from) override;
  std::size_t unread() const override;
  int take_descriptor() override;
  void ended() override;
  void greeted() override { greeted_ = true; }
  void refuse(const std::string& why) override { book_->refuse(remote_, why); }
  BrokerId broker() const override { return broker_; }
  std::string remote() const override { return remote_; }

  /// Whoever has it reads its end then. Any thread.
  void end_unless_greeted();

 private:
  Moved after_tls(int result, std::size_t bytes);

  const SslPtr tls_;
  const BrokerId broker_;
  const std::string remote_;
  const bool accepted_;
  const std::shared_ptr<WireBook> book_;
  std::atomic<bool> greeted_ = false;
  mutable std::mutex mutex_;
  int descriptor_;  ///< -1: ended
  bool taken_ = false;
};

/// OpenSSL writes without MSG_NOSIGNAL: SIGPIPE is blocked in this thread from now on.
void block_sigpipe();

}  // namespace troupe::runtime
