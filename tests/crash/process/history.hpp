#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "core/ids.hpp"

namespace troupe::test {

/// What a writer said while it ran, one line each, every line one write. Intentions end in '?' and come before the deed.
///
///   open P END                   a run found partition P to end at END; its sequence numbers do not join on to earlier ones
///   ack MS P:OFFSET:SEQUENCE ..  acknowledged; MS: when it was appended, on the machine's monotonic clock
///   flushed MS                   FlushPolicy::interval: what was appended until MS was synced
///   cut? P OFFSET                a truncation begins: what lies at and above OFFSET may be gone
///   cut P OFFSET SEQUENCE        done: nothing up to SEQUENCE may be at or above OFFSET any more
///   reset? P OFFSET  reset P OFFSET SEQUENCE
///   start? P OFFSET  start P OFFSET          the log start may go up to OFFSET, has gone up to OFFSET
///   lost P END                   (verifier) the loss of everything at and above END was allowed and has happened
///   settled                      (verifier) everything that is there now stays there
///   error, read, resumed ...     for people and for the tests
struct PartitionHistory {
  struct Ack {
    std::uint64_t sequence;
    std::int64_t appended_ms;
  };
  struct Gone {
    std::int64_t offset;
    std::uint64_t sequence;
  };

  std::map<std::int64_t, Ack> acks;  ///< by offset
  std::set<std::int64_t> seams;      ///< offsets at which sequence numbers need not go on by one
  std::vector<Gone> gone;            ///< no record up to `sequence` at or above `offset`
  std::int64_t start_done = 0;       ///< the log start at least
  std::optional<std::int64_t> start_pending;
  std::int64_t settled_ms = -1;  ///< acks up to then have been verified once

  std::int64_t start_max() const { return std::max(start_done, start_pending.value_or(0)); }
};

struct History {
  std::map<std::int32_t, PartitionHistory> partitions;
  std::int64_t flushed_ms = -1;  ///< what was appended until then survives a power cut
  std::size_t acks = 0;          ///< ever seen
  std::size_t errors = 0;
};

/// Errors: invalid_argument (names the line), not_found, storage_error. A last line without an end is left out.
Result<History> read_history(const std::string& path);

}  // namespace troupe::test
