#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/metadata/quorum_node.hpp"
#include "tests/sim/sim_disk.hpp"

/// What must hold in every run, by name. Raft's five (the paper, figure 3) and what our own text promises.
namespace troupe::sim {

class QuorumInvariants {
 public:
  /// The first thing that did not hold: "ElectionSafety: ...".
  const std::optional<std::string>& violation() const { return violation_; }
  void violated(const std::string& invariant, const std::string& what);

  /// ElectionSafety, LeaderCompleteness.
  void leads(const quorum::ReplicaKey& node, LeaderEpoch epoch, const MetadataLog& log);
  /// LogMatching. `log` ends with `entry`.
  void appended(const quorum::ReplicaKey& node, const quorum::LogEntry& entry, const MetadataLog& log);
  /// OneChangeAtATime: `log` as it is before `entry`, which its leader adds now.
  void proposes(const quorum::QuorumNode& node, const quorum::LogEntry& entry, const MetadataLog& log);
  /// VotersAreTheLogs: a change that was cut off is no longer in force.
  void truncated(const quorum::QuorumNode& node, const MetadataLog& log);
  /// CommittedMetadataNeverChanges, StateMachineSafety: the log at and below the high watermark, which was `before`.
  void committed(const quorum::ReplicaKey& node, LeaderEpoch epoch, Offset before, Offset high_watermark,
                 const MetadataLog& log);
  /// StateMachineSafety: a state machine that has applied this much.
  void applied(const quorum::ReplicaKey& node, const Applied& applied);
  /// PersistBeforeReply, VotesAreKept: `disk` at the moment in which `message` leaves.
  void sends(const quorum::Message& message, const DurableState& disk);

  std::function<void(const quorum::LogEntry&)> on_committed;  ///< each entry once, in order; may be empty

  Offset committed_end() const { return committed_.empty() ? Offset{0} : committed_.rbegin()->first; }
  /// The chain up to a committed entry's end.
  std::optional<Chain> committed_at(Offset end) const;
  /// What stands in a committed entry's payload, by its end.
  const std::map<Offset, quorum::LogEntry>& committed_entries() const { return entries_; }

 private:
  void check_committed(const quorum::ReplicaKey& node, Offset end, Chain chain, const char* what);

  std::optional<std::string> violation_;
  std::map<LeaderEpoch, quorum::ReplicaKey> leaders_;
  std::map<std::pair<LeaderEpoch, Offset>, Chain> chains_;  ///< by epoch and end of an entry
  std::map<Offset, Chain> committed_;
  std::map<Offset, LeaderEpoch> committed_in_;  ///< the epoch in which an entry was first seen committed
  std::map<Offset, quorum::LogEntry> entries_;
  std::map<std::pair<quorum::ReplicaKey, LeaderEpoch>, quorum::ReplicaKey> votes_;
};

}  // namespace troupe::sim
