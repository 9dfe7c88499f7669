#pragma once

#include <string_view>

#include "base/result.hpp"
#include "core/group/group_member.hpp"

/// What may be asked for. No sentence repeats more of a name than fits in a line.
namespace troupe::group {

struct GroupLimits {
  std::size_t groups_max = 20'000;  ///< that one coordinator has: it refuses more
  std::size_t members_max = 1'000;  ///< of one group
  std::size_t topics_max = 1'000;   ///< that one member names
  std::size_t offset_metadata_bytes_max = 4'096;
  Millis session_timeout_ms_min = 1'000;
  Millis session_timeout_ms_max = 1'800'000;
  Millis rebalance_timeout_ms_min = 1'000;
  Millis rebalance_timeout_ms_max = 3'600'000;
  std::size_t classic_protocols_max = 64;                                 ///< that one member of a classic group names
  std::size_t classic_metadata_bytes_max = std::size_t{1} << 20;          ///< of one member, for all its protocols
  std::size_t classic_group_metadata_bytes_max = std::size_t{6} << 20;    ///< of all members
  std::size_t classic_group_assignment_bytes_max = std::size_t{6} << 20;  ///< of all members
};

/// 1 to 249 of a-z A-Z 0-9 . _ -. Errors: invalid_group_id.
Status check_group_name(std::string_view name);
/// 1 to 249 bytes without control characters. Errors: invalid_argument.
Status check_member_id(std::string_view member);

/// Errors: invalid_argument (no topic and no pattern, too many topics, a rebalance timeout out of its range), invalid_session_timeout,
/// unsupported_assignor, invalid_topic_exception (a name that no topic can have), invalid_regular_expression.
Status check_profile(const MemberProfile& profile, const GroupLimits& limits);

}  // namespace troupe::group
