#include "http/server/shared.hpp"

#include <algorithm>

#include "http/message/authority.hpp"
#include "http/rest/consumer_instances.hpp"

namespace troupe::http {

Shared::Shared(GatewayOptions given, BrokerApi& broker, metrics::Registry& registry)
    : options(std::move(given)),
      hosts(HostRules::of(options.host, options.host_names, options.allowed_origins)),
      router(all_routes()),
      rest{broker, options, registry, clock, openapi_document(router.routes()), std::make_shared<ConsumerInstances>(broker)},
      connections(registry.gauge("troupe_http_connections", "Connections open at the gateway")),
      inflight(registry.gauge("troupe_http_inflight_bytes", "Bytes of request bodies that are read or worked on")),
      limits_(options.limits) {
  for (const auto& file : options.files) files[file.path] = &file;
}

bool Shared::is_of_cluster(std::string_view origin) const {
  const auto brokers = rest.broker.cluster().brokers;
  return std::ranges::any_of(brokers, [&](const metadata::BrokerImage& broker) {
    const bool somewhere = broker.port != 0 && is_somewhere(broker.host);
    return somewhere && equal_ignoring_case(origin, "http://" + authority_of(broker.host, broker.port));
  });
}

bool Shared::admit(const std::string& address, bool loopback) {
  const std::lock_guard lock(mutex_);
  if (limits_.open() + streams >= options.limits.connections_max) return false;
  const bool admitted = limits_.admit(address, loopback, clock.monotonic_now());
  connections.set(static_cast<double>(limits_.open() + streams));
  return admitted;
}

void Shared::release(const std::string& address) {
  const std::lock_guard lock(mutex_);
  limits_.release(address);
  connections.set(static_cast<double>(limits_.open() + streams));
}

bool Shared::may_tell_of_tls(MonotonicMs now) {
  constexpr Millis interval_ms = 60'000;
  const std::lock_guard lock(mutex_);
  if (told_of_tls_ && now - *told_of_tls_ < interval_ms) return false;
  told_of_tls_ = now;
  return true;
}

bool Shared::reserve_bytes(std::size_t bytes) {
  const auto before = inflight_bytes.fetch_add(bytes);
  if (before + bytes > options.limits.inflight_bytes_max) {
    inflight_bytes.fetch_sub(bytes);
    return false;
  }
  inflight.set(static_cast<double>(before + bytes));
  return true;
}

void Shared::free_bytes(std::size_t bytes) { inflight.set(static_cast<double>(inflight_bytes.fetch_sub(bytes) - bytes)); }

}  // namespace troupe::http
