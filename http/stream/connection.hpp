#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/gateway.hpp"
#include "http/net.hpp"
#include "http/stream/stream_env.hpp"

namespace troupe::http {

/// A streaming connection as `Streams` keeps it: alive until it says that it is gone.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  virtual void tick(MonotonicMs now) = 0;
  /// Tells the client to go elsewhere, to one of `nodes` (WebSocket URLs) if there are any; it is served until then.
  virtual void drain(Millis within_ms, const std::vector<std::string>& nodes) = 0;
  /// Ends it now, whatever is on its way. `gone` follows, or has been.
  virtual void abort() = 0;
};
using ConnectionPtr = std::shared_ptr<Connection>;
using Gone = std::function<void(Connection&)>;

/// `gone` is called once, when the socket is closed. Handlers that Asio still keeps may outlive `Streams`: hence the shared environment.
ConnectionPtr make_websocket(std::shared_ptr<const StreamEnv> env, TcpSocket socket, beast::flat_buffer buffer,
                             EmptyRequest request, std::string query, Gone gone);
ConnectionPtr make_events(std::shared_ptr<const StreamEnv> env, const GatewayOptions& options, TcpSocket socket,
                          EmptyRequest request, std::string topic, std::string query, Gone gone);

/// The address at the other end; empty: nobody is there any more.
inline std::string peer_host_of(const TcpSocket& socket) {
  boost::system::error_code error;
  const auto peer = socket.remote_endpoint(error);
  return error ? std::string() : peer.address().to_string(error);
}

/// The buffers of one write. Asio and Beast copy the sequence they are given several times: this one is two pointers.
class BufferRange {
 public:
  explicit BufferRange(const std::vector<asio::const_buffer>& buffers)
      : begin_(buffers.data()), end_(buffers.data() + buffers.size()) {}
  const asio::const_buffer* begin() const { return begin_; }
  const asio::const_buffer* end() const { return end_; }

 private:
  const asio::const_buffer* begin_;
  const asio::const_buffer* end_;
};

}  // namespace troupe::http
