#include "actors/link/envelope.hpp"

#include <chrono>

#include <caf/actor_system_config.hpp>
#include <caf/io/middleman.hpp>

namespace troupe::actors {

void configure_links(caf::actor_system_config& config, const LinkWire& wire) {
  config.add_message_type<Envelope>("troupe");
  config.load<caf::io::middleman>();
  config.set("middleman.heartbeat-interval", caf::timespan{std::chrono::milliseconds(wire.heartbeat_ms)});
  config.set("middleman.connection-timeout", caf::timespan{std::chrono::milliseconds(wire.connection_timeout_ms)});
}

}  // namespace troupe::actors
