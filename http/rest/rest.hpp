#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/metrics.hpp"
#include "core/broker_api.hpp"
#include "http/gateway.hpp"
#include "http/router/router.hpp"

namespace troupe::http {

class ConsumerInstances;

/// What handlers work with. Immutable once the gateway runs; any thread.
struct Rest {
  BrokerApi& broker;
  const GatewayOptions& options;
  metrics::Registry& metrics;
  const Clock& clock;
  std::string openapi = {};  ///< the document, made from the router's table
  std::shared_ptr<ConsumerInstances> consumers = {};
};

/// Every route of the gateway.
std::vector<Route> all_routes();

/// The OpenAPI 3 document of these routes, as JSON.
std::string openapi_document(const std::vector<Route>& routes);

/// The answer for a static file, 304 when the client has it.
Response file_response(const StaticFile& file, const RequestHead& head);

}  // namespace troupe::http
