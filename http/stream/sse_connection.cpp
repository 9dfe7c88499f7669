#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "http/stream/connection.hpp"
#include "http/stream/sse_session.hpp"

#include <boost/asio/write.hpp>

namespace troupe::http {
namespace {

constexpr auto close_wait = std::chrono::seconds(2);

/// An event stream on a socket: the answer's head, then chunks (HTTP/1.1) or bytes up to the end of the connection (1.0).
class SseConnection final : public Connection, public SseTransport {
 public:
  SseConnection(std::shared_ptr<const StreamEnv> env, const GatewayOptions& options, TcpSocket socket, EmptyRequest request,
                std::string topic, std::string query, Gone gone)
      : env_(std::move(env)),
        options_(options),
        socket_(std::move(socket)),
        close_timer_(socket_.get_executor()),
        request_(std::move(request)),
        topic_(std::move(topic)),
        query_(std::move(query)),
        gone_(std::move(gone)),
        chunked_(request_.version() >= 11) {}

  void start() override {
    session_ = std::make_shared<SseSession>(*env_, *this);
    std::optional<std::string> last_id;
    if (const auto field = request_.find("Last-Event-ID"); field != request_.end()) {
      last_id = std::string(field->value().data(), field->value().size());
    }
    watch_peer();
    session_->start(topic_, query_, last_id);
  }

  void tick(MonotonicMs now) override { session_->tick(now); }
  void drain(Millis within_ms, const std::vector<std::string>& /*nodes*/) override {
    close_after(std::chrono::milliseconds(within_ms));
    session_->drain();
  }
  void abort() override {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    if (std::exchange(ended_, true)) return;
    close_timer_.cancel();
    session_->closed();
    if (gone_) std::exchange(gone_, nullptr)(*this);
  }

  // SseTransport
  void begin(const std::string& cursor) override {
    head_ =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\nX-Accel-Buffering: "
        "no\r\n"
        "X-Content-Type-Options: nosniff\r\nTroupe-Cursor: " +
        cursor + "\r\n" + cross_origin() + (chunked_ ? "Transfer-Encoding: chunked\r\n" : "") + "Connection: close\r\n\r\n";
  }
  void refuse(const HttpError& error) override {
    const auto body = error_body(error, true);
    head_ = "HTTP/1.1 " + std::to_string(error.status) + " " + std::string(error.code) +
            "\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" + cross_origin() +
            "Connection: close\r\n\r\n" + body;
    ending_ = true;
    chunked_ = false;
    write();
  }
  void send(OutMessage piece) override {
    piece_ = std::move(piece);
    telling_ = true;
    write();
  }
  std::string peer_host() const override { return peer_host_of(socket_); }
  void end(bool at_once) override {
    ending_ = true;
    if (at_once) {
      asio::post(socket_.get_executor(), [self = shared_from_this()] { self->abort(); });
    } else if (!writing_) {
      write();
    }
  }

 private:
  std::string cross_origin() const {
    const auto origin = request_[bhttp::field::origin];
    const bool listed = std::ranges::any_of(options_.allowed_origins, [&](const std::string& one) {
      return std::string_view(origin.data(), origin.size()) == one;
    });
    if (!listed) return {};
    return "Access-Control-Allow-Origin: " + std::string(origin.data(), origin.size()) +
           "\r\nAccess-Control-Expose-Headers: Troupe-Cursor\r\nVary: Origin\r\n";
  }

  /// Writes what there is: the head, a piece, the end.
  void write() {
    buffers_.clear();
    if (!head_.empty()) buffers_.emplace_back(head_.data(), head_.size());
    if (!piece_.empty()) {
      if (chunked_) {
        const auto end = std::to_chars(chunk_head_.data(), chunk_head_.data() + 16, piece_.size(), 16).ptr;
        const auto size = static_cast<std::size_t>(end - chunk_head_.data());
        chunk_head_[size] = '\r';
        chunk_head_[size + 1] = '\n';
        buffers_.emplace_back(chunk_head_.data(), size + 2);
      }
      piece_.for_each([&](std::string_view text) { buffers_.emplace_back(text.data(), text.size()); });
      if (chunked_) buffers_.emplace_back("\r\n", 2);
    }
    const bool last = ending_;
    if (last && chunked_) buffers_.emplace_back("0\r\n\r\n", 5);
    if (last) close_after(close_wait);
    writing_ = true;
    asio::async_write(socket_, BufferRange(buffers_),
                      [this, last, self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        writing_ = false;
                        head_.clear();
                        piece_ = OutMessage();
                        if (error || ended_ || last) return abort();
                        const bool told = std::exchange(telling_, false);
                        if (told) session_->sent();
                        if (ending_ && !writing_ && !ended_) write();
                      });
  }

  /// A client says nothing more. Bytes are overlooked; their end is the stream's.
  void watch_peer() {
    socket_.async_read_some(asio::buffer(ignored_bytes_),
                            [this, self = shared_from_this()](boost::system::error_code error, std::size_t size) {
                              heard_bytes_ += size;
                              if (error || heard_bytes_ > heard_bytes_max) return abort();
                              watch_peer();
                            });
  }

  void close_after(std::chrono::milliseconds wait) {
    close_timer_.expires_after(wait);
    close_timer_.async_wait([self = shared_from_this()](boost::system::error_code cancelled) {
      if (!cancelled) self->abort();
    });
  }

  static constexpr std::size_t heard_bytes_max = std::size_t{64} << 10;

  const std::shared_ptr<const StreamEnv> env_;
  const GatewayOptions& options_;
  TcpSocket socket_;
  Timer close_timer_;
  EmptyRequest request_;
  std::string topic_;
  std::string query_;
  Gone gone_;
  std::shared_ptr<SseSession> session_;
  std::string head_;
  OutMessage piece_;
  std::array<char, 18> chunk_head_{};
  std::vector<asio::const_buffer> buffers_;
  std::array<char, 256> ignored_bytes_{};
  std::size_t heard_bytes_ = 0;
  bool chunked_;
  bool writing_ = false;
  bool telling_ = false;
  bool ending_ = false;
  bool ended_ = false;
};

}  // namespace

ConnectionPtr make_events(std::shared_ptr<const StreamEnv> env, const GatewayOptions& options, TcpSocket socket,
                          EmptyRequest request, std::string topic, std::string query, Gone gone) {
  return std::make_shared<SseConnection>(std::move(env), options, std::move(socket), std::move(request), std::move(topic),
                                         std::move(query), std::move(gone));
}

}  // namespace troupe::http
