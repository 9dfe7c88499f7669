#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/actor_table.hpp"
#include "core/broker_api.hpp"
#include "core/consumer_api.hpp"
#include "core/group/group_requests.hpp"

/// What a consumer's handle, the group's coordinator and the logs say to a consumer_coordinator. Never leaves the node.
namespace troupe::actors {

// From the handle: as Consumer has them.
struct ConsumerCreditCall {
  ConsumerCredit more;
};
struct ConsumerConsumedCall {
  TopicIdPartition partition;
  Offset next;
};
struct ConsumerCommitCall {
  std::vector<std::pair<TopicIdPartition, Offset>> positions;
  Reply<std::vector<CommittedPosition>> reply;
};
struct ConsumerReleasedCall {
  group::PartitionList partitions;
};
struct ConsumerPauseCall {
  group::PartitionList partitions;
  bool paused;
};
struct ConsumerSeekCall {
  TopicIdPartition partition;
  SeekTarget target;
  Reply<Offset> reply;
};
struct ConsumerChangeCall {
  group::MemberProfile profile;
};
struct ConsumerCloseCall {
  Reply<std::monostate> reply;
};
/// Nobody holds the handle any more.
struct ConsumerAbandoned {};

// Answers, and news.
struct ConsumerHeartbeatAnswer {
  Result<group::HeartbeatAnswer> answer;
};
struct ConsumerCommitAnswer {
  Result<std::vector<Status>> answer;
};
struct ConsumerOffsetsAnswer {
  Result<std::vector<group::Position>> answer;
};
struct ConsumerFetched {
  std::uint64_t token;
  Result<FetchResponse> answer;
};
struct ConsumerFound {
  std::uint64_t token;
  Result<OffsetAnswer> answer;
};
struct ConsumerNews {};

/// One message type for all of them: each costs compile time. Shared, for a reply cannot be copied.
using ConsumerInput =
    std::variant<ConsumerCreditCall, ConsumerConsumedCall, ConsumerCommitCall, ConsumerReleasedCall, ConsumerPauseCall,
                 ConsumerSeekCall, ConsumerChangeCall, ConsumerCloseCall, ConsumerAbandoned, ConsumerHeartbeatAnswer,
                 ConsumerCommitAnswer, ConsumerOffsetsAnswer, ConsumerFetched, ConsumerFound, ConsumerNews>;
using ConsumerInputPtr = std::shared_ptr<ConsumerInput>;

/// From a consumer_coordinator to itself.
struct ConsumerDeadline {};

/// To consumer_manager: a consumer that was started.
struct AdoptConsumer {
  caf::actor consumer;
  ActorRowPtr row;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ConsumerInputPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ConsumerDeadline)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AdoptConsumer)
