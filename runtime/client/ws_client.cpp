#include "runtime/client/ws_client.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>

#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/websocket.hpp>

#include "http/net.hpp"
#include "runtime/client/endpoints.hpp"

namespace troupe::client {
namespace {

namespace asio = http::asio;
namespace beast = http::beast;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Stream = websocket::stream<http::TcpStream, false>;

constexpr std::size_t message_bytes_max = std::size_t{64} << 20;
constexpr std::chrono::seconds silence_max{60};  // a node pings every 25 s
constexpr std::chrono::seconds write_max{30};
constexpr std::chrono::seconds close_max{2};

std::chrono::milliseconds ms(Millis duration) { return std::chrono::milliseconds(duration); }

}  // namespace

struct WsClient::Impl {
  explicit Impl(std::vector<Url> urls_) : urls(std::move(urls_)) {}

  std::vector<Url> urls;
  std::size_t next = 0;  ///< whom to connect to
  std::size_t current = 0;
  asio::io_context context{1};
  std::optional<asio::signal_set> signals = {};
  bool interrupted = false;
  std::optional<Stream> stream = {};
  beast::flat_buffer buffer = {};
  bool reading = false;  ///< a read is under way, also between two calls of `receive`
  std::optional<error_code> read_outcome = {};

  void listen_for_signals() {
    interrupted = false;
    signals.emplace(context, SIGINT, SIGTERM);
    signals->async_wait([this](error_code error, int) {
      if (!error) interrupted = true;
    });
  }

  static Error interruption() { return {Errc::cancelled, "interrupted"}; }
  Error gone(const std::string& why) const {
    return {Errc::request_timed_out, "the connection to " + urls[current].authority() + " is gone: " + why};
  }

  /// Works until `is_over`, the deadline or an interruption.
  template <class IsOver>
  bool work_until(Clock::time_point deadline, IsOver is_over) {
    while (!is_over() && !interrupted) {
      if (context.run_one_until(deadline) == 0 && Clock::now() >= deadline) break;
      context.restart();
    }
    return is_over();
  }

  /// One operation, to its end: what does not end in time, or is interrupted, takes its socket with it.
  template <class Start>
  error_code wait_for(Clock::time_point deadline, Start start) {
    std::optional<error_code> outcome;
    start([&](error_code error) { outcome = error; });
    if (work_until(deadline, [&] { return outcome.has_value(); })) return *outcome;
    beast::get_lowest_layer(*stream).close();
    while (!outcome) {
      context.run_one();
      context.restart();
    }
    return asio::error::timed_out;
  }

  /// Without a word. The read that is under way ends first: it writes to our buffer.
  void drop() {
    if (!stream) return;
    beast::get_lowest_layer(*stream).close();
    while (reading && !read_outcome) {
      context.run_one();
      context.restart();
    }
    reading = false;
    read_outcome.reset();
    stream.reset();
    buffer.clear();
  }

  Status connect_to(const Url& url, Clock::time_point deadline) {
    std::vector<http::tcp::endpoint> endpoints;
    auto error = endpoints_of(context, url, endpoints);
    if (!error) {
      stream.emplace(context);
      error = wait_for(deadline, [&](auto done) {
        beast::get_lowest_layer(*stream).async_connect(
            endpoints, [done](error_code failed, const http::tcp::endpoint&) mutable { done(failed); });
      });
    }
    if (!error) {
      error_code ignored;
      beast::get_lowest_layer(*stream).socket().set_option(http::tcp::no_delay(true), ignored);
      stream->read_message_max(message_bytes_max);
      stream->set_option(websocket::stream_base::decorator([](websocket::request_type& request) {
        request.set(beast::http::field::sec_websocket_protocol, "troupe.v1.json");
        request.set(beast::http::field::user_agent, "troupe");
      }));
      stream->set_option(websocket::stream_base::timeout{
          std::max(std::chrono::seconds(1), std::chrono::ceil<std::chrono::seconds>(deadline - Clock::now())), silence_max,
          false});
      error = wait_for(deadline, [&](auto done) {
        stream->async_handshake(url.authority(), url.prefix + "/v1/ws", [done](error_code failed) mutable { done(failed); });
      });
    }
    if (!error) return ok();
    stream.reset();
    if (interrupted) return interruption();
    const auto why = error == asio::error::timed_out ? std::string("no answer in time") : error.message();
    return Error{Errc::leader_not_available, "no connection to " + url.authority() + ": " + why};
  }

  Status connect(Millis timeout_ms) {
    if (interrupted) return interruption();
    drop();
    const auto deadline = Clock::now() + ms(timeout_ms);
    Status status = ok();
    for (auto left = static_cast<int>(urls.size()); left > 0; --left) {
      current = next;
      next = (next + 1) % urls.size();
      const auto now = Clock::now();
      status = connect_to(urls[current], now + (deadline - now) / left);
      if (status || interrupted) return status;
    }
    return status;
  }

  Status send(const std::string& text) {
    if (interrupted) return interruption();
    if (!stream) return gone("it was never there");
    const auto error = wait_for(Clock::now() + write_max, [&](auto done) {
      stream->async_write(asio::buffer(text), [done](error_code failed, std::size_t) mutable { done(failed); });
    });
    if (!error) return ok();
    drop();
    return interrupted ? interruption() : gone(error.message());
  }

  Result<std::optional<std::string>> receive(Millis wait_ms) {
    if (interrupted) return interruption();
    if (!stream) return gone("it was never there");
    if (!reading) {
      reading = true;
      stream->async_read(buffer, [this](error_code error, std::size_t) { read_outcome = error; });
    }
    if (!work_until(Clock::now() + ms(wait_ms), [this] { return read_outcome.has_value(); })) {
      if (interrupted) return interruption();
      return std::optional<std::string>();
    }
    reading = false;
    const auto error = *std::exchange(read_outcome, std::nullopt);
    if (error) {
      const auto& reason = stream->reason();
      auto why = error == websocket::error::closed ? std::to_string(reason.code) + " " + std::string(reason.reason.c_str())
                                                   : error.message();
      drop();
      return gone(why);
    }
    std::optional<std::string> message(beast::buffers_to_string(buffer.data()));
    buffer.clear();
    return message;
  }

  void close() {
    if (!stream) return;
    if (!interrupted) {
      (void)wait_for(Clock::now() + close_max, [&](auto done) {
        stream->async_close(websocket::close_code::normal, [done](error_code failed) mutable { done(failed); });
      });
    }
    drop();
  }
};

WsClient::WsClient(std::vector<Url> urls) : impl_(std::make_unique<Impl>(std::move(urls))) { impl_->listen_for_signals(); }
WsClient::~WsClient() { impl_->drop(); }

Status WsClient::connect(Millis timeout_ms) { return impl_->connect(timeout_ms); }
Status WsClient::send(std::string text) { return impl_->send(text); }
Result<std::optional<std::string>> WsClient::receive(Millis wait_ms) { return impl_->receive(wait_ms); }
Status WsClient::pause(Millis duration_ms) {
  (void)impl_->work_until(Clock::now() + ms(duration_ms), [] { return false; });
  return impl_->interrupted ? Status(Impl::interruption()) : ok();
}
void WsClient::add(Url url) {
  const auto found = std::ranges::find(impl_->urls, url);
  impl_->next = static_cast<std::size_t>(found - impl_->urls.begin());
  if (found == impl_->urls.end()) impl_->urls.push_back(std::move(url));
}
void WsClient::close() { impl_->close(); }
void WsClient::forget_interruption() { impl_->listen_for_signals(); }
const Url& WsClient::url() const { return impl_->urls[impl_->current]; }

}  // namespace troupe::client
