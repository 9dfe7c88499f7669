#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "http/net.hpp"
#include "http/stream/frame_watch.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/websocket/teardown.hpp>

namespace troupe::http {

/// A connection under a WebSocket: what comes in passes a FrameWatch, what had been read before comes first. Once the watch objects,
/// nothing more is read: the reader waits until the connection is closed.
///
/// Writing never waits: what the socket does not take at once is kept, and follows in order as the socket takes more. So Beast may frame
/// messages with its plain synchronous calls, which cost a fraction of the composed ones. How much is kept is the writer's to bound: it
/// writes the next message when `unsent` is 0 again.
class WatchedStream {
 public:
  using executor_type = TcpSocket::executor_type;

  WatchedStream(TcpSocket socket, beast::flat_buffer read_before, FrameWatch watch, std::function<MonotonicMs()> now)
      : socket_(std::move(socket)), before_(std::move(read_before)), watch_(watch), now_(std::move(now)) {
    boost::system::error_code ignored;
    socket_.non_blocking(true, ignored);  // a socket that is gone says so when it is used
  }

  executor_type get_executor() { return socket_.get_executor(); }
  TcpSocket& socket() { return socket_; }
  const TcpSocket& socket() const { return socket_; }

  /// Who has this stream: nothing is called when it is gone. `objection`: once, when the watch objects. `drained`: each time that
  /// `unsent` has become 0 again, or with the error because of which it never will.
  void belong_to(std::weak_ptr<void> owner, std::function<void()> objection,
                 std::function<void(boost::system::error_code)> drained) {
    owner_ = std::move(owner);
    objection_ = std::move(objection);
    drained_ = std::move(drained);
  }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (objected_) {
      // Not a byte more: what completes this is the closing of the socket.
      socket_.async_wait(tcp::socket::wait_error, [h = std::forward<Handler>(handler)](boost::system::error_code) mutable {
        h(asio::error::operation_aborted, 0);
      });
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
    socket_.async_read_some(buffers, [this, buffers, h = std::forward<Handler>(handler)](boost::system::error_code error,
                                                                                         std::size_t size) mutable {
      if (!error) pass(buffers, size);
      h(error, size);
    });
  }

  /// Bytes that the socket has not taken yet.
  std::size_t unsent() const { return unsent_.size() - unsent_begin_; }

  /// Takes all of it.
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    const auto size = asio::buffer_size(buffers);
    std::size_t sent = 0;
    error = {};
    if (unsent() == 0) {
      sent = socket_.write_some(buffers, error);
      if (error == asio::error::would_block) error = {};
      if (error) return 0;
    }
    if (sent < size) keep(buffers, sent);
    return size;
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    boost::system::error_code error;
    const auto size = write_some(buffers, error);
    asio::post(get_executor(), [error, size, h = std::forward<Handler>(handler)]() mutable { std::move(h)(error, size); });
  }

  // Beast never calls these here; its concepts want them.
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    return socket_.read_some(buffers, error);
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    return socket_.read_some(buffers);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    boost::system::error_code error;
    const auto size = write_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return size;
  }

  friend void beast_close_socket(WatchedStream& stream) { beast::close_socket(stream.socket_); }
  friend void teardown(beast::role_type role, WatchedStream& stream, boost::system::error_code& error) {
    beast::websocket::teardown(role, stream.socket_, error);
  }
  template <class Handler>
  friend void async_teardown(beast::role_type role, WatchedStream& stream, Handler&& handler) {
    beast::websocket::async_teardown(role, stream.socket_, std::forward<Handler>(handler));
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

  /// Behind what is kept already.
  template <class Buffers>
  void keep(const Buffers& buffers, std::size_t sent) {
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
      const asio::const_buffer piece = *at;
      const auto skipped = std::min(sent, piece.size());
      sent -= skipped;
      unsent_.append(static_cast<const char*>(piece.data()) + skipped, piece.size() - skipped);
    }
    await_room();
  }
  void await_room() {
    if (std::exchange(waiting_, true)) return;
    socket_.async_wait(tcp::socket::wait_write, [this, owner = owner_](boost::system::error_code error) {
      const auto alive = owner.lock();
      if (!alive) return;
      waiting_ = false;
      if (!error) send_kept(error);
      if (!error && unsent() > 0) return await_room();
      drained_(error);
    });
  }
  void send_kept(boost::system::error_code& error) {
    while (!error && unsent() > 0) {
      unsent_begin_ += socket_.write_some(asio::buffer(unsent_.data() + unsent_begin_, unsent()), error);
    }
    if (error == asio::error::would_block) error = {};
    if (unsent() > 0) return;
    unsent_ = {};
    unsent_begin_ = 0;
  }

  TcpSocket socket_;
  beast::flat_buffer before_;
  FrameWatch watch_;
  std::function<MonotonicMs()> now_;
  std::function<void()> objection_;
  bool objected_ = false;
  std::string unsent_;
  std::size_t unsent_begin_ = 0;
  std::weak_ptr<void> owner_;
  std::function<void(boost::system::error_code)> drained_;
  bool waiting_ = false;
};

}  // namespace troupe::http
