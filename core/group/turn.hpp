#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "core/group/classic_requests.hpp"
#include "core/group/group_record.hpp"

namespace troupe::group {

struct Now {
  MonotonicMs monotonic{0};
  TimestampMs wall{0};
};

struct MemberName {
  std::string group = {};
  std::string member = {};

  friend auto operator<=>(const MemberName&, const MemberName&) = default;
};

/// What a turn led to: records for the log, one batch, members who should heartbeat now, for there is news for them, and answers of calls
/// that were taken now or in an earlier turn. The state has the records already; if they are not committed, it is thrown away and read from
/// the log again.
struct Turn {
  std::vector<Record> records = {};
  std::vector<MemberName> nudged = {};
  std::vector<ClassicDelivery> delivered = {};
};

}  // namespace troupe::group
