#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/cli/node_session.hpp"

/// What operators do to brokers, leaders and voters. Each command returns the exit code.
namespace troupe::cli {

/// A broker, by its id or as the one that is asked.
struct BrokerOptions {
  NodeOptions node = {};
  std::optional<std::int32_t> broker = {};
  bool self = false;
  bool wait = false;  ///< drain: until it leads nothing
};
/// `troupe cluster drain`, `undrain`: its leaderships go to others and it gets no new copies; and back.
int drain_broker(const BrokerOptions& options);
int undrain_broker(const BrokerOptions& options);
/// `troupe cluster remove-broker`: one that has ended and holds no copies.
int remove_broker(const BrokerOptions& options);

struct ElectOptions {
  NodeOptions node = {};
  std::string topic = {};                      ///< empty: all topics, for their preferred leaders
  std::optional<std::int32_t> partition = {};  ///< none: all of the topic
  std::optional<std::int32_t> to = {};
  bool unclean = false;
  bool yes = false;
};
/// `troupe cluster elect`
int elect_leaders(const ElectOptions& options);

struct VoterOptions {
  NodeOptions node = {};
  std::optional<std::int32_t> id = {};
};
/// `troupe cluster transfer`: another voter becomes the controller.
int transfer_controller(const VoterOptions& options);
/// `troupe cluster voters add`, `remove`
int add_voter(const VoterOptions& options);
int remove_voter(const VoterOptions& options);

}  // namespace troupe::cli
