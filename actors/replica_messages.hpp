#pragma once

#include <cstdint>
#include <optional>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "core/metadata/cluster_requests.hpp"
#include "core/replication/fetch_session.hpp"
#include "core/replication/partition_state.hpp"

/// What the actors that copy partitions between nodes say to each other. Never leaves the node: between nodes travel the bytes of
/// core/replication/fetch_codec.hpp.
namespace troupe::actors {

// --- to partition_leader ------------------------------------------------------------------------------------------------------------

/// The partition as the metadata has it now.
struct PartitionChanged {
  replication::PartitionState state;
};
/// A broker is no longer fenced: who was refused may be proposed again.
struct BrokerBack {};
/// From replica_server: a follower states its position. FollowerNews come when there is something to tell it.
struct FollowerFetch {
  TopicIdPartition partition;
  replication::ReplicaFetch fetch;
};
/// From replica_server, after FollowerNews. Answered by FollowerTurnAnswer.
struct FollowerTurn {
  TopicIdPartition partition;
  replication::FetchSessionId session;
  BrokerId replica{-1};
  std::size_t bytes_max = 0;
};
/// From isr_desk: what became of a ProposeIsr. One without an answer is asked again.
struct IsrAnswered {
  std::uint64_t request = 0;
  Result<replication::PartitionState> answer;
};

/// From a partition_leader or partition_follower to partition_manager: a reader found that the log's bytes are not what was written.
struct LogRotten {
  TopicIdPartition partition;
  Error error;
};

// --- to replica_server --------------------------------------------------------------------------------------------------------------

struct FollowerNews {
  TopicIdPartition partition;
  BrokerId replica{-1};
};
struct FollowerTurnAnswer {
  TopicIdPartition partition;
  replication::FetchSessionId session;
  std::optional<replication::ReplicaAnswer> answer;  ///< nullopt: not now; FollowerNews will come
};

// --- to isr_desk --------------------------------------------------------------------------------------------------------------------

/// Takes the place of an earlier one for the same partition that was not sent yet.
struct ProposeIsr {
  TopicIdPartition partition;
  replication::AlterPartition alter;
  caf::actor reply_to;
};
/// From whoever carries requests to the active controller. `token` is the desk's.
struct AlterPartitionsAnswered {
  std::uint64_t token = 0;
  Result<metadata::AlterPartitionsAnswer> answer;
};

// --- to replica_fetcher -------------------------------------------------------------------------------------------------------------

/// From partition_manager. Until it is said, and after UnfollowPartition, positions of the partition are not taken.
struct FollowPartition {
  TopicIdPartition partition;
  caf::actor follower;
};
struct UnfollowPartition {
  TopicIdPartition partition;
};
/// From partition_follower: where it stands, or that it has nothing to ask.
struct FollowerPosition {
  TopicIdPartition partition;
  std::optional<replication::FetchPosition> position;
};

// --- to partition_follower ----------------------------------------------------------------------------------------------------------

/// From partition_manager: who leads now, and the fetcher of that node; null: nobody leads.
struct FollowLeader {
  LeaderEpoch epoch{0};
  caf::actor fetcher;
};
/// From replica_fetcher.
struct FollowerAnswer {
  replication::ReplicaAnswer answer;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LogRotten)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PartitionChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::BrokerBack)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerFetch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerTurn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::IsrAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerNews)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerTurnAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ProposeIsr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AlterPartitionsAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowPartition)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::UnfollowPartition)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerPosition)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowLeader)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FollowerAnswer)
