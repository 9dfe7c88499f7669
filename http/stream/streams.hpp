#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/broker_api.hpp"
#include "http/gateway.hpp"
#include "http/net.hpp"
#include "http/router/produce_turn.hpp"

namespace troupe::http {

/// All WebSockets and event streams of one I/O thread, and the FanoutHub that feeds them. Used on that thread only.
class Streams {
 public:
  struct Shared;  ///< what the threads share: counts against `all_send_queues_bytes_max`, metrics

  static std::shared_ptr<Shared> share(const GatewayOptions& options, metrics::Registry& metrics);

  Streams(asio::io_context& io, BrokerApi& broker, ProduceTurn& produce_turn, const GatewayOptions& options,
          std::shared_ptr<Shared> shared);
  ~Streams();
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  /// Takes a connection over for `GET /v1/ws`. The session has done the framing, Host, Origin and Upgrade checks (method, version, key);
  /// this negotiates the subprotocol and answers 101 or an error. `buffer`: bytes already read behind the request.
  void accept_websocket(TcpSocket socket, beast::flat_buffer buffer, EmptyRequest request, std::string query);

  /// Takes a connection over for `GET /v1/topics/{t}/events`, all checks done. `query`: the target's, still encoded.
  /// Answers 400 and 404 itself, and closes the connection at the end of the stream.
  void accept_events(TcpSocket socket, EmptyRequest request, std::string topic, std::string query);

  /// The node ends. Tells every stream to go elsewhere, to the other nodes of the cluster if there are any, and closes them as their
  /// queues empty, at the latest after `deadline_ms`.
  void drain(Millis deadline_ms);
  /// Streams that are open.
  std::size_t open() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::http
