#pragma once

#include <optional>
#include <string_view>

#include "base/clock.hpp"
#include "base/error.hpp"

/// The one table from our errors to HTTP, REST and WebSocket. rest-api.md B1.5, websocket-sse.md C2.5
namespace troupe::http {

struct ErrorView {
  unsigned status = 500;                ///< of HTTP
  int number = 500;                     ///< Confluent's five digits: `error_code` and `num`
  std::string_view code;                ///< the word: "unknown_topic"
  bool retry = false;                   ///< the same request may succeed later
  std::optional<Millis> after_ms = {};  ///< but not before
};

ErrorView view_of(Errc code) noexcept;

}  // namespace troupe::http
