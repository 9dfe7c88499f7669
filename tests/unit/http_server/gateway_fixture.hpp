#pragma once

#include <chrono>
#include <thread>

#include "http/gateway.hpp"
#include "tests/support/fake_broker.hpp"
#include "tests/unit/http_server/http_client.hpp"

namespace troupe::test {

/// A gateway on a port of the kernel's choice over a broker in memory.
struct GatewayFixture {
  explicit GatewayFixture(http::GatewayOptions options = {}) : gateway(prepared(std::move(options)), broker, metrics) {
    REQUIRE(gateway.start());
  }

  static http::GatewayOptions prepared(http::GatewayOptions options) {
    options.port = 0;
    options.io_threads = 2;
    return options;
  }

  HttpClient client() { return HttpClient(gateway.port()); }

  /// Waits for `condition`, at most 5 s.
  template <class Condition>
  static bool eventually(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  FakeBroker broker;
  metrics::Registry metrics;
  http::Gateway gateway;
};

}  // namespace troupe::test
