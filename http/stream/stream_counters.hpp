#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/metrics.hpp"

namespace troupe::http {

/// What the streams of all threads count. Thread-safe.
class StreamCounters {
 public:
  explicit StreamCounters(metrics::Registry& registry);

  /// Records that went out: `via` is "ws" or "sse". The handle is the caller's to keep: the look-up takes a lock.
  metrics::Counter records_out(const std::string& topic, const std::string& via);

  metrics::Gauge ws_clients;
  metrics::Gauge sse_clients;
  metrics::Gauge ws_subscriptions;
  metrics::Gauge buffered;
  metrics::Counter slow_disconnects;
  metrics::Counter resumed;             ///< a cursor that was good
  metrics::Counter resumed_gap;         ///< one that lay below the log's start
  metrics::Counter resumed_reset;       ///< one of another log
  metrics::Histogram delivery_seconds;  ///< from the news of a batch to its first byte on a socket, one sample a flush

  /// Bytes on their way to sockets, of all threads.
  std::atomic<std::size_t> buffered_bytes{0};

 private:
  metrics::Registry& registry_;
};

}  // namespace troupe::http
