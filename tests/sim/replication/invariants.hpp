#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/replication/partition_state.hpp"
#include "tests/sim/replication/sim_log.hpp"

namespace troupe::sim {

/// Holds the named invariants of issue 4 against what happens, as it happens.
///
/// For each partition it keeps the committed records: those below any high watermark that any replica ever had. They grow and never change;
/// each watermark that moves is held against them, each new leader must have them all, each acknowledgement must lie in them.
class Invariants {
 public:
  struct Violation {
    std::string invariant;
    std::string what;
  };
  struct Holder {
    BrokerId broker;
    const SimLog* log;
    Offset log_start{0};    ///< as its machine has it: what is below goes when the disk comes to it
    bool has_lost = false;  ///< in a crash, and not in the ISR since: what it said it held before is no lie of the leader's
  };

  Invariants(std::size_t partitions, replication::Flush flush) : partitions_(partitions), flush_(flush) {}

  const std::optional<Violation>& violation() const { return violation_; }
  void fail(const std::string& invariant, const std::string& what) {
    if (!violation_) violation_ = Violation{invariant, what};
  }

  /// SingleLeaderPerEpoch; and AckedRecordsSurvive: it holds everything that was committed when it was elected, and, while its epoch is
  /// in force, everything committed. One that hears late of its election, when its epoch is over, need not: nobody follows it.
  void leader_begins(std::size_t partition, BrokerId broker, LeaderEpoch epoch, bool in_force, const SimLog& log);
  /// HighWatermarkNeverRetreats (of one run of one replica), NoConsumerSeesUncommitted: what lies below a watermark is what was
  /// committed there before, and enough replicas hold it in the way that counts.
  void high_watermark(std::size_t partition, BrokerId broker, Offset before, Offset now, Offset log_start, const SimLog& log,
                      const std::vector<Holder>& replicas, std::size_t copies_needed);
  /// A leader epoch is committed: what is committed of the log by now its leader must have, whenever it begins.
  void elected(std::size_t partition, LeaderEpoch epoch);
  /// LeaderInIsr, for a leader's own view.
  void leader_view(std::size_t partition, BrokerId broker, const std::vector<BrokerId>& isr);
  /// StrongIsr: whatever any replica shows is on every member of the true ISR, and on the eligible leader replicas.
  void strong_isr(std::size_t partition, const std::vector<Holder>& members);
  /// AckedRecordsSurvive: what is acknowledged at `quorum` is committed, where it is said to be. `crcs`: of the batches that may be there;
  /// of several tries under one claim any one may have been written.
  void acknowledged(std::size_t partition, Offset base, Offset next, const std::set<std::uint32_t>& crcs);
  /// NoConsumerSeesUncommitted: what a consumer is given is committed, where it is said to be.
  void shown(std::size_t partition, Offset base, Offset next, std::uint32_t crc);

  /// Nobody was left who held everything: what the new leader does not have is lost, which is announced and allowed.
  void unclean_recovery(std::size_t partition, const SimLog& new_leader);

  /// Whether that log has everything that is committed.
  bool holds_committed(std::size_t partition, const SimLog& log) const;
  bool lossy(std::size_t partition) const { return partitions_[partition].lossy; }
  /// A replica began its log behind its first record, so it does not know producers whose batches all lie before: they are not
  /// "remembered" (P1), and a batch of theirs is taken at any sequence number.
  void producers_forgotten(std::size_t partition) { partitions_[partition].forgetful = true; }
  bool forgetful(std::size_t partition) const { return partitions_[partition].lossy || partitions_[partition].forgetful; }
  Offset committed_end(std::size_t partition) const { return partitions_[partition].end(); }
  std::optional<std::uint64_t> committed_chain(std::size_t partition, Offset boundary) const;

 private:
  struct Committed {
    std::map<Offset, std::uint64_t> chains{{Offset{0}, 0}};  ///< at each batch end
    std::map<Offset, std::uint32_t> crcs;                    ///< of the batch that begins there
    std::map<LeaderEpoch, BrokerId> leaders;
    std::map<LeaderEpoch, Offset> ends_at_election;
    bool forgetful = false;
    bool lossy = false;  ///< an unclean recovery has been: what replicas had may go
    Offset end() const { return chains.rbegin()->first; }
  };

  bool holds(const SimLog& log, Offset log_start, Offset boundary, std::uint64_t chain, Offset end) const;

  std::vector<Committed> partitions_;
  replication::Flush flush_;
  std::optional<Violation> violation_;
};

}  // namespace troupe::sim
