#pragma once

#include <functional>
#include <string>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/handles.hpp"
#include "actors/restart_policy.hpp"

namespace troupe::actors {

/// How to start one child. `start` is called from the supervisor, once for every run; it must not block.
struct ChildSpec {
  std::string kind;
  std::string name;  ///< unique below one supervisor
  std::function<caf::actor(caf::actor_system& system, const ActorRowPtr& row)> start;
};

struct SupervisorOptions {
  std::string name = "supervisor";
  std::string parent = {};          ///< name of its own supervisor
  std::vector<ChildSpec> children;  ///< in the order in which they are started; stopped in reverse
  RestartPolicy::Options restart = {};
  Millis stop_deadline_ms = 10'000;  ///< when it is told to stop by an exit message
  std::uint64_t seed = 0;            ///< of the jitter
  ActorTable* table = nullptr;       ///< outlives the actor
};

/// Starts its children, restarts each that fails (one for one), and gives up when one fails too often: then it stops the others and
/// ends with the error of that one, for its own supervisor to see.
///
///   starting --> running --- fails, not too often ---> waiting_restart --- the pause is over ---> starting
///                  | `------ fails too often --------> failed, and the supervisor ends
///                  `-------- ends without error -----> stopped
///
/// A child that ends normally stays ended. An exit message (but for kill) stops everything in order first.
Supervisor spawn_supervisor(caf::actor_system& system, SupervisorOptions options);

}  // namespace troupe::actors
