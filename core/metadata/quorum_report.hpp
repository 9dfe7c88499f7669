#pragma once

#include <functional>
#include <optional>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "core/metadata/voter_set.hpp"

/// What people are told of the metadata quorum, and what they ask of it.
namespace troupe::quorum {

struct ReplicaReport {
  ReplicaKey key = {};
  bool near = false;                   ///< the leader has heard it lately; nobody but the leader knows
  std::optional<Offset> log_end = {};  ///< all below is on its disk; nullopt: not known here
  std::optional<Millis> last_contact_ms =
      {};  ///< since the leader has heard it; nullopt: not known here, or the leader itself

  friend bool operator==(const ReplicaReport&, const ReplicaReport&) = default;
};

/// As one replica sees the quorum. How far the others are it knows as the leader only; another one names as observers who has taken the
/// place of a voter, as far as it has heard.
struct QuorumReport {
  BrokerId reporter{-1};
  BrokerId leader{-1};  ///< -1: nobody known
  LeaderEpoch epoch{0};
  Offset high_watermark{0};
  Offset log_end{0};  ///< of the reporter
  std::vector<ReplicaReport> voters = {};
  std::vector<ReplicaReport> observers = {};

  /// Voters whose vote is lost: their node is here as another replica, with another directory, and without a vote.
  std::vector<BrokerId> lost_voters() const;
  /// Without observers that are silent, and of brokers that are not `known` or are here as another replica.
  QuorumReport without_ghosts(const std::function<bool(BrokerId)>& known) const;

  bool leads() const { return reporter == leader && leader != BrokerId{-1}; }

  friend bool operator==(const QuorumReport&, const QuorumReport&) = default;
};

/// How things are.
struct DescribeQuorum {};
/// That broker votes from now on. It must follow the leader; it has its vote when it has caught up. Done already: nothing happens.
struct AddVoter {
  BrokerId broker{-1};
};
/// That broker votes no more. Done already: nothing happens.
struct RemoveVoter {
  BrokerId broker{-1};
};
/// Another voter leads: `to`, or whoever has most (-1). It leads already: nothing happens.
struct TransferLeadership {
  BrokerId to{-1};
};
/// The order is part of the wire: new ones go to the end.
using QuorumRequest = std::variant<DescribeQuorum, AddVoter, RemoveVoter, TransferLeadership>;

}  // namespace troupe::quorum
