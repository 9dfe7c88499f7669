#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handle_slot.hpp"
#include "core/broker_api.hpp"
#include "core/consumer_api.hpp"
#include "core/group_api.hpp"

namespace troupe::actors {

/// ConsumerApi over consumer_coordinators: one each, under consumer_manager.
class Consumers final : public ConsumerApi {
 public:
  struct Options {
    std::function<BrokerApi*()> broker = {};  ///< what it gives outlives the consumers
    GroupApi* groups = nullptr;               ///< outlives the consumers; null: there are no groups here
    std::shared_ptr<const HandleSlot<caf::actor>> manager = {};
    ActorTable* table = nullptr;       ///< outlives the consumers
    std::string parent = "consumers";  ///< the manager's name in the table
    std::size_t consumers_max = 10'000;
    std::function<InstanceLinks*()> instances =
        {};  ///< what it gives outlives the consumers; null: there are no other nodes
  };
  explicit Consumers(Options options) : options_(std::move(options)) {}

  std::unique_ptr<Consumer> open(ConsumerOptions options, std::shared_ptr<ConsumerListener> listener) override;
  InstanceLinks* instance_links() override { return options_.instances ? options_.instances() : nullptr; }
  /// Those that live now.
  std::size_t count() const { return count_->load(); }

 private:
  const Options options_;
  const std::shared_ptr<std::atomic<std::size_t>> count_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace troupe::actors
