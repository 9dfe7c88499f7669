#pragma once

#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "actors/messages.hpp"
#include "core/broker_api.hpp"
#include "core/replication/leader_replica.hpp"

/// What is said to and by the actors of partitions. Never leaves the node. `token` and `slot` are the asker's, given back unseen;
/// every question is answered once, to `reply_to`, unless the leader goes down first: askers monitor it.
namespace troupe::actors {

// --- to partition_leader ------------------------------------------------------------------------------------------------------------

/// Batches of one gateway, appended together. Answered by SlotAnswered.
struct ProduceSlot {
  TopicIdPartition partition;
  std::uint64_t slot = 0;
  std::vector<replication::NewBatch> batches;
  caf::actor reply_to;
  replication::ProduceTerms terms = {};
};
struct SlotAnswered {
  TopicIdPartition partition;
  std::uint64_t slot = 0;
  std::vector<Result<replication::PlacedRecords>> results;
};

/// Answered by FetchAnswered.
struct FetchPartition {
  std::uint64_t token = 0;
  FetchRequest request;
  caf::actor reply_to;
};
struct FetchAnswered {
  std::uint64_t token = 0;
  Result<FetchResponse> response;
};
/// A fetch that waits is answered at once, with `cancelled`.
struct CancelFetch {
  std::uint64_t token = 0;
  caf::actor reply_to;
};

/// Answered by OffsetAnswered.
struct FindOffset {
  std::uint64_t token = 0;
  OffsetSpec spec;
  caf::actor reply_to;
};
struct OffsetAnswered {
  std::uint64_t token = 0;
  Result<OffsetAnswer> answer;
};

/// Records below `before` no longer exist. Answered by RecordsDeleted.
struct DeleteRecordsBefore {
  std::uint64_t token = 0;
  Offset before{0};
  caf::actor reply_to;
};
struct RecordsDeleted {
  std::uint64_t token = 0;
  Result<Offset> log_start;
};

/// Another configuration of the topic. Not answered.
struct ConfigChanged {
  metadata::TopicConfig config;
};
/// Apply the limits of time, size and count. Not answered. `now` is none when the wall clock is not to be trusted.
struct RunRetention {
  std::optional<TimestampMs> now;
};

/// From partition_tail, to a leader, a stand-in of one, or a follower: from now on it hears of every commit, beginning with TailAttached.
/// TailAttached comes again when the leader epoch is another one.
struct AttachTail {
  caf::actor tail;
};
struct DetachTail {};
struct TailAttached {
  LeaderEpoch leader_epoch{0};
  Offset high_watermark{0};
  Offset log_start_offset{0};
};
/// [from, next_offset) has been committed.
struct TailCommitted {
  Offset from{0};
  Offset next_offset{0};
  Offset log_start_offset{0};
  Bytes batches;  ///< with offsets and epochs
};

/// To partition_tail: what was told to be committed is no more. Nothing follows.
struct TailEnded {};
/// From partition_manager to partition_tail: there may be a better place to listen at.
struct TailSourceChanged {};

// --- tails --------------------------------------------------------------------------------------------------------------------------

/// A listener on its way to a tail, or with it: told that it has ended when nobody holds it any more, whatever happened.
class ListenerTicket {
 public:
  ListenerTicket(TopicIdPartition partition, std::shared_ptr<TailListener> listener)
      : partition_(partition), listener_(std::move(listener)) {}
  ~ListenerTicket() { end(Error{Errc::leader_not_available, "the partition's tail went away: attach again"}); }
  ListenerTicket(const ListenerTicket&) = delete;
  ListenerTicket& operator=(const ListenerTicket&) = delete;

  void tell(TailEvent event) const {
    if (listener_) listener_->on_tail(std::move(event));
  }
  void end(const Error& reason) {
    if (const auto listener = std::move(listener_)) {
      listener->on_tail({.kind = TailEvent::Kind::ended, .partition = partition_, .reason = reason});
    }
    listener_ = nullptr;
  }

 private:
  const TopicIdPartition partition_;
  std::shared_ptr<TailListener> listener_;
};

/// To partition_manager, which hands it on to the partition's tail.
struct AttachListener {
  TopicIdPartition partition;
  std::uint64_t number = 0;  ///< of this attachment on this node
  std::shared_ptr<ListenerTicket> ticket;
};
struct DetachListener {
  TopicIdPartition partition;
  std::uint64_t number = 0;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ProduceSlot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SlotAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FetchPartition)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FetchAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CancelFetch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FindOffset)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::OffsetAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DeleteRecordsBefore)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RecordsDeleted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ConfigChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RunRetention)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AttachTail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DetachTail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TailAttached)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TailCommitted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TailEnded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TailSourceChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AttachListener)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DetachListener)
