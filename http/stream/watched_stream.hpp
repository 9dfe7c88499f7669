#pragma once

#include <cstring>
#include <functional>
#include <utility>

#include "http/net.hpp"
#include "http/stream/frame_watch.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/websocket/teardown.hpp>

namespace troupe::http {

/// A connection under a WebSocket: what comes in passes a FrameWatch, what had been read before comes first. Once the watch objects,
/// nothing more is read: the reader waits until the connection is closed.
class WatchedStream {
 public:
  using executor_type = TcpStream::executor_type;

  WatchedStream(TcpStream stream, beast::flat_buffer read_before, FrameWatch watch, std::function<MonotonicMs()> now)
      : stream_(std::move(stream)), before_(std::move(read_before)), watch_(watch), now_(std::move(now)) {}

  executor_type get_executor() { return stream_.get_executor(); }
  TcpStream& next_layer() { return stream_; }

  /// Called once, when the watch objects.
  void on_objection(std::function<void()> objection) { objection_ = std::move(objection); }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (objected_) {
      // Not a byte more: what completes this is the closing of the socket.
      stream_.socket().async_wait(
          tcp::socket::wait_error,
          [h = std::forward<Handler>(handler)](boost::system::error_code) mutable { h(asio::error::operation_aborted, 0); });
      return;
    }
    if (before_.size() > 0) {
      const auto size = asio::buffer_copy(buffers, before_.data());
      before_.consume(size);
      asio::post(get_executor(), [this, buffers, size, h = std::forward<Handler>(handler)]() mutable {
        pass(buffers, size);
        h(boost::system::error_code{}, size);
      });
      return;
    }
    stream_.async_read_some(buffers, [this, buffers, h = std::forward<Handler>(handler)](boost::system::error_code error,
                                                                                         std::size_t size) mutable {
      if (!error) pass(buffers, size);
      h(error, size);
    });
  }

  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    stream_.async_write_some(buffers, std::forward<Handler>(handler));
  }

  // Beast never calls these here; its concepts want them.
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    return stream_.read_some(buffers, error);
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    return stream_.read_some(buffers);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    return stream_.write_some(buffers, error);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    return stream_.write_some(buffers);
  }

  friend void beast_close_socket(WatchedStream& stream) { beast::close_socket(stream.stream_.socket()); }
  friend void teardown(beast::role_type role, WatchedStream& stream, boost::system::error_code& error) {
    beast::websocket::teardown(role, stream.stream_.socket(), error);
  }
  template <class Handler>
  friend void async_teardown(beast::role_type role, WatchedStream& stream, Handler&& handler) {
    beast::websocket::async_teardown(role, stream.stream_.socket(), std::forward<Handler>(handler));
  }

 private:
  template <class Buffers>
  void pass(const Buffers& buffers, std::size_t size) {
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers) && size > 0; ++at) {
      const asio::const_buffer piece = *at;
      const auto step = std::min(size, piece.size());
      size -= step;
      if (watch_.pass({static_cast<const std::byte*>(piece.data()), step}, now_())) continue;
      if (!std::exchange(objected_, true) && objection_) objection_();
      return;
    }
  }

  TcpStream stream_;
  beast::flat_buffer before_;
  FrameWatch watch_;
  std::function<MonotonicMs()> now_;
  std::function<void()> objection_;
  bool objected_ = false;
};

}  // namespace troupe::http
