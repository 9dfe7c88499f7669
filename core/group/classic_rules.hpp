#pragma once

#include <string>
#include <string_view>

#include "core/group/classic_record.hpp"
#include "core/group/group_rules.hpp"

/// What members of classic groups may ask for.
namespace troupe::group {

/// Errors: invalid_session_timeout, inconsistent_group_protocol (no protocol, or no type), invalid_argument (names that are none, too many
/// protocols), message_too_large (too much metadata).
Status check_join(const ClassicJoinRequest& request, const GroupLimits& limits);

/// What a member says of itself, within bounds: client id and host are cut, a rebalance timeout out of its range is the next one in it.
ClassicProfile profile_of(const ClassicJoinRequest& request, const GroupLimits& limits);

/// The id of a new member: its instance id or its client's, and what the request has for that.
std::string new_member_id(const ClassicJoinRequest& request);

std::size_t metadata_bytes(const std::vector<ClassicProtocol>& protocols);
const ClassicProtocol* find_protocol(const std::vector<ClassicProtocol>& protocols, std::string_view name);

/// The protocol that all can speak and most like best; of several the one that `leader` likes best. Empty: there is none.
std::string choose_protocol(const std::vector<const ClassicProfile*>& members, const ClassicProfile& leader);

}  // namespace troupe::group
