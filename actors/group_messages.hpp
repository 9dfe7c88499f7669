#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/send.hpp>

#include "core/group/group_calls.hpp"
#include "core/group_api.hpp"

/// What is said to and by the actors of groups. Never leaves the node.
namespace troupe::actors {

using GroupCallPtr = std::shared_ptr<const group::GroupCall>;

/// The end of a CoordinatorCall, to group_desk, once, whatever happens.
struct CoordinatorAnswered {
  std::uint64_t token = 0;
  Result<group::GroupAnswer> answer = group::GroupAnswer{};
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CoordinatorAnswered)

namespace troupe::actors {

/// The asker's end of a call: answers once. One that goes with an actor that ends, or with a message that nobody takes, is answered all the
/// same, and says whether anything can have been done.
class CoordinatorTicket {
 public:
  CoordinatorTicket(const caf::actor& desk, std::uint64_t token)
      : desk_(caf::actor_cast<caf::actor_addr>(desk)), token_(token) {}
  ~CoordinatorTicket() {
    answer(taken_ ? Error{Errc::leadership_lost, "the group's coordinator ended: the outcome is unknown"}
                  : Error{Errc::not_coordinator, "the group's coordinator ended: nothing was done"});
  }
  CoordinatorTicket(const CoordinatorTicket&) = delete;
  CoordinatorTicket& operator=(const CoordinatorTicket&) = delete;

  /// From now on it may have been done.
  void take() { taken_ = true; }
  void answer(Result<group::GroupAnswer> answer) {
    if (std::exchange(answered_, true)) return;
    if (const auto desk = caf::actor_cast<caf::actor>(desk_))
      caf::anon_send(desk, CoordinatorAnswered{token_, std::move(answer)});
  }

 private:
  const caf::actor_addr desk_;
  const std::uint64_t token_;
  bool taken_ = false;
  bool answered_ = false;
};

/// To group_coordinator.
struct CoordinatorCall {
  BrokerId from{-1};  ///< the node that asks
  GroupCallPtr call = {};
  std::shared_ptr<CoordinatorTicket> ticket = {};
};
/// To group_coordinator: that node is gone, and the members that live on it.
struct GroupNodeLost {
  BrokerId node{-1};
};
/// From group_coordinator to group_desk: these members, which live on that node, are to heartbeat now.
struct MembersNews {
  BrokerId node{-1};
  std::vector<group::MemberName> members = {};
};

/// Calls of GroupApi on their way to group_desk: as those to a gateway, gateway_messages.hpp.
struct GroupApiCall {
  group::GroupCall call = {};
  Millis timeout_ms = 0;
  Reply<group::GroupAnswer> reply = {};
};
struct ListGroupsCall {
  Millis timeout_ms = 0;
  Reply<GroupListings> reply = {};
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CoordinatorCall)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::GroupNodeLost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MembersNews)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<troupe::actors::GroupApiCall>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<troupe::actors::ListGroupsCall>)
