#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "http/message/http_error.hpp"
#include "http/router/target.hpp"
#include "http/stream/connection.hpp"
#include "http/stream/watched_stream.hpp"
#include "http/stream/ws_session.hpp"

// The one file that pays for it: half a minute.
#include <boost/beast/websocket/stream.hpp>

namespace troupe::http {
namespace {

namespace websocket = beast::websocket;

constexpr auto close_wait = std::chrono::seconds(2);
constexpr std::string_view protocol = "troupe.v1.json";
constexpr std::string_view bearer_prefix = "troupe.bearer.";

/// What of the offered subprotocols we speak.
enum class Offer : std::uint8_t { none, ours, others };

Offer read_offer(std::string_view offered) {
  auto found = Offer::none;
  while (!offered.empty()) {
    const auto comma = offered.find(',');
    auto item = offered.substr(0, comma);
    offered.remove_prefix(comma == std::string_view::npos ? offered.size() : comma + 1);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (item == protocol) return Offer::ours;
    // A token on its way is no protocol, and is never echoed.
    if (!item.empty() && !item.starts_with(bearer_prefix)) found = Offer::others;
  }
  return found;
}

std::string_view view_of_field(const EmptyRequest& request, bhttp::field field) {
  const auto value = request[field];
  return {value.data(), value.size()};
}

/// A WebSocket on Beast: bytes and frames, nothing of the protocol.
///
///   accept --101--> reading and writing --close()--> closing --(closed by both, or 2 s)--> gone
class WsConnection final : public Connection, public WsTransport {
 public:
  WsConnection(std::shared_ptr<const StreamEnv> env, TcpSocket socket, beast::flat_buffer buffer, EmptyRequest request,
               std::string query, Gone gone)
      : env_(std::move(env)),
        ws_(WatchedStream(std::move(socket), std::move(buffer),
                          FrameWatch({.fragments_max = env_->limits.fragments_max,
                                      .control_frames_per_10s_max = env_->limits.control_frames_per_10s_max}),
                          env_->now)),
        close_timer_(ws_.get_executor()),
        request_(std::move(request)),
        query_(std::move(query)),
        gone_(std::move(gone)) {}

  void start() override {
    const auto offer = read_offer(view_of_field(request_, bhttp::field::sec_websocket_protocol));
    Query query;
    if (const auto wrong = Query::parse(query_, query)) return refuse(*wrong);
    if (offer == Offer::others) return refuse(bad_request("Sec-WebSocket-Protocol: this node speaks troupe.v1.json"));
    if (env_->counters->buffered_bytes > env_->limits.all_send_queues_bytes_max) {
      return refuse(http_error({Errc::overloaded, "too much is waiting to be read by others"}));
    }
    auto_connect_ = query.find("auto") == "1";
    ws_.read_message_max(env_->limits.frame_in_bytes_max);
    ws_.auto_fragment(false);
    ws_.text(true);
    ws_.set_option(
        websocket::stream_base::timeout{.handshake_timeout = std::chrono::milliseconds(env_->limits.connect_ms_max),
                                        .idle_timeout = websocket::stream_base::none(),  // pings are the session's
                                        .keep_alive_pings = false});
    ws_.set_option(websocket::stream_base::decorator([ours = offer == Offer::ours](websocket::response_type& response) {
      response.set(bhttp::field::server, "troupe");
      if (ours) response.set(bhttp::field::sec_websocket_protocol, beast::string_view(protocol.data(), protocol.size()));
    }));
    ws_.control_callback([this](websocket::frame_type kind, beast::string_view) {
      if (kind == websocket::frame_type::pong && session_) session_->on_pong();
    });
    const auto weak = weak_from_this();
    ws_.next_layer().belong_to(
        weak, [this] { object(); }, [this](boost::system::error_code error) { drained(error); });
    ws_.async_accept(request_, [self = shared()](boost::system::error_code error) { self->accepted(error); });
  }

  void tick(MonotonicMs now) override {
    if (session_) session_->tick(now);
  }
  void drain(Millis within_ms, const std::vector<std::string>& nodes) override {
    if (session_) {
      session_->drain(within_ms, nodes);
    } else {
      abort();
    }
  }
  void abort() override {
    boost::system::error_code ignored;
    ws_.next_layer().socket().close(ignored);
    end();
  }

  // WsTransport
  void send(const OutMessage& message) override {
    buffers_.clear();
    message.for_each([&](std::string_view piece) { buffers_.emplace_back(piece.data(), piece.size()); });
    writing_ = true;
    boost::system::error_code error;
    ws_.write(BufferRange(buffers_), error);
    if (!error && ws_.next_layer().unsent() > 0) return;  // `drained` follows
    asio::post(ws_.get_executor(), [self = shared(), error] { self->written(error); });
  }
  void ping() override {
    if (std::exchange(pinging_, true)) return;
    ws_.async_ping({}, [self = shared()](boost::system::error_code) { self->pinging_ = false; });
  }
  std::size_t unacknowledged() const override {
    int bytes = 0;
    return !ended_ && ::ioctl(handle_, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
  }
  void close(CloseCode code, std::string_view reason) override {
    if (std::exchange(closing_, true)) return;
    close_timer_.expires_after(close_wait);
    close_timer_.async_wait([self = shared()](boost::system::error_code error) {
      if (!error) self->abort();
    });
    const websocket::close_reason why(static_cast<websocket::close_code>(code),
                                      beast::string_view(reason.data(), reason.size()));
    ws_.async_close(why, [self = shared()](boost::system::error_code) { self->abort(); });
  }
  std::string peer_host() const override { return peer_host_of(ws_.next_layer().socket()); }
  void pause_reading(bool paused) override {
    paused_ = paused;
    if (!paused && !reading_) read();
  }

 private:
  std::shared_ptr<WsConnection> shared() { return std::static_pointer_cast<WsConnection>(shared_from_this()); }

  void refuse(const HttpError& error) {
    auto body = error_body(error, true);
    refusal_ = "HTTP/1.1 " + std::to_string(error.status) + (error.status == 400 ? " Bad Request" : " Service Unavailable") +
               "\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" + body;
    close_timer_.expires_after(close_wait);
    close_timer_.async_wait([self = shared()](boost::system::error_code cancelled) {
      if (!cancelled) self->abort();
    });
    asio::async_write(ws_.next_layer().socket(), asio::buffer(refusal_),
                      [self = shared()](boost::system::error_code, std::size_t) { self->abort(); });
  }

  void accepted(boost::system::error_code error) {
    if (error || ended_) return abort();
    handle_ = ws_.next_layer().socket().native_handle();
    session_ = std::make_shared<WsSession>(*env_, *this, auto_connect_);
    read();
  }

  void read() {
    if (ended_ || closing_ || paused_) return;
    reading_ = true;
    ws_.async_read(incoming_, [self = shared()](boost::system::error_code error, std::size_t) { self->on_read(error); });
  }

  void on_read(boost::system::error_code error) {
    // After close() the reply to it is Beast's to read.
    if (closing_) return;
    if (error) return abort();
    if (ws_.got_text()) {
      const auto data = incoming_.data();
      session_->on_text({static_cast<const char*>(data.data()), data.size()});
    } else {
      session_->on_binary();
    }
    incoming_.consume(incoming_.size());
    if (incoming_.capacity() > keep_bytes) incoming_ = beast::flat_buffer();
    // Only now: what the session said may have ended a pause, and the next message goes into the same buffer.
    reading_ = false;
    read();
  }

  void written(boost::system::error_code error) {
    writing_ = false;
    if (error) {
      if (!closing_) abort();
      return;
    }
    if (session_) session_->sent();
  }

  /// What the socket had not taken at once has gone out, or never will.
  void drained(boost::system::error_code error) {
    if (error) return abort();
    if (writing_) written({});
  }

  /// The frame watch objects: from within a read, so it is dealt with behind it.
  void object() {
    asio::post(ws_.get_executor(), [self = shared()] {
      if (self->session_ && !self->ended_)
        self->session_->close(CloseCode::hard_limit, "too many fragments or control frames");
    });
  }

  void end() {
    if (std::exchange(ended_, true)) return;
    close_timer_.cancel();
    if (session_) session_->closed();
    // The session may be on the stack; it goes with this connection.
    if (gone_) std::exchange(gone_, nullptr)(*this);
  }

  static constexpr std::size_t keep_bytes = std::size_t{16} << 10;

  const std::shared_ptr<const StreamEnv> env_;
  websocket::stream<WatchedStream> ws_;
  Timer close_timer_;
  EmptyRequest request_;
  std::string query_;
  Gone gone_;
  std::string refusal_;
  std::shared_ptr<WsSession> session_;
  beast::flat_buffer incoming_;
  std::vector<asio::const_buffer> buffers_;
  int handle_ = -1;  ///< of the socket, once accepted
  bool auto_connect_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool pinging_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool ended_ = false;
};

}  // namespace

ConnectionPtr make_websocket(std::shared_ptr<const StreamEnv> env, TcpSocket socket, beast::flat_buffer buffer,
                             EmptyRequest request, std::string query, Gone gone) {
  return std::make_shared<WsConnection>(std::move(env), std::move(socket), std::move(buffer), std::move(request),
                                        std::move(query), std::move(gone));
}

}  // namespace troupe::http
