#pragma once

#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/actor_table.hpp"

/// What is said to a supervisor. Never leaves the node.
namespace troupe::actors {

/// The child of that name as it is now. Handles die with their actor: ask again after a failure. -> Child, or not_found
struct GetChild {
  std::string name;
};
struct Child {
  caf::actor handle;  ///< null while there is none: before a restart, after the end
  ActorState state = ActorState::starting;
};

/// Stops the children, last started first, and then the supervisor. -> ChildrenStopped
struct StopChildren {
  Millis deadline_ms = 10'000;  ///< for all together; what runs then is killed
};
struct ChildrenStopped {
  std::vector<std::string> killed;  ///< names of those that did not stop in time
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::GetChild)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::StopChildren)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ChildrenStopped)
