#include "actors/link/envelope.hpp"

#include <chrono>

#include <caf/actor_system_config.hpp>
#include <caf/io/middleman.hpp>
#include <caf/openssl/manager.hpp>

namespace troupe::actors {

void configure_links(caf::actor_system_config& config, const LinkWire& wire) {
  config.add_message_type<Envelope>("troupe");
  config.load<caf::io::middleman>();
  config.set("middleman.heartbeat-interval", caf::timespan{std::chrono::milliseconds(wire.heartbeat_ms)});
  config.set("middleman.connection-timeout", caf::timespan{std::chrono::milliseconds(wire.connection_timeout_ms)});
  if (!wire.tls()) return;
  config.load<caf::openssl::manager>();
  config.openssl_certificate = wire.certificate;
  config.openssl_key = wire.key;
  config.openssl_cafile = wire.ca;
}

}  // namespace troupe::actors
