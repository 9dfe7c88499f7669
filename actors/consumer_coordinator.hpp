#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "core/broker_api.hpp"
#include "core/consumer_api.hpp"
#include "core/group_api.hpp"

namespace troupe::actors {

struct ConsumerCoordinatorOptions {
  ConsumerOptions consumer = {};
  std::string member = {};  ///< of this run
  std::shared_ptr<ConsumerListener> listener = {};
  BrokerApi* broker = nullptr;                           ///< outlives the actor
  GroupApi* groups = nullptr;                            ///< outlives the actor
  std::shared_ptr<std::atomic<std::size_t>> count = {};  ///< of those that live: one less when it ends
};

/// The actor of one consumer: a consumer::GroupReader, its requests to the group's coordinator and to the logs, and its clock. Ends when
/// the member has left, and with `manager`: then its listener hears that it failed. Takes ConsumerInputPtr.
caf::actor spawn_consumer_coordinator(caf::actor_system& system, ConsumerCoordinatorOptions options,
                                      const caf::actor& manager, ActorRowPtr row);

}  // namespace troupe::actors
