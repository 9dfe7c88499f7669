#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "runtime/client/url.hpp"

namespace troupe::client {

/// A WebSocket of `troupe.v1.json` to one of several nodes, for a command that talks and listens by turns. SIGINT and SIGTERM end what it
/// waits for, and not the process.
class WsClient {
 public:
  /// `urls`: one at least.
  explicit WsClient(std::vector<Url> urls);
  ~WsClient();
  WsClient(const WsClient&) = delete;
  WsClient& operator=(const WsClient&) = delete;

  /// To the first node that takes it, beginning with the one behind the last. What was open is closed.
  /// Errors: leader_not_available (none does), cancelled (interrupted).
  Status connect(Millis timeout_ms);

  /// Errors: request_timed_out (the connection is gone), cancelled.
  Status send(std::string text);

  /// The next message; nullopt: none came within that time. Errors: as send.
  Result<std::optional<std::string>> receive(Millis wait_ms);

  /// Waits. Errors: cancelled.
  Status pause(Millis duration_ms);

  /// One more node to connect to, the next time.
  void add(Url url);

  /// Says goodbye, when somebody is there.
  void close();

  /// After an interruption: goes on until the next one.
  void forget_interruption();

  /// Of the node that it is, or was, connected to.
  const Url& url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::client
