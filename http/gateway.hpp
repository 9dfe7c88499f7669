#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/metrics.hpp"
#include "base/result.hpp"
#include "core/broker_api.hpp"
#include "http/limits.hpp"

namespace troupe::http {

/// One file that the gateway serves, in memory.
struct StaticFile {
  std::string path;  ///< "/chat/", "/assets/troupe.js"
  std::string content_type;
  std::string content;
  std::string etag;
};

/// One of the settings with which this node runs, as text.
struct BrokerSetting {
  std::string name;  ///< "gateway.listen"
  std::string value;
  std::string default_value;
};

struct GatewayOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  ///< 0: the kernel chooses
  std::size_t io_threads = 1;
  /// Names by which clients may call this node besides localhost, 127.0.0.1 and [::1], without port: else 421.
  std::vector<std::string> host_names = {};
  /// Origins besides our own that may call with a browser: "https://app.example".
  std::vector<std::string> allowed_origins = {};
  Limits limits = {};
  std::vector<StaticFile> files = {};
  std::vector<BrokerSetting> settings = {};  ///< what clients are told of them
};

/// The door for HTTP: REST, WebSocket, SSE, static files, metrics, health.
///
///   listener -> io thread i: session --> router --> BrokerApi --> reply, posted back to io thread i
///                              `--- upgrade / events --> stream (WebSocket, SSE) <-- FanoutHub i <-- tail
class Gateway {
 public:
  /// `broker` and `metrics` outlive the gateway.
  Gateway(GatewayOptions options, BrokerApi& broker, metrics::Registry& metrics);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// Listens; connections are served from now on. Errors: invalid_argument (an address that is none), storage_error is never used
  /// here; overloaded (address in use, with the port).
  Status start();
  /// The port that is listened on.
  std::uint16_t port() const;

  /// Stops taking connections, tells streams to go elsewhere (goaway, close 4000, 1001; SSE `retry`), lets requests end until the deadline,
  /// then closes what is left. Returns when all threads have ended.
  void stop(Millis deadline_ms);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::http
