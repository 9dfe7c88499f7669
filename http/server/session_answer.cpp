#include <array>

#include "base/log.hpp"
#include "http/server/session.hpp"
#include "http/server/session_call.hpp"

namespace troupe::http {
namespace {

constexpr Millis linger_ms = 2000, linger_ms_draining = 200;
constexpr std::size_t kept_bytes_max = std::size_t{64} << 10;  // of an answer's buffer, for the next one

}  // namespace

/// Hands the request to its handler. A handler may answer before it returns.
void Session::dispatch() {
  set_phase(Phase::handling, limits().request_ms_max);
  if (file_ != nullptr) return respond(file_response(*file_, head_));
  call_ = std::make_shared<SessionCall>(weak_from_this(), thread_.shared_from_this());
  const CallPtr call = call_;
  Request request{head_, *match_.route, match_.parameters, query_, std::move(body_)};
  try {
    match_.route->handler(thread_.shared()->rest, call, request);
  } catch (const std::exception& error) {
    // Ours and the broker's functions do not throw: this is memory, or a bug.
    log::error("a request's handler threw", {log::kv("op", match_.route->op), log::kv("what", error.what())});
    call->answer(error_response(http_error(500, "internal", "the server failed"), dialect()));
  }
}

void Session::answer(const SessionCall& call, Response response) {
  if (call_.get() != &call || phase_ != Phase::handling) return;
  respond(std::move(response));
}

void Session::refuse(HttpError error) { respond(error_response(error, dialect())); }

void Session::respond(Response response) {
  if (call_) {
    call_->detach();
    call_.reset();
  }
  close_after_ = response.close || !framing_.keep_alive || draining_ || peer_closed_ ||
                 served_ >= limits().requests_per_connection_max || thread_.shared()->draining;
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  thread_.count_request(match_.route, response.status, seconds);
  response_ = std::move(response);
  const ResponseContext context{.version = head_.version,
                                .close = close_after_,
                                .without_body = head_.method == Method::head,
                                .allowed_origin = framing_.allowed_origin ? framing_.origin : std::string_view{},
                                .date = thread_.date()};
  out_.clear();
  append_response_head(out_, response_, context);
  const bool bodiless = context.without_body || response_.status == 204 || response_.status == 304;
  if (bodiless) {
    response_.body.clear();
    response_.file = {};
  } else if (response_.file.empty() && response_.body.size() < kept_bytes_max) {
    out_ += response_.body;  // one buffer is cheaper than two
    response_.body.clear();
  }
  written_ = 0;
  set_phase(Phase::writing, limits().write_stall_ms_max);
  write_some();
}

void Session::write_some() {
  const std::string_view second = response_.file.empty() ? std::string_view(response_.body) : response_.file;
  if (written_ == out_.size() + second.size()) return finish_response();
  std::array<asio::const_buffer, 2> buffers;
  const auto first_left = out_.size() - std::min(written_, out_.size());
  buffers[0] = asio::const_buffer(out_.data() + (out_.size() - first_left), first_left);
  const auto second_written = written_ - std::min(written_, out_.size());
  buffers[1] = asio::const_buffer(second.data() + second_written, second.size() - second_written);
  socket_.async_write_some(buffers, [self = shared_from_this()](beast::error_code error, std::size_t size) {
    if (self->phase_ != Phase::writing) return;
    if (error) return self->close();
    self->written_ += size;
    self->set_phase(Phase::writing, self->limits().write_stall_ms_max);
    self->write_some();
  });
}

void Session::finish_response() {
  response_ = {};
  if (out_.capacity() > kept_bytes_max) out_ = {};
  if (reserved_bytes_ > 0) thread_.shared()->free_bytes(std::exchange(reserved_bytes_, 0));
  if (close_after_) return linger();
  next_request();
}

void Session::next_request() {
  scanner_ = {};
  head_.method = Method::get;
  head_.version = 11;
  head_.fields.clear();
  framing_ = {};
  match_ = {};
  file_ = nullptr;
  refusal_.reset();
  body_ = {};
  chunks_.reset();
  if (!chunk_rest_.empty()) {
    buffer_.resize(filled_);
    buffer_.insert(buffer_.end(), chunk_rest_.begin(), chunk_rest_.end());
    filled_ = buffer_.size();
    chunk_rest_ = {};
  }
  chunk_bytes_ = {};
  set_phase(Phase::idle, limits().keep_alive_ms_max);
  if (filled_ > used_) return process_header();
  if (buffer_.size() > kept_bytes_max) buffer_ = std::vector<char>(buffer_bytes_first);
  used_ = filled_ = 0;
  read_header();
}

/// Says goodbye and reads on for a moment: closing a socket with unread bytes resets the connection, and the answer is lost.
void Session::linger() {
  set_phase(Phase::lingering, draining_ ? linger_ms_draining : linger_ms);
  beast::error_code error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  if (error) return close();
  buffer_.resize(std::max(buffer_.size(), buffer_bytes_first));
  used_ = filled_ = 0;
  discard();
}

void Session::discard() {
  socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](beast::error_code error, std::size_t size) {
    if (self->phase_ != Phase::lingering) return;
    constexpr std::size_t discarded_bytes_max = std::size_t{1} << 20;
    self->filled_ += size;
    if (error || self->filled_ > discarded_bytes_max) return self->close();
    self->discard();
  });
}

}  // namespace troupe::http
