#include "http/server/session.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.hpp"
#include "http/server/session_call.hpp"

namespace troupe::http {

Session::Session(IoThread& thread, TcpSocket socket, std::string address, std::size_t slot)
    : thread_(thread), socket_(std::move(socket)), address_(std::move(address)), slot_(slot), buffer_(buffer_bytes_first) {}

Session::~Session() = default;

void Session::start() {
  beast::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  set_phase(Phase::first_byte, limits().first_byte_ms_max);
  read_header();
}

void Session::set_phase(Phase phase, Millis within_ms) {
  phase_ = phase;
  deadline_ = thread_.now() + within_ms;
}

Dialect Session::dialect() const { return match_.route == nullptr ? Dialect::v1 : match_.route->dialect; }

void Session::close() {
  if (phase_ == Phase::gone) return;
  const auto self = shared_from_this();
  phase_ = Phase::gone;
  beast::error_code ignored;
  socket_.close(ignored);
  thread_.shared()->release(address_);
  if (reserved_bytes_ > 0) thread_.shared()->free_bytes(std::exchange(reserved_bytes_, 0));
  if (auto call = std::exchange(call_, nullptr)) {
    call->detach();
    call->hurry();
  }
  thread_.remove(*this);
}

void Session::drain() {
  draining_ = true;
  if (phase_ == Phase::idle || phase_ == Phase::first_byte) return close();
  if (call_) {
    const auto call = call_;
    call->hurry();
  }
}

// --- deadlines ----------------------------------------------------------------------------------------------------------------------

void Session::sweep(MonotonicMs now) {
  const auto self = shared_from_this();
  if (phase_ == Phase::handling && peer_closed_ && call_ && call_->waits()) {
    const auto call = call_;
    return call->hurry();
  }
  if (now >= deadline_ || body_is_too_slow(now)) on_deadline();
}

bool Session::body_is_too_slow(MonotonicMs now) const {
  if (phase_ != Phase::body) return false;
  const auto taken_ms = now - body_began_;
  if (taken_ms < limits().body_grace_ms) return false;
  return body_received_ < static_cast<std::size_t>(taken_ms) * limits().body_bytes_per_s_min / 1000;
}

void Session::on_deadline() {
  const auto out_of_time = [this](std::string message) {
    auto error = http_error(408, "timeout", std::move(message));
    error.close = true;
    beast::error_code ignored;
    socket_.cancel(ignored);
    refuse(std::move(error));
  };
  switch (phase_) {
    case Phase::header: return out_of_time("the header did not come in time");
    case Phase::body: return out_of_time("the body did not come in time");
    case Phase::handling: {
      const auto call = call_;
      if (call && call->waits()) {
        deadline_ = thread_.now() + limits().request_ms_max;
        return call->hurry();
      }
      return refuse({.status = 503,
                     .number = 50004,
                     .code = "timeout",
                     .message = "the request took too long; its outcome is unknown",
                     .retry_after_ms = 1000,
                     .close = true});
    }
    case Phase::first_byte:
    case Phase::idle:
    case Phase::writing:
    case Phase::lingering: return close();
    case Phase::gone: return;
  }
}

// --- the header ---------------------------------------------------------------------------------------------------------------------

void Session::read_header() {
  if (used_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + used_, filled_ - used_);
    filled_ -= used_;
    used_ = 0;
  }
  if (filled_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);  // the scanner refuses long before this is much
  socket_.async_read_some(
      asio::buffer(buffer_.data() + filled_, buffer_.size() - filled_),
      [self = shared_from_this()](beast::error_code error, std::size_t size) { self->on_header_bytes(error, size); });
}

void Session::on_header_bytes(beast::error_code error, std::size_t size) {
  if (phase_ != Phase::first_byte && phase_ != Phase::idle && phase_ != Phase::header) return;
  if (error) return close();
  filled_ += size;
  process_header();
}

void Session::process_header() {
  if (phase_ != Phase::header) {
    began_ = std::chrono::steady_clock::now();
    set_phase(Phase::header, limits().headers_ms_max);
  }
  const std::string_view bytes{buffer_.data() + used_, filled_ - used_};
  switch (scanner_.feed(bytes, limits())) {
    case HeaderScanner::State::more: return read_header();
    case HeaderScanner::State::not_http:
      if (thread_.shared()->may_tell_of_tls(thread_.now())) {
        log::warn("TLS on a plain port: use http:// here", {log::kv("from", address_)});
      }
      return close();
    case HeaderScanner::State::refused: return refuse(scanner_.error());
    case HeaderScanner::State::complete: return take_header(used_ + scanner_.begin(), used_ + scanner_.end());
  }
}

void Session::take_header(std::size_t begin, std::size_t end) {
  used_ = end;
  ++served_;
  auto wrong = parse_request_head({buffer_.data() + begin, end - begin}, limits(), head_);
  if (!wrong) wrong = check_framing(head_, thread_.shared()->hosts, limits(), framing_);
  if (wrong && wrong->close) return refuse(std::move(*wrong));
  if (framing_.foreign_origin && !framing_.origin.empty() && thread_.shared()->is_of_cluster(framing_.origin)) {
    framing_.foreign_origin = false;
    framing_.allowed_origin = true;
  }
  const bool expects = framing_.expect_continue;
  if (!wrong) wrong = check_and_route();
  if (phase_ != Phase::header) return;  // handed over, or answered
  if (!wrong) return begin_body();
  // The connection goes on when what is left of this request is small enough to be skipped.
  constexpr std::uint64_t skipped_bytes_max = std::uint64_t{64} << 10;
  if (!framing_.has_body() || wrong->close) return refuse(std::move(*wrong));
  if (expects || framing_.chunked || framing_.content_length.value_or(0) > skipped_bytes_max) {
    wrong->close = true;
    return refuse(std::move(*wrong));
  }
  refusal_ = std::move(wrong);
  begin_body();
}

std::optional<HttpError> Session::check_and_route() {
  if (framing_.path == "*") {
    respond({.status = 204, .content_type = {}, .headers = {{"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}}});
    return std::nullopt;
  }
  if (auto wrong = parse_target(framing_.path, target_)) return wrong;
  if (head_.method == Method::options) {
    preflight();
    return std::nullopt;
  }
  if (auto wrong = find_route()) return wrong;
  if (phase_ != Phase::header) return std::nullopt;
  const bool stream = match_.route != nullptr && match_.route->kind != RouteKind::handler;
  if (auto wrong = check_origin(head_.method, framing_, stream)) return wrong;
  if (auto wrong = Query::parse(target_.query, query_)) return wrong;
  if (match_.route == nullptr) return std::nullopt;
  if (!match_.route->while_starting && !thread_.shared()->rest.broker.ready()) {
    return http_error({Errc::overloaded, "the node is starting: retry"});
  }
  if (match_.route->kind == RouteKind::websocket) {
    if (auto wrong = check_websocket(head_, framing_)) return wrong;
  } else if (auto wrong = check_request(*match_.route, head_, framing_.has_body(), query_)) {
    return wrong;
  }
  if (!stream) return std::nullopt;
  if (framing_.has_body()) return broken_request("a stream's request has no body");
  if (head_.method == Method::head) return http_error(405, "unsupported", "a stream has no HEAD");
  if (draining_)
    return HttpError{.status = 503, .number = 50302, .code = "overloaded", .message = "this node stops", .close = true};
  hand_over();
  return std::nullopt;
}

/// A route, or a static file where there is none. `GET /` is a page for browsers.
std::optional<HttpError> Session::find_route() {
  auto wrong = thread_.shared()->router.find(head_.method, target_, match_);
  const bool reads = head_.method == Method::get || head_.method == Method::head;
  const bool root = target_.segments.empty();
  if (!reads || !(wrong || root)) return wrong;
  if (root && head_.field("Accept").value_or("").find("text/html") == std::string_view::npos) return wrong;
  const auto& files = thread_.shared()->files;
  const auto found = files.find(target_.path);
  if (found == files.end()) {
    const auto folder = std::string(target_.path) + "/";
    if (!files.contains(folder)) return wrong;
    respond({.status = 308, .content_type = {}, .headers = {{"Location", folder}}, .close = framing_.has_body()});
    return std::nullopt;
  }
  file_ = found->second;
  match_ = {};
  return std::nullopt;
}

void Session::preflight() {
  const auto allow =
      target_.segments.empty() ? std::string("GET, HEAD, OPTIONS") : thread_.shared()->router.allowed(target_);
  if (auto wrong = check_origin(Method::options, framing_, true)) {
    wrong->close = framing_.has_body();
    return refuse(std::move(*wrong));
  }
  if (allow.empty()) {
    auto error = http_error(404, "not_found", "there is nothing at this path");
    error.close = framing_.has_body();
    return refuse(std::move(error));
  }
  Response response{.status = 204, .content_type = {}, .headers = {{"Allow", allow}}, .close = framing_.has_body()};
  if (framing_.allowed_origin && head_.field("Access-Control-Request-Method")) {
    response.headers.emplace_back("Access-Control-Allow-Methods", allow);
    response.headers.emplace_back("Access-Control-Allow-Headers",
                                  "Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID");
    response.headers.emplace_back("Access-Control-Max-Age", "600");
  }
  respond(std::move(response));
}

/// Gives the connection to the streams of this thread. From there on it counts as one of theirs.
void Session::hand_over() {
  EmptyRequest request;
  request.method(bhttp::verb::get);
  request.target(beast::string_view(head_.target.data(), head_.target.size()));
  request.version(head_.version);
  for (const auto& field : head_.fields) {
    request.insert(beast::string_view(field.name.data(), field.name.size()),
                   beast::string_view(field.value.data(), field.value.size()));
  }
  beast::flat_buffer rest;
  if (const auto size = filled_ - used_; size > 0) {
    std::memcpy(rest.prepare(size).data(), buffer_.data() + used_, size);
    rest.commit(size);
  }
  const auto kind = match_.route->kind;
  auto topic = match_.parameters.empty() ? std::string() : match_.parameters.front();
  thread_.count_request(match_.route, kind == RouteKind::websocket ? 101 : 200, 0);
  std::string query(target_.query);
  phase_ = Phase::gone;
  thread_.shared()->release(address_);
  thread_.remove(*this);
  if (kind == RouteKind::websocket) {
    thread_.streams().accept_websocket(std::move(socket_), std::move(rest), std::move(request), std::move(query));
  } else {
    thread_.streams().accept_events(std::move(socket_), std::move(request), std::move(topic), std::move(query));
  }
  thread_.count_streams();
}

// --- waiting answers ----------------------------------------------------------------------------------------------------------------

void Session::watch_peer() {
  if (call_) {
    const auto wait_ms = call_->take_wait();
    deadline_ = thread_.now() + std::max<Millis>(wait_ms, 0);
  }
  if (watching_ || filled_ > used_) return;
  watching_ = true;
  socket_.async_wait(TcpSocket::wait_read, [self = shared_from_this()](beast::error_code error) {
    self->watching_ = false;
    if (error || self->phase_ != Phase::handling) return;
    char byte = 0;
    if (::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return;
    // The client has said all it will say; it may still listen. What there is, it gets now.
    self->peer_closed_ = true;
    if (const auto call = self->call_) call->hurry();
  });
}

}  // namespace troupe::http
