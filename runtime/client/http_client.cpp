#include "runtime/client/http_client.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>

#include <boost/asio/signal_set.hpp>

#include "http/net.hpp"
#include "runtime/client/endpoints.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::client {
namespace {

namespace asio = http::asio;
namespace beast = http::beast;
namespace bhttp = http::bhttp;
using boost::system::error_code;
using http::tcp;

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t answer_bytes_max = std::uint64_t{256} << 20;

}  // namespace

struct HttpClient::Impl {
  explicit Impl(std::vector<Url> urls_) : urls(std::move(urls_)) {}

  const std::vector<Url> urls;
  std::size_t current = 0;
  asio::io_context context{1};
  std::optional<http::TcpStream> stream = {};
  beast::flat_buffer buffer = {};
  std::optional<asio::signal_set> signals = {};
  bool interrupted = false;

  void listen_for_signals() {
    signals.emplace(context, SIGINT, SIGTERM);
    signals->async_wait([this](error_code error, int) {
      if (error) return;
      interrupted = true;
      if (stream) stream->cancel();
    });
  }

  /// Starts an operation and works until it is over. `start` is given a function that takes the outcome.
  template <class Start>
  error_code wait_for(Start start) {
    std::optional<error_code> outcome;
    start([&](error_code error) { outcome = error; });
    while (!outcome && context.run_one() > 0) {
      if (interrupted && stream) stream->cancel();
    }
    return outcome.value_or(asio::error::operation_aborted);
  }

  const Url& url() const { return urls[current]; }
  void go_to_next() {
    stream.reset();
    current = (current + 1) % urls.size();
  }

  /// To the first of the nodes that takes it. Each has its share of the time.
  Status connect(Clock::time_point deadline) {
    Status status = ok();
    for (auto left = static_cast<int>(urls.size()); left > 0; --left) {
      const auto now = Clock::now();
      status = connect_to_current(now + (deadline - now) / left);
      if (status || interrupted) return status;
      go_to_next();
    }
    return status;
  }

  Status connect_to_current(Clock::time_point deadline) {
    std::vector<tcp::endpoint> endpoints;
    if (const auto error = endpoints_of(context, url(), endpoints)) return unreachable(error);
    buffer.clear();
    stream.emplace(context);
    stream->expires_at(deadline);
    const auto error = wait_for([&](auto done) {
      stream->async_connect(endpoints, [done](error_code failed, const tcp::endpoint&) mutable { done(failed); });
    });
    if (error) {
      stream.reset();
      return interrupted ? interruption() : unreachable(error);
    }
    error_code ignored;
    stream->socket().set_option(tcp::no_delay(true), ignored);
    return ok();
  }

  Error unreachable(const error_code& error) const {
    const auto why = error == beast::error::timeout ? std::string("no answer in time") : error.message();
    return {Errc::leader_not_available, "no connection to " + url().authority() + ": " + why};
  }
  static Error interruption() { return {Errc::cancelled, "interrupted"}; }

  /// Whether the kept connection is still good for a request that must not be sent twice.
  bool is_quiet() {
    char byte = 0;
    const auto size = ::recv(stream->socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && buffer.size() == 0;
  }

  bhttp::request<bhttp::string_body> message(const HttpRequest& request) const {
    bhttp::request<bhttp::string_body> out{bhttp::string_to_verb(request.method), url().prefix + request.target, 11};
    out.set(bhttp::field::host, url().authority());
    out.set(bhttp::field::user_agent, "troupe");
    out.set(bhttp::field::accept, "application/json");
    if (!request.body.empty()) out.set(bhttp::field::content_type, request.content_type);
    out.body() = request.body;
    out.prepare_payload();
    return out;
  }

  struct Exchange {
    error_code error = {};
    bool answered = false;  ///< something of an answer came
    HttpResponse response = {};
  };

  Exchange exchange(const HttpRequest& request, Clock::time_point deadline) {
    Exchange result;
    const auto out = message(request);
    stream->expires_at(deadline);
    result.error = wait_for([&](auto done) {
      bhttp::async_write(*stream, out, [done](error_code error, std::size_t) mutable { done(error); });
    });
    // A node that refuses a body may have answered before it was sent whole.
    bhttp::response_parser<bhttp::string_body> parser;
    parser.body_limit(answer_bytes_max);
    const auto write_error = result.error;
    if (interrupted || write_error == beast::error::timeout) {
      stream.reset();
      return result;
    }
    result.error = wait_for([&](auto done) {
      bhttp::async_read(*stream, buffer, parser, [done](error_code error, std::size_t) mutable { done(error); });
    });
    result.answered = parser.got_some();
    if (result.error || write_error || !parser.keep_alive()) stream.reset();
    if (!result.error) {
      auto answer = parser.release();
      result.response = {answer.result_int(), std::string(answer[bhttp::field::content_type]), std::move(answer.body())};
    }
    return result;
  }

  Result<HttpResponse> send(const HttpRequest& request) {
    const auto deadline = Clock::now() + std::chrono::milliseconds(request.timeout_ms);
    if (interrupted) return interruption();
    const bool repeatable = request.method == "GET";
    for (bool again = false;; again = true) {
      if (stream && !is_quiet()) stream.reset();
      const bool kept = stream.has_value();
      if (!kept) TROUPE_TRY(connect(deadline));
      auto result = exchange(request, deadline);
      if (!result.error) return std::move(result.response);
      if (interrupted) return interruption();
      if (kept && repeatable && !again && !result.answered && result.error != beast::error::timeout) continue;
      auto error = failure(result, request.timeout_ms);
      go_to_next();
      return error;
    }
  }

  Error failure(const Exchange& result, Millis timeout_ms) const {
    const auto& error = result.error;
    if (error == beast::error::timeout) {
      return {Errc::request_timed_out,
              "no answer from " + url().authority() + " within " + runtime::format_duration(timeout_ms)};
    }
    if (error == bhttp::error::body_limit) {
      return {Errc::message_too_large, "the answer of " + url().authority() + " is larger than " +
                                           runtime::format_size(std::int64_t{answer_bytes_max})};
    }
    if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message ||
        error.category() == asio::error::get_system_category()) {
      return {Errc::request_timed_out, url().authority() + " closed the connection before it answered whole"};
    }
    return {Errc::corrupt_message, "what " + url().authority() + " answers is not HTTP: " + error.message()};
  }
};

HttpClient::HttpClient(std::vector<Url> urls, bool interruptible) : impl_(std::make_unique<Impl>(std::move(urls))) {
  if (interruptible) impl_->listen_for_signals();
}
HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
  try {
    return impl_->send(request);
  } catch (const std::exception& error) {
    impl_->stream.reset();
    return Error{Errc::unknown_error, std::string("asking ") + impl_->url().authority() + ": " + error.what()};
  }
}

Status HttpClient::pause(Millis duration_ms) {
  if (impl_->interrupted) return Impl::interruption();
  http::Timer timer(impl_->context, std::chrono::milliseconds(duration_ms));
  bool over = false;
  timer.async_wait([&](error_code) { over = true; });
  while (!over && impl_->context.run_one() > 0) {
    if (impl_->interrupted) timer.cancel();
  }
  return impl_->interrupted ? Status(Impl::interruption()) : ok();
}

const Url& HttpClient::url() const { return impl_->url(); }

}  // namespace troupe::client
