#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "base/uuid.hpp"
#include "core/group/group_member.hpp"

/// What members of classic groups ask of their coordinator: Kafka's JoinGroup, SyncGroup, Heartbeat and LeaveGroup as values.
namespace troupe::group {

/// Names a call that is answered in a later turn, perhaps. Of the caller's choice, none twice.
using CallToken = std::uint64_t;

/// One of the ways in which a member could share the partitions with others.
struct ClassicProtocol {
  std::string name = {};      ///< "range", "cooperative-sticky"
  std::string metadata = {};  ///< bytes; what they say is the members' affair

  friend bool operator==(const ClassicProtocol&, const ClassicProtocol&) = default;
};

struct ClassicJoinRequest {
  std::string group = {};
  std::string member = {};       ///< empty: it has no id yet
  std::string instance_id = {};  ///< of a static member; empty: a dynamic one. Source: KIP-345
  std::string client_id = {};
  std::string client_host = {};
  std::string protocol_type = {};               ///< "consumer", "connect"
  std::vector<ClassicProtocol> protocols = {};  ///< the one it likes best comes first
  Millis session_timeout_ms = 45'000;
  Millis rebalance_timeout_ms = 300'000;  ///< below 1: as the session timeout (JoinGroup 0). Above an hour: an hour
  /// A dynamic member without an id is told one and joins again with it, before anybody waits for it (JoinGroup 4). Source: KIP-394.
  bool takes_id_first = false;
  bool can_skip_assignment = false;  ///< knows ClassicJoinAnswer::skip_assignment (JoinGroup 9). Source: KIP-814
  /// What a new member's id ends with. The same in all attempts of one call, so that it makes one member. GroupApi fills it in.
  Uuid fresh = {};
};

/// A member, for the leader.
struct ClassicPeer {
  std::string member = {};
  std::string instance_id = {};
  std::string metadata = {};  ///< of the protocol that was chosen

  friend bool operator==(const ClassicPeer&, const ClassicPeer&) = default;
};

struct ClassicJoinAnswer {
  bool join_again = false;  ///< with `member` as its id; the rest says nothing yet (Kafka's MEMBER_ID_REQUIRED)
  std::string member = {};
  GroupEpoch generation{-1};
  std::string protocol_type = {};
  std::string protocol = {};
  std::string leader = {};  ///< a member's id
  /// It leads, and what everybody has stays: it does not assign, it only learns who the members are. Source: KIP-814.
  bool skip_assignment = false;
  std::vector<ClassicPeer> members = {};  ///< for the leader; others get none

  friend bool operator==(const ClassicJoinAnswer&, const ClassicJoinAnswer&) = default;
};

struct ClassicAssignment {
  std::string member = {};
  std::string assignment = {};  ///< bytes
};

struct ClassicSyncRequest {
  std::string group = {};
  std::string member = {};
  std::string instance_id = {};
  GroupEpoch generation{-1};
  std::string protocol_type = {};                   ///< empty: it does not say (before SyncGroup 5)
  std::string protocol = {};                        ///< as above
  std::vector<ClassicAssignment> assignments = {};  ///< of the leader
};

struct ClassicSyncAnswer {
  std::string protocol_type = {};
  std::string protocol = {};
  std::string assignment = {};  ///< bytes; empty: the leader named none for it

  friend bool operator==(const ClassicSyncAnswer&, const ClassicSyncAnswer&) = default;
};

/// Answered with nothing, or an error.
struct ClassicHeartbeatRequest {
  std::string group = {};
  std::string member = {};
  std::string instance_id = {};
  GroupEpoch generation{-1};
};

struct ClassicLeaver {
  std::string member = {};       ///< empty: whoever has this instance id (an operator removes it)
  std::string instance_id = {};  ///< empty: a dynamic member
};
/// Answered with one status a leaver.
struct ClassicLeaveRequest {
  std::string group = {};
  std::vector<ClassicLeaver> members = {};
};

/// Of the calls that may have to wait for others.
using ClassicAnswer = std::variant<ClassicJoinAnswer, ClassicSyncAnswer>;
struct ClassicDelivery {
  CallToken call = 0;
  Result<ClassicAnswer> answer;
};

}  // namespace troupe::group
