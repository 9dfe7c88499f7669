#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "http/gateway.hpp"
#include "http/message/framing.hpp"
#include "http/rest/rest.hpp"
#include "http/router/router.hpp"
#include "http/server/connection_limits.hpp"

namespace troupe::http {

/// What all I/O threads of one gateway share. Lives until the last session and call are gone.
struct Shared {
  Shared(GatewayOptions given, BrokerApi& broker, metrics::Registry& registry);
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  const GatewayOptions options;
  const HostRules hosts;
  const SystemClock clock;
  const Router router;
  Rest rest;
  std::unordered_map<std::string_view, const StaticFile*> files;  ///< by path
  std::atomic<bool> draining{false};
  std::atomic<std::size_t> streams{0};         ///< connections that were handed over and are open
  std::atomic<std::size_t> inflight_bytes{0};  ///< of bodies that are read or worked on

  metrics::Gauge connections;
  metrics::Gauge inflight;

  /// Whether a page of this origin comes from a node of the cluster: it is as good as one of ours, and may have been sent here.
  bool is_of_cluster(std::string_view origin) const;
  bool admit(const std::string& address, bool loopback);
  void release(const std::string& address);
  /// Once a minute: what a client does wrong in a loop is one line.
  bool may_tell_of_tls(MonotonicMs now);
  /// Counts `bytes` in; false when the budget is used up.
  bool reserve_bytes(std::size_t bytes);
  void free_bytes(std::size_t bytes);

 private:
  std::mutex mutex_;
  std::optional<MonotonicMs> told_of_tls_;  ///< under mutex_
  ConnectionLimits limits_;
};

}  // namespace troupe::http
