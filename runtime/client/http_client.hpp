#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "runtime/client/url.hpp"

namespace troupe::client {

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  ///< path and query, behind the URL's prefix
  std::string body = {};
  std::string content_type = {};  ///< with a body
  Millis timeout_ms = 30'000;     ///< from connecting to the last byte of the answer
};

struct HttpResponse {
  unsigned status = 0;
  std::string content_type = {};
  std::string body = {};
};

/// Asks one node, one request after the other, over one connection that is kept open. Of several it asks the first that can be connected
/// to, and goes to the next one after a request that got no answer.
class HttpClient {
 public:
  /// With `interruptible`, SIGINT and SIGTERM no longer end the process, but what this client waits for.
  /// `urls`: one at least.
  HttpClient(std::vector<Url> urls, bool interruptible);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Errors: leader_not_available (no connection: nothing was done), request_timed_out (the request was sent and no whole answer came:
  /// outcome unknown), corrupt_message (the answer is not HTTP), message_too_large (the answer), cancelled (interrupted).
  /// A GET is sent again, once, when a kept connection turns out to be gone.
  Result<HttpResponse> send(const HttpRequest& request);

  /// Waits. Errors: cancelled (interrupted).
  Status pause(Millis duration_ms);

  /// Of the node that is asked.
  const Url& url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::client
