#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/result.hpp"
#include "core/replication/claim.hpp"

namespace troupe::replication {

/// Where the records of a claim are.
struct ClaimedRecords {
  Offset base_offset{0};
  std::int32_t count = 0;
  TimestampMs timestamp = no_timestamp;

  friend bool operator==(const ClaimedRecords&, const ClaimedRecords&) = default;
};

/// What a partition remembers of its clients' claims, so that a retry is answered with the first one's result.
///
///   sequence   ... 17 18 20 21 ... 80        of one client: the 64 highest it used, gaps allowed
///                  |---- window ----|
///   in the window and known      duplicate: the place of its records; with another digest a conflict
///   in the window and not known  new
///   below the window             refused: it may have been written, and nobody remembers
///
/// A pure function of the batches applied, in any order: each client keeps its highest sequences. Clients of whom nothing came
/// for 24 hours are forgotten, and beyond 20,000 clients those that were silent longest. Design section 5.
class ClaimIndex {
 public:
  static constexpr std::size_t sequences_kept = 64;
  static constexpr std::size_t clients_kept = 20'000;
  static constexpr Millis kept_ms = Millis{24} * 3600 * 1000;

  /// nullopt: new, append it. Errors: conflict (known with another digest), out_of_order_sequence_number (below the window).
  Result<std::optional<ClaimedRecords>> check(const Claim& claim) const;
  /// Notes a claim that is in the log.
  void apply(const Claim& claim, const ClaimedRecords& records);
  std::size_t clients() const { return clients_.size(); }
  void clear() {
    clients_.clear();
    by_age_.clear();
  }

 private:
  struct Entry {
    std::uint64_t digest = 0;
    ClaimedRecords records;
  };
  struct Client {
    std::map<std::uint64_t, Entry> sequences;
    TimestampMs last = no_timestamp;
    bool dropped = false;  ///< sequences below the window have been let go
  };
  void forget_oldest();

  std::map<ClientHash, Client> clients_;
  std::set<std::pair<TimestampMs, ClientHash>> by_age_;  ///< of the last claim
};

}  // namespace troupe::replication
