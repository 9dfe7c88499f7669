#pragma once

#include <functional>
#include <optional>

#include <caf/fwd.hpp>

#include "actors/led_log.hpp"
#include "base/clock.hpp"

namespace troupe::actors {

/// What clients asked for in the last day, read from the log into the leader's rules when the first of them asks again.
class LeaderClaims {
 public:
  /// `token`: of the reads. All but the numbers outlive this.
  LeaderClaims(caf::event_based_actor& self, LedLog& log, const Clock& clock, std::uint64_t token)
      : self_(self), log_(log), clock_(clock), token_(token) {}

  void load();
  /// The parts of loading: a status says that it has ended, and how. Then `on_claims_loaded` is due.
  std::optional<Status> found(const TimestampResult& result);
  std::optional<Status> read(const ReadResult& result);

 private:
  std::optional<Status> read_on(Offset from);

  caf::event_based_actor& self_;
  LedLog& log_;
  const Clock& clock_;
  const std::uint64_t token_;
  Offset until_{0};
};

}  // namespace troupe::actors
