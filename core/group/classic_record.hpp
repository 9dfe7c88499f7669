#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/group/classic_requests.hpp"

/// What `__consumer_offsets` says of a classic group. docs/formats/group-records.md
namespace troupe::group {

/// How far the generation is. Part of the format: never renumber.
enum class ClassicPhase : std::uint8_t {
  empty = 0,       ///< it has no members
  completing = 1,  ///< members and protocol are known, the leader has not assigned yet
  stable = 2,      ///< every member has its assignment
  preparing =
      3,  ///< its members are called together, whoever coordinates: a static one was replaced before the leader had assigned
};

struct ClassicState {
  ClassicPhase phase = ClassicPhase::empty;
  GroupEpoch generation{0};  ///< number of a rebalance
  std::string protocol_type = {};
  std::string protocol = {};  ///< that was chosen; empty: there are no members
  std::string leader = {};
  /// Of the generation. When the log has others, some left, or the turn that made the next generation is only half there: rebalance.
  std::uint32_t members = 0;
  TimestampMs empty_since = no_timestamp;  ///< none: it has members

  friend bool operator==(const ClassicState&, const ClassicState&) = default;
};

/// What a member says of itself.
struct ClassicProfile {
  std::string instance_id = {};
  std::string client_id = {};
  std::string client_host = {};
  Millis session_timeout_ms = 45'000;
  Millis rebalance_timeout_ms = 300'000;
  std::vector<ClassicProtocol> protocols = {};

  friend bool operator==(const ClassicProfile&, const ClassicProfile&) = default;
};

/// What the leader assigned to a member, in one generation.
struct ClassicShare {
  GroupEpoch generation{0};
  std::string assignment = {};

  friend bool operator==(const ClassicShare&, const ClassicShare&) = default;
};

struct ClassicGroupRecord {
  std::string group = {};
  std::optional<ClassicState> value = {};

  friend bool operator==(const ClassicGroupRecord&, const ClassicGroupRecord&) = default;
};
struct ClassicMemberRecord {
  std::string group = {};
  std::string member = {};
  std::optional<ClassicProfile> value = {};

  friend bool operator==(const ClassicMemberRecord&, const ClassicMemberRecord&) = default;
};
struct ClassicShareRecord {
  std::string group = {};
  std::string member = {};
  std::optional<ClassicShare> value = {};

  friend bool operator==(const ClassicShareRecord&, const ClassicShareRecord&) = default;
};

/// What the keys of these records begin with. Part of the format: never renumber.
inline constexpr std::int16_t classic_group_type = 1'040;
inline constexpr std::int16_t classic_member_type = 1'041;
inline constexpr std::int16_t classic_share_type = 1'042;

ByteBuffer encode_classic(const ClassicState& value);
ByteBuffer encode_classic(const ClassicProfile& value);
ByteBuffer encode_classic(const ClassicShare& value);

/// False: damaged, or of another version.
bool decode_classic(ByteView bytes, ClassicState& value);
bool decode_classic(ByteView bytes, ClassicProfile& value);
bool decode_classic(ByteView bytes, ClassicShare& value);

}  // namespace troupe::group
