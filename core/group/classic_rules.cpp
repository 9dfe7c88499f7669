#include "core/group/classic_rules.hpp"

#include <algorithm>
#include <map>

namespace troupe::group {
namespace {

constexpr std::size_t name_bytes_max = 249;
/// Of a member id, beside 37 for the dash and what makes it its own.
constexpr std::size_t prefix_bytes_max = 200;

/// Not in the middle of a character.
std::string shortened(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  auto size = bytes_max;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) --size;
  return std::string(text.substr(0, size));
}

bool is_name(std::string_view name) { return !name.empty() && name.size() <= name_bytes_max; }

}  // namespace

Status check_join(const ClassicJoinRequest& request, const GroupLimits& limits) {
  if (request.session_timeout_ms < limits.session_timeout_ms_min ||
      request.session_timeout_ms > limits.session_timeout_ms_max) {
    return Error{Errc::invalid_session_timeout, "the session timeout is " + std::to_string(request.session_timeout_ms) +
                                                    " ms, it can be " + std::to_string(limits.session_timeout_ms_min) +
                                                    " to " + std::to_string(limits.session_timeout_ms_max)};
  }
  if (request.protocol_type.empty() || request.protocols.empty()) {
    return Error{Errc::inconsistent_group_protocol, "who joins a group names the type of its protocols, and one or more"};
  }
  if (request.protocols.size() > limits.classic_protocols_max) {
    return Error{Errc::invalid_argument, "a member names " + std::to_string(request.protocols.size()) +
                                             " protocols, at most " + std::to_string(limits.classic_protocols_max) +
                                             " are taken"};
  }
  const bool named = is_name(request.protocol_type) &&
                     std::ranges::all_of(request.protocols, [](const auto& one) { return is_name(one.name); });
  if (!named) return Error{Errc::invalid_argument, "the names of protocols and their types have 1 to 249 bytes"};
  if (!request.instance_id.empty()) TROUPE_TRY(check_member_id(request.instance_id));
  if (const auto bytes = metadata_bytes(request.protocols); bytes > limits.classic_metadata_bytes_max) {
    return Error{Errc::message_too_large, "a member's metadata has " + std::to_string(bytes) + " bytes, at most " +
                                              std::to_string(limits.classic_metadata_bytes_max) + " are taken"};
  }
  return {};
}

ClassicProfile profile_of(const ClassicJoinRequest& request, const GroupLimits& limits) {
  const auto rebalance = request.rebalance_timeout_ms < 1 ? request.session_timeout_ms : request.rebalance_timeout_ms;
  return {request.instance_id,
          shortened(request.client_id, name_bytes_max),
          shortened(request.client_host, name_bytes_max),
          request.session_timeout_ms,
          std::clamp(rebalance, limits.rebalance_timeout_ms_min, limits.rebalance_timeout_ms_max),
          request.protocols};
}

std::string new_member_id(const ClassicJoinRequest& request) {
  auto id = shortened(request.instance_id.empty() ? request.client_id : request.instance_id, prefix_bytes_max);
  for (auto& character : id) {
    if (static_cast<unsigned char>(character) < 0x20 || character == 0x7f) character = '_';
  }
  return id + "-" + to_string(request.fresh);
}

std::size_t metadata_bytes(const std::vector<ClassicProtocol>& protocols) {
  std::size_t bytes = 0;
  for (const auto& one : protocols) bytes += one.name.size() + one.metadata.size();
  return bytes;
}

const ClassicProtocol* find_protocol(const std::vector<ClassicProtocol>& protocols, std::string_view name) {
  const auto found = std::ranges::find(protocols, name, &ClassicProtocol::name);
  return found == protocols.end() ? nullptr : &*found;
}

std::string choose_protocol(const std::vector<const ClassicProfile*>& members, const ClassicProfile& leader) {
  const auto all_speak = [&](std::string_view name) {
    return std::ranges::all_of(members, [&](const auto* one) { return find_protocol(one->protocols, name) != nullptr; });
  };
  std::vector<std::string_view> candidates;  // as the leader likes them
  for (const auto& one : leader.protocols) {
    if (all_speak(one.name)) candidates.push_back(one.name);
  }
  std::map<std::string_view, std::size_t> votes;
  for (const auto* member : members) {
    const auto liked = std::ranges::find_if(
        member->protocols, [&](const auto& one) { return std::ranges::find(candidates, one.name) != candidates.end(); });
    if (liked != member->protocols.end()) ++votes[liked->name];
  }
  std::string_view chosen;
  for (const auto& name : candidates) {
    if (chosen.empty() || votes[name] > votes[chosen]) chosen = name;
  }
  return std::string(chosen);
}

}  // namespace troupe::group
