#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "core/group/group_coordinator.hpp"

/// What is asked of a group's coordinator, here or on another node, and the answers, as values and as bytes: docs/formats/group-calls.md.
/// Refusals travel as errors of the link.
namespace troupe::group {

struct DeleteGroupRequest {
  std::string group = {};
};
struct DeleteOffsetsRequest {
  std::string group = {};
  std::vector<GroupPartition> partitions = {};
};
struct DescribeRequest {
  std::string group = {};
};
/// Of one partition of the groups' topic.
struct ListRequest {
  PartitionId partition{0};
};

/// The order is part of the wire: new ones go to the end, but those of classic groups stay behind them. These count from 40.
using GroupCall = std::variant<HeartbeatRequest, CommitRequest, OffsetsRequest, ResetRequest, DeleteGroupRequest,
                               DeleteOffsetsRequest, DescribeRequest, ListRequest, PauseRequest, InstanceRequest,  // 0 to 9
                               ClassicJoinRequest, ClassicSyncRequest, ClassicHeartbeatRequest, ClassicLeaveRequest>;
/// std::monostate is for calls that are answered with nothing. The order is part of the wire, as above.
using GroupAnswer = std::variant<HeartbeatAnswer, std::vector<Status>, std::vector<Position>, GroupDescription,
                                 std::vector<GroupListing>, std::monostate, InstanceEntry,  // 0 to 6
                                 ClassicJoinAnswer, ClassicSyncAnswer>;

/// The partition of the groups' topic whose leader answers.
PartitionId partition_of(const GroupCall& call);
/// It can be asked again when nobody knows whether it was done.
bool is_repeatable(const GroupCall& call);
/// It changes nothing: where there is no groups' topic, there is an answer all the same.
bool is_question(const GroupCall& call);

/// It may have to wait for what others ask: it is for `ask_later`.
bool may_wait(const GroupCall& call);
/// Asks the coordinator. The answer is in `turn.delivered`, of this turn or of a later one. Of `may_wait` calls only.
void ask_later(GroupCoordinator& coordinator, const GroupCall& call, CallToken token, Now now, Turn& turn);
GroupAnswer to_answer(ClassicAnswer answer);

/// Asks the coordinator. Not of `may_wait` calls.
Result<GroupAnswer> answer_call(GroupCoordinator& coordinator, const GroupCall& call, BrokerId from, Now now, Turn& turn);

ByteBuffer encode_call(const GroupCall& call);
/// Errors: corrupt_message; a newer node's call, too.
Result<GroupCall> decode_call(ByteView bytes);
ByteBuffer encode_answer(const GroupAnswer& answer);
/// Errors: corrupt_message.
Result<GroupAnswer> decode_answer(ByteView bytes);

/// Members for whom their coordinator has news: told to their nodes, not answered.
ByteBuffer encode_news(const std::vector<MemberName>& members);
/// Errors: corrupt_message.
Result<std::vector<MemberName>> decode_news(ByteView bytes);

}  // namespace troupe::group
