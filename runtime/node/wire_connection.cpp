#include "runtime/node/wire_connection.hpp"

#include <cerrno>
#include <csignal>

#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.hpp"
#include "runtime/node/tls_context.hpp"

namespace troupe::runtime {
namespace {

bool is_only_not_ready() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

void FreeSsl::operator()(SSL* session) const { SSL_free(session); }

void block_sigpipe() {
  thread_local const bool blocked = [] {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, &pipe, nullptr) == 0;
  }();
  static_cast<void>(blocked);
}

SocketConnection::SocketConnection(int descriptor, SslPtr tls, BrokerId broker, std::string remote, bool accepted,
                                   std::shared_ptr<WireBook> book)
    : tls_(std::move(tls)),
      broker_(broker),
      remote_(std::move(remote)),
      accepted_(accepted),
      book_(std::move(book)),
      descriptor_(descriptor) {
  if (accepted_) ++book_->open;
}

SocketConnection::~SocketConnection() {
  if (accepted_) --book_->open;
  if (!taken_) ::close(descriptor_);
}

actors::WireConnection::Moved SocketConnection::after_tls(int result, std::size_t bytes) {
  if (result > 0) return {true, bytes};
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {true, 0};
    case SSL_ERROR_SSL:
      // Only here the side that connects hears that its certificate was not taken. A socket that was closed is nothing to tell.
      if (ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        log::info("TLS with another node has ended", {log::kv("remote", remote_), log::kv("reason", take_tls_errors())});
      }
      break;
    default: break;
  }
  ERR_clear_error();
  return {false, 0};
}

actors::WireConnection::Moved SocketConnection::read(MutableByteView into) {
  if (tls_) {
    block_sigpipe();
    // What an earlier call of this thread left behind, for any connection, would be taken for an error of this one.
    ERR_clear_error();
    std::size_t bytes = 0;
    const int result = SSL_read_ex(tls_.get(), into.data(), into.size(), &bytes);
    return after_tls(result, bytes);
  }
  const auto bytes = ::recv(descriptor_, into.data(), into.size(), 0);
  if (bytes > 0) return {true, static_cast<std::size_t>(bytes)};
  return {bytes < 0 && is_only_not_ready(), 0};
}

actors::WireConnection::Moved SocketConnection::write(ByteView from) {
  if (tls_) {
    block_sigpipe();
    ERR_clear_error();
    std::size_t bytes = 0;
    const int result = SSL_write_ex(tls_.get(), from.data(), from.size(), &bytes);
    return after_tls(result, bytes);
  }
  const auto bytes = ::send(descriptor_, from.data(), from.size(), MSG_NOSIGNAL);
  if (bytes >= 0) return {true, static_cast<std::size_t>(bytes)};
  return {is_only_not_ready(), 0};
}

std::size_t SocketConnection::unread() const { return tls_ ? static_cast<std::size_t>(SSL_pending(tls_.get())) : 0; }

int SocketConnection::take_descriptor() {
  const std::lock_guard lock{mutex_};
  taken_ = true;
  return descriptor_;
}

void SocketConnection::ended() {
  const std::lock_guard lock{mutex_};
  descriptor_ = -1;
}

void SocketConnection::end_unless_greeted() {
  const std::lock_guard lock{mutex_};
  if (!greeted_ && descriptor_ != -1) ::shutdown(descriptor_, SHUT_RDWR);
}

}  // namespace troupe::runtime
