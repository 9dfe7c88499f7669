#include "runtime/node/tcp_probe.hpp"

// Asio 1.81 uses std::exchange without including it.
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <string>
#include <thread>

namespace troupe::runtime {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Failure = boost::system::error_code;
using Outcome = link::ProbeResult::Outcome;

/// One probe; lives as long as something of it is under way.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(asio::io_context& io, std::function<void(link::ProbeResult)> done)
      : resolver_(io), socket_(io), timer_(io), done_(std::move(done)) {}
  ~Attempt() { finish({Outcome::failed, {}, "the node is stopping"}); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void start(const link::PeerAddress& address, Millis timeout_ms) {
    timer_.expires_after(std::chrono::milliseconds(timeout_ms));
    timer_.async_wait([self = shared_from_this(), timeout_ms](Failure failed) {
      if (!failed) self->finish({Outcome::failed, {}, "no answer within " + std::to_string(timeout_ms) + " ms"});
    });
    Failure no_number;
    const auto number = asio::ip::make_address(address.host, no_number);
    if (!no_number) return connect(std::array{tcp::endpoint{number, address.port}});
    resolver_.async_resolve(address.host, std::to_string(address.port), tcp::resolver::numeric_service,
                            [self = shared_from_this()](Failure failed, const tcp::resolver::results_type& found) {
                              if (failed) return self->finish({Outcome::failed, {}, failed.message()});
                              self->connect(found);
                            });
  }

 private:
  template <class Endpoints>
  void connect(const Endpoints& endpoints) {
    if (!done_) return;
    asio::async_connect(socket_, endpoints, [self = shared_from_this()](Failure failed, const tcp::endpoint& endpoint) {
      if (!failed) return self->finish({Outcome::open, endpoint.address().to_string(), {}});
      const bool refused = failed == asio::error::connection_refused;
      self->finish({refused ? Outcome::refused : Outcome::failed, {}, failed.message()});
    });
  }

  void finish(link::ProbeResult result) {
    const auto done = std::exchange(done_, nullptr);
    if (!done) return;
    timer_.cancel();
    resolver_.cancel();
    Failure ignored;
    socket_.close(ignored);
    done(std::move(result));
  }

  tcp::resolver resolver_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::function<void(link::ProbeResult)> done_;
};

}  // namespace

struct TcpProbe::Impl {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard = asio::make_work_guard(io);
  std::thread thread{[this] { io.run(); }};
};

TcpProbe::TcpProbe() : impl_(std::make_unique<Impl>()) {}

TcpProbe::~TcpProbe() {
  impl_->io.stop();
  impl_->thread.join();
}

void TcpProbe::probe(const link::PeerAddress& address, Millis timeout_ms, std::function<void(link::ProbeResult)> done) {
  auto attempt = std::make_shared<Attempt>(impl_->io, std::move(done));
  asio::post(impl_->io, [attempt = std::move(attempt), address, timeout_ms] { attempt->start(address, timeout_ms); });
}

}  // namespace troupe::runtime
