#include <algorithm>
#include <cstring>

#include "http/json/produce_body.hpp"
#include "http/message/body_coding.hpp"
#include "http/server/session.hpp"
#include "http/server/session_call.hpp"

namespace troupe::http {
namespace {

constexpr std::size_t chunk_read_bytes = std::size_t{16} << 10;
constexpr Millis body_ms_max = 24LL * 3600 * 1000;  // progress decides, see body_is_too_slow

HttpError too_busy() {
  return {.status = 503,
          .number = 50302,
          .code = "overloaded",
          .message = "too many bytes of requests are under way",
          .retry_after_ms = 1000,
          .close = true};
}

}  // namespace

void Session::begin_body() {
  body_.clear();
  body_filled_ = body_received_ = 0;
  chunks_.reset();
  if (!framing_.has_body()) return end_body();
  const std::size_t expected =
      framing_.content_length ? static_cast<std::size_t>(*framing_.content_length) : chunk_read_bytes;
  if (!thread_.shared()->reserve_bytes(expected)) {
    return refuse(too_busy());
  }
  reserved_bytes_ = expected;
  body_began_ = thread_.now();
  set_phase(Phase::body, body_ms_max);
  if (framing_.chunked) {
    chunks_.emplace(limits());
  } else {
    body_.reserve(expected + json_padding_bytes);
    body_.resize(expected);
  }
  if (framing_.expect_continue && filled_ == used_) {
    // Few bytes on a socket that nothing else is written to: they fit its buffer, and a failure shows at the next read.
    beast::error_code ignored;
    asio::write(socket_, asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")), ignored);
  }
  if (framing_.chunked) return take_chunks({buffer_.data() + used_, filled_ - used_}, true);
  const auto there = std::min(expected, filled_ - used_);
  if (there > 0) std::memcpy(body_.data(), buffer_.data() + used_, there);
  used_ += there;
  body_filled_ = body_received_ = there;
  if (body_filled_ == body_.size()) return end_body();
  read_body();
}

void Session::read_body() {
  const auto target = chunks_
                          ? asio::buffer(chunk_bytes_.data(), chunk_bytes_.size())
                          : asio::buffer(reinterpret_cast<char*>(body_.data()) + body_filled_, body_.size() - body_filled_);
  socket_.async_read_some(
      target, [self = shared_from_this()](beast::error_code error, std::size_t size) { self->on_body_bytes(error, size); });
}

void Session::on_body_bytes(beast::error_code error, std::size_t size) {
  if (phase_ != Phase::body) return;
  if (error) return close();  // half a request is none
  body_received_ += size;
  if (chunks_) return take_chunks({chunk_bytes_.data(), size}, false);
  body_filled_ += size;
  if (body_filled_ == body_.size()) return end_body();
  read_body();
}

/// `in_buffer`: the bytes lie behind the header, else in chunk_bytes_.
void Session::take_chunks(std::string_view bytes, bool in_buffer) {
  const auto size = bytes.size();
  const auto state = chunks_->feed(bytes, body_);
  if (in_buffer) {
    used_ += size - bytes.size();
    body_received_ += size - bytes.size();
  } else {
    chunk_rest_ = bytes;
  }
  if (state == ChunkedBody::State::refused) return refuse(chunks_->error());
  if (body_.size() > reserved_bytes_) {
    const auto more = body_.size() - reserved_bytes_ + chunk_read_bytes;
    if (!thread_.shared()->reserve_bytes(more)) return refuse(too_busy());
    reserved_bytes_ += more;
  }
  if (state == ChunkedBody::State::done) return end_body();
  chunk_bytes_.resize(chunk_read_bytes);
  read_body();
}

void Session::end_body() {
  if (refusal_) return refuse(std::move(*std::exchange(refusal_, std::nullopt)));
  if (auto wrong = unpack_body(framing_.coding, limits(), body_)) return refuse(std::move(*wrong));
  dispatch();
}

}  // namespace troupe::http
