#include "runtime/node/socket_wire.hpp"

// Asio 1.81 uses std::exchange without including it.
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <future>
#include <list>
#include <string>
#include <thread>

#include <fcntl.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "runtime/node/wire_book.hpp"
#include "runtime/node/wire_connection.hpp"

namespace troupe::runtime {
namespace {

namespace asio = boost::asio;
using actors::WireConnectionPtr;
using asio::ip::tcp;
using Failure = boost::system::error_code;
using Done = std::function<void(Result<std::shared_ptr<SocketConnection>>)>;

constexpr std::chrono::milliseconds accept_pause{100};

Error no_connection(std::string why) { return {Errc::broker_not_available, std::move(why)}; }
/// Time alone will not change that: somebody's certificates have to.
Error no_tls(std::string why) { return {Errc::invalid_config, "TLS: " + std::move(why)}; }

/// A connection on its way to being one of ours. Lives as long as something of it is under way; calls `done` once.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(tcp::socket socket, SSL_CTX* tls, bool accepts, std::shared_ptr<WireBook> book, Done done)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        context_(tls),
        accepts_(accepts),
        book_(std::move(book)),
        done_(std::move(done)) {}
  ~Attempt() { give_up("the node is stopping"); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void limit(Millis timeout_ms) {
    timer_.expires_after(std::chrono::milliseconds(timeout_ms));
    timer_.async_wait([self = shared_from_this(), timeout_ms](Failure failed) {
      if (!failed) self->give_up("no connection within " + std::to_string(timeout_ms) + " ms");
    });
  }

  void connect(const tcp::endpoint& to) {
    socket_.async_connect(to, [self = shared_from_this()](Failure failed) {
      if (!self->done_) return;
      if (failed) return self->give_up(failed.message());
      self->begin();
    });
  }

  /// The socket is connected.
  void begin() {
    Failure failed;
    const auto end = socket_.remote_endpoint(failed);
    if (!failed) remote_ = end.address().to_string() + " port " + std::to_string(end.port());
    socket_.native_non_blocking(true, failed);
    ::fcntl(socket_.native_handle(), F_SETFD, FD_CLOEXEC);
    Failure ignored;
    socket_.set_option(tcp::no_delay{true}, ignored);
    if (failed) return give_up(failed.message());
    if (context_ == nullptr) return finish(no_broker);
    tls_.reset(SSL_new(context_));
    if (!tls_ || SSL_set_fd(tls_.get(), socket_.native_handle()) != 1) return give_up(take_tls_errors());
    accepts_ ? SSL_set_accept_state(tls_.get()) : SSL_set_connect_state(tls_.get());
    step();
  }

  void give_up(const std::string& why) { end(no_connection(why)); }
  void mistrust(const std::string& why) { end(no_tls(why)); }
  bool under_way() const { return done_ != nullptr; }
  /// "address port number"
  const std::string& remote() const { return remote_; }
  /// It was closed without a word: a node that looks whether somebody listens.
  bool is_probe() const { return tls_ && closed_ && BIO_number_read(SSL_get_rbio(tls_.get())) == 0; }

 private:
  void step() {
    if (!done_) return;
    block_sigpipe();
    ERR_clear_error();
    const int result = SSL_do_handshake(tls_.get());
    if (result == 1) return check();
    const auto wait = [this](auto what) {
      socket_.async_wait(what, [self = shared_from_this()](Failure failed) {
        if (failed) return self->give_up(failed.message());
        self->step();
      });
    };
    switch (SSL_get_error(tls_.get(), result)) {
      case SSL_ERROR_WANT_READ: return wait(tcp::socket::wait_read);
      case SSL_ERROR_WANT_WRITE: return wait(tcp::socket::wait_write);
      default: break;
    }
    closed_ = ERR_peek_error() == 0 || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    auto why = take_tls_errors();
    if (const auto verified = SSL_get_verify_result(tls_.get()); verified != X509_V_OK) {
      why += std::string(": ") + X509_verify_cert_error_string(verified);
    }
    closed_ ? give_up("TLS: the other side has closed the connection") : mistrust(why);
  }

  /// OpenSSL has held the certificate against the authority.
  void check() {
    const auto* certificate = SSL_get0_peer_certificate(tls_.get());
    if (certificate == nullptr) return mistrust("no certificate");
    const auto broker = broker_of(certificate);
    if (!broker) return mistrust(broker.error().message);
    finish(*broker);
  }

  void finish(BrokerId broker) {
    Failure failed;
    const auto descriptor = socket_.release(failed);
    if (failed) return give_up(failed.message());
    end(std::make_shared<SocketConnection>(descriptor, std::move(tls_), broker, remote_, accepts_, book_));
  }

  void end(Result<std::shared_ptr<SocketConnection>> result) {
    const auto done = std::exchange(done_, nullptr);
    if (!done) return;
    timer_.cancel();
    Failure ignored;
    if (!result) socket_.close(ignored);
    done(std::move(result));
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  SSL_CTX* const context_;
  const bool accepts_;
  const std::shared_ptr<WireBook> book_;
  Done done_;
  SslPtr tls_ = {};
  std::string remote_ = "somebody who has gone";
  bool closed_ = false;
};

}  // namespace

struct SocketWire::Impl {
  Impl(std::optional<TlsContext> context, const Options& with) : tls(std::move(context)), options(with) {}

  SSL_CTX* context() const { return tls ? tls->get() : nullptr; }

  Result<Listener> listen(const link::PeerAddress& address, std::function<void(WireConnectionPtr)> callback) {
    stop_listening();
    Failure failed;
    const auto ip = asio::ip::make_address(address.host, failed);
    if (failed) return Error{Errc::wrong_owner, "\"" + address.host + "\" is no IP address"};
    tcp::acceptor opened{io};
    const tcp::endpoint at{ip, address.port};
    opened.open(at.protocol(), failed);
    if (!failed) opened.set_option(tcp::acceptor::reuse_address{true}, failed);
    if (!failed) opened.bind(at, failed);
    if (!failed) opened.listen(tcp::acceptor::max_listen_connections, failed);
    if (!failed) ::fcntl(opened.native_handle(), F_SETFD, FD_CLOEXEC);
    if (failed) return Error{Errc::wrong_owner, failed.message()};
    const auto port = opened.local_endpoint(failed).port();
    acceptor.emplace(std::move(opened));
    on_accepted = std::move(callback);
    accept(listener);
    return Listener{port, listener};
  }

  void stop_listening() {
    ++listener;  // what is under way for the one before does nothing
    acceptor.reset();
    on_accepted = nullptr;
    for (const auto& attempt : attempts) {
      if (const auto one = attempt.lock()) one->give_up("this node does not listen any more");
    }
    attempts.clear();
  }

  void accept(std::uint64_t number) {
    acceptor->async_accept([this, number](Failure failed, tcp::socket socket) {
      if (number != listener) return;
      if (failed) return pause_accepting(number, failed.message());
      begin(std::move(socket));
      accept(number);
    });
  }

  /// No descriptors, most likely: trying at once would only cost more.
  void pause_accepting(std::uint64_t number, const std::string& why) {
    book->cannot_accept(why);
    pause.expires_after(accept_pause);
    pause.async_wait([this, number](Failure) {
      if (number == listener) accept(number);
    });
  }

  void begin(tcp::socket socket) {
    if (book->open >= options.accepted_max) return book->refuse("somebody", "too many connections are there");
    std::erase_if(attempts, [](const auto& one) {
      const auto attempt = one.lock();
      return !attempt || !attempt->under_way();
    });
    if (attempts.size() >= options.handshakes_max) {
      if (const auto oldest = attempts.front().lock()) oldest->give_up("too many connect at once");
      attempts.pop_front();
    }
    const auto name = std::make_shared<std::weak_ptr<Attempt>>();
    const auto attempt = std::make_shared<Attempt>(std::move(socket), context(), true, book,
                                                   [this, name](const auto& result) { end(*name, result); });
    *name = attempt;
    attempts.push_back(attempt);
    attempt->limit(options.handshake_timeout_ms);
    attempt->begin();
  }

  void end(const std::weak_ptr<Attempt>& name, const Result<std::shared_ptr<SocketConnection>>& result) {
    const auto attempt = name.lock();
    if (!result) {
      if (!attempt || attempt->is_probe()) return;
      return book->refuse(attempt->remote(), result.error().message);
    }
    if (!on_accepted) return;
    ++book->accepted;
    const auto timer = std::make_shared<asio::steady_timer>(io, std::chrono::milliseconds(options.greeting_timeout_ms));
    timer->async_wait([timer, silent = std::weak_ptr(*result)](Failure) {
      if (const auto connection = silent.lock()) connection->end_unless_greeted();
    });
    on_accepted(*result);
  }

  const std::optional<TlsContext> tls;
  const Options options;
  const std::shared_ptr<WireBook> book = std::make_shared<WireBook>();

  // The thread's own.
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard = asio::make_work_guard(io);
  asio::steady_timer pause{io};
  std::optional<tcp::acceptor> acceptor = std::nullopt;
  std::uint64_t listener = 0;  ///< number of the one that is there, or was the last
  std::function<void(WireConnectionPtr)> on_accepted = {};
  std::list<std::weak_ptr<Attempt>> attempts = {};  ///< of others, oldest first

  std::thread thread{[this] { io.run(); }};
};

SocketWire::SocketWire(std::optional<TlsContext> tls) : SocketWire(std::move(tls), Options{}) {}

SocketWire::SocketWire(std::optional<TlsContext> tls, const Options& options)
    : impl_(std::make_unique<Impl>(std::move(tls), options)) {}

SocketWire::~SocketWire() {
  impl_->io.stop();
  impl_->thread.join();
  impl_->stop_listening();
}

bool SocketWire::proves() const { return impl_->tls.has_value(); }

void SocketWire::connect(const link::PeerAddress& address, Millis timeout_ms,
                         std::function<void(Result<WireConnectionPtr>)> done) {
  const auto told = [done = std::move(done)](const auto& result) {
    result ? done(WireConnectionPtr{*result}) : done(result.error());
  };
  Failure failed;
  const auto ip = asio::ip::make_address(address.host, failed);
  if (failed)
    return told(Result<std::shared_ptr<SocketConnection>>{no_connection("\"" + address.host + "\" is no IP address")});
  const auto attempt = std::make_shared<Attempt>(tcp::socket{impl_->io}, impl_->context(), false, impl_->book, told);
  asio::post(impl_->io, [attempt, timeout_ms, to = tcp::endpoint{ip, address.port}] {
    attempt->limit(timeout_ms);
    attempt->connect(to);
  });
}

Result<SocketWire::Listener> SocketWire::listen(const link::PeerAddress& address,
                                                std::function<void(WireConnectionPtr)> accepted) {
  std::promise<Result<Listener>> answer;
  asio::post(impl_->io, [&] { answer.set_value(impl_->listen(address, std::move(accepted))); });
  return answer.get_future().get();
}

void SocketWire::close(const Listener& listener) {
  asio::post(impl_->io, [impl = impl_.get(), number = listener.number] {
    if (impl->listener == number) impl->stop_listening();
  });
}

SocketWire::Counts SocketWire::counts() const { return {impl_->book->accepted, impl_->book->refused, impl_->book->open}; }

}  // namespace troupe::runtime
