#pragma once

#include <optional>
#include <unordered_map>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/log_reader.hpp"
#include "actors/partition_messages.hpp"
#include "actors/recent_batches.hpp"
#include "core/replication/follower_replica.hpp"

namespace troupe::actors {

/// What consumers of this node may have of a partition that it follows: committed records, as far as this replica knows them.
///
///   FetchPartition --> below the high watermark here? --> LogReaders ... ReadResult --> FetchAnswered
///                              `-- no: leader_not_available, at once: the leader may have more
///   high watermark moved --> TailCommitted, with the batches when they are in memory
///
/// Nothing is promised about how far behind this replica is, and nothing above its watermark is ever shown.
class FollowerReads {
 public:
  /// All outlive this; `replica` is empty until the log is open.
  FollowerReads(caf::event_based_actor& self, TopicIdPartition partition, const LogReaders& readers,
                const std::optional<replication::FollowerReplica>& replica, std::size_t recent_bytes_max)
      : self_(self), partition_(partition), readers_(readers), replica_(replica), recent_(recent_bytes_max) {}

  // --- the log, as it changes

  void opened(storage::LogView view);
  void changed(storage::LogView view) { view_ = std::move(view); }
  /// These are in the log now.
  void appended(Offset from, Offset next_offset, const Bytes& batches);
  /// The end of the log goes. `lost`: committed records with it, so that who listens has to begin again.
  void cut(bool lost);
  /// The high watermark or the leader may be another one now.
  void moved();

  // --- consumers

  void fetch(const FetchPartition& asked);
  void read(const ReadResult& result);
  void find(const FindOffset& asked);
  void found(const TimestampResult& result);
  void attach(const caf::actor& tail);
  void detach();

 private:
  Error not_here() const;
  void tell_attached();
  OffsetAnswer position(Offset offset) const;

  caf::event_based_actor& self_;
  const TopicIdPartition partition_;
  const LogReaders& readers_;
  const std::optional<replication::FollowerReplica>& replica_;
  storage::LogView view_;
  RecentBatches recent_;
  std::unordered_map<std::uint64_t, FetchPartition> fetches_;
  std::unordered_map<std::uint64_t, FindOffset> finds_;
  std::uint64_t next_token_ = 1;
  caf::actor tail_;
  bool told_ = false;    ///< the tail knows where it begins
  Offset committed_{0};  ///< the high watermark as the tail knows it
  LeaderEpoch told_epoch_{-1};
};

}  // namespace troupe::actors
