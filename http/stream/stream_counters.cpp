#include "http/stream/stream_counters.hpp"

namespace troupe::http {

StreamCounters::StreamCounters(metrics::Registry& registry)
    : ws_clients(registry.gauge("troupe_ws_clients", "WebSocket connections that are open")),
      sse_clients(registry.gauge("troupe_sse_clients", "event streams that are open")),
      ws_subscriptions(registry.gauge("troupe_ws_subscriptions", "subscriptions of all WebSockets")),
      buffered(registry.gauge("troupe_ws_buffered_bytes", "bytes on their way to streaming clients")),
      slow_disconnects(registry.counter("troupe_ws_slow_disconnects_total", "clients cut off for being slow")),
      resumed(registry.counter("troupe_ws_resume_total", "streams that began with a cursor", {{"result", "ok"}})),
      resumed_gap(registry.counter("troupe_ws_resume_total", "streams that began with a cursor", {{"result", "gap"}})),
      resumed_reset(registry.counter("troupe_ws_resume_total", "streams that began with a cursor", {{"result", "reset"}})),
      delivery_seconds(registry.histogram("troupe_delivery_seconds",
                                          "from a batch's arrival on this thread to a socket's write",
                                          metrics::latency_buckets())),
      registry_(registry) {}

metrics::Counter StreamCounters::records_out(const std::string& topic, const std::string& via) {
  return registry_.counter("troupe_records_out_total", "records sent to clients", {{"topic", topic}, {"via", via}});
}

}  // namespace troupe::http
