#include "http/gateway.hpp"

#include <condition_variable>
#include <mutex>

#include "base/log.hpp"
#include "http/rest/consumer_instances.hpp"
#include "http/server/io_thread.hpp"
#include "http/server/shared.hpp"

namespace troupe::http {
namespace {

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

Result<asio::ip::address> address_of(const std::string& host) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) return Error{Errc::invalid_argument, "\"" + host + "\" is no address to listen on: an IP address is wanted"};
  return address;
}

}  // namespace

/// One acceptor hands its connections out in turn: SO_REUSEPORT would let a second process take the same port without a word.
struct Gateway::Impl {
  Impl(GatewayOptions options, BrokerApi& broker, metrics::Registry& metrics)
      : shared(std::make_shared<Shared>(std::move(options), broker, metrics)) {
    const auto streams = Streams::share(shared->options, metrics);
    const auto count = std::max<std::size_t>(shared->options.io_threads, 1);
    for (std::size_t i = 0; i < count; ++i) threads.push_back(std::make_shared<IoThread>(shared, streams));
    acceptor = std::make_unique<Acceptor>(threads.front()->io().get_executor());
    pause = std::make_unique<Timer>(threads.front()->io().get_executor());
  }

  Status listen();
  void accept();
  void take(TcpSocket socket);
  void stop(Millis deadline_ms);

  std::shared_ptr<Shared> shared;
  std::vector<std::shared_ptr<IoThread>> threads;
  std::unique_ptr<Acceptor> acceptor;
  std::unique_ptr<Timer> pause;
  std::uint16_t port = 0;
  std::size_t next = 0;
  bool started = false;
};

Status Gateway::Impl::listen() {
  TROUPE_TRY_ASSIGN(const auto address, address_of(shared->options.host));
  const tcp::endpoint endpoint{address, shared->options.port};
  const auto where = shared->options.host + ":" + std::to_string(shared->options.port);
  boost::system::error_code error;
  const auto failed = [&](const char* what) {
    return Error{error == asio::error::address_in_use ? Errc::overloaded : Errc::invalid_argument,
                 std::string(what) + " " + where + ": " + error.message()};
  };
  if (acceptor->open(endpoint.protocol(), error)) return failed("open");
  if (acceptor->set_option(asio::socket_base::reuse_address(true), error)) return failed("open");
  if (acceptor->bind(endpoint, error)) return failed("listen on");
  if (acceptor->listen(asio::socket_base::max_listen_connections, error)) return failed("listen on");
  port = acceptor->local_endpoint(error).port();
  return ok();
}

void Gateway::Impl::accept() {
  auto& thread = *threads[next];
  acceptor->async_accept(thread.io(), [this](boost::system::error_code error, TcpSocket socket) {
    if (error == asio::error::operation_aborted || !acceptor->is_open()) return;
    if (error) {
      // No descriptor left, most likely: some will come back.
      log::warn("a connection could not be accepted", {log::kv("why", error.message())});
      pause->expires_after(std::chrono::milliseconds(100));
      pause->async_wait([this](boost::system::error_code stopped) {
        if (!stopped) accept();
      });
      return;
    }
    take(std::move(socket));
    accept();
  });
}

void Gateway::Impl::take(TcpSocket socket) {
  boost::system::error_code error;
  const auto peer = socket.remote_endpoint(error);
  if (error) return;  // gone already
  const auto address = peer.address().to_string(error);
  if (!shared->admit(address, peer.address().is_loopback())) {
    constexpr std::string_view full =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 84\r\n"
        "Retry-After: 1\r\nConnection: close\r\n\r\n"
        "{\"error_code\":50302,\"message\":\"there are too many connections\",\"code\":\"overloaded\"}\n";
    socket.non_blocking(true, error);
    socket.write_some(asio::buffer(full), error);
    return;
  }
  threads[next]->serve(std::move(socket), address);
  next = (next + 1) % threads.size();
}

void Gateway::Impl::stop(Millis deadline_ms) {
  if (!started) return;
  started = false;
  shared->draining = true;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t left = threads.size();
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(deadline_ms);
  asio::post(threads.front()->io(), [this] {
    boost::system::error_code ignored;
    acceptor->close(ignored);
    pause->cancel();
  });
  for (const auto& thread : threads) {
    thread->drain(deadline_ms, [&] {
      const std::lock_guard lock(mutex);
      --left;
      changed.notify_one();
    });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait_until(lock, until, [&] { return left == 0; });
  }
  // The loops end before the locals that their handlers point to.
  for (const auto& thread : threads) thread->stop();
  shared->rest.consumers->end();
}

Gateway::Gateway(GatewayOptions options, BrokerApi& broker, metrics::Registry& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), broker, metrics)) {}

Gateway::~Gateway() { impl_->stop(0); }

Status Gateway::start() {
  TROUPE_TRY(impl_->listen());
  impl_->started = true;
  impl_->accept();
  for (const auto& thread : impl_->threads) thread->start();
  return ok();
}

std::uint16_t Gateway::port() const { return impl_->port; }

void Gateway::stop(Millis deadline_ms) { impl_->stop(deadline_ms); }

}  // namespace troupe::http
