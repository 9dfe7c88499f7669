#include "core/group/group_rules.hpp"

#include <algorithm>

#include "core/group/assignor.hpp"
#include "core/group/topic_pattern.hpp"

namespace troupe::group {
namespace {

constexpr std::size_t name_bytes_max = 249;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= name_bytes_max && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

std::string quoted(std::string_view name) {
  constexpr std::size_t shown = 60;
  return "'" + std::string(name.substr(0, shown)) + (name.size() > shown ? "...'" : "'");
}

std::string outside(std::string_view what, Millis value, Millis min, Millis max) {
  return std::string(what) + " is " + std::to_string(value) + " ms, it can be " + std::to_string(min) + " to " +
         std::to_string(max);
}

}  // namespace

Status check_group_name(std::string_view name) {
  if (is_name(name)) return {};
  return Error{Errc::invalid_group_id,
               quoted(name) + " is no name for a group: 1 to 249 letters, digits, '.', '_' and '-' are"};
}

Status check_member_id(std::string_view member) {
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  if (!member.empty() && member.size() <= name_bytes_max && std::ranges::all_of(member, printable)) return {};
  return Error{Errc::invalid_argument, "a member id has 1 to 249 bytes, and no control characters"};
}

Status check_profile(const MemberProfile& profile, const GroupLimits& limits) {
  if (profile.topics.empty() && profile.pattern.empty()) {
    return Error{Errc::invalid_argument, "a member names the topics that it reads, or a pattern for them"};
  }
  if (profile.topics.size() > limits.topics_max) {
    return Error{Errc::invalid_argument, "a member names " + std::to_string(profile.topics.size()) + " topics, at most " +
                                             std::to_string(limits.topics_max) + " are taken: a pattern can say more"};
  }
  for (const auto& topic : profile.topics) {
    if (!is_name(topic)) return Error{Errc::invalid_topic_exception, quoted(topic) + " is no name for a topic"};
  }
  if (std::ranges::adjacent_find(profile.topics, std::ranges::greater_equal{}) != profile.topics.end()) {
    return Error{Errc::invalid_argument, "a member's topics come sorted, and none twice"};
  }
  if (!profile.instance_id.empty()) TROUPE_TRY(check_member_id(profile.instance_id));
  if (profile.session_timeout_ms < limits.session_timeout_ms_min ||
      profile.session_timeout_ms > limits.session_timeout_ms_max) {
    return Error{Errc::invalid_session_timeout, outside("the session timeout", profile.session_timeout_ms,
                                                        limits.session_timeout_ms_min, limits.session_timeout_ms_max)};
  }
  if (profile.rebalance_timeout_ms < limits.rebalance_timeout_ms_min ||
      profile.rebalance_timeout_ms > limits.rebalance_timeout_ms_max) {
    return Error{Errc::invalid_argument, outside("the rebalance timeout", profile.rebalance_timeout_ms,
                                                 limits.rebalance_timeout_ms_min, limits.rebalance_timeout_ms_max)};
  }
  if (!profile.assignor.empty() && find_assignor(profile.assignor) == nullptr) {
    return Error{Errc::unsupported_assignor,
                 "there is no assignor " + quoted(profile.assignor) + ", but uniform, range and load"};
  }
  if (!profile.pattern.empty()) {
    if (const auto pattern = TopicPattern::compile(profile.pattern); !pattern) return pattern.error();
  }
  return {};
}

}  // namespace troupe::group
