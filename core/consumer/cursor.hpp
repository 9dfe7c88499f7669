#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "core/ids.hpp"

namespace troupe::consumer {

/// Where a reader stands in one partition.
struct CursorPosition {
  LeaderEpoch leader_epoch = no_leader_epoch;  ///< of the record before; -1: not known
  Offset next_offset{0};                       ///< the next to be read

  friend bool operator==(const CursorPosition&, const CursorPosition&) = default;
};

/// A reader's place in a topic: what a client keeps and gives back to go on. Valid as long as the log is. It carries positions, not
/// rights: those are checked when it is used.
///
/// As text: base64url without padding of version 1, topic id, per partition, ascending: number, leader epoch and next offset as
/// delta-coded varints, and a CRC-32C of all that. Without it a text that was cut exactly between two positions would be a cursor of
/// fewer partitions, whose records a client then saw again. A count of positions would tell that too, in fewer letters, but not a
/// letter that was changed on its way: that moves a reader, silently, over records it never saw. docs/formats/cursor.md
struct Cursor {
  TopicId topic_id;
  std::map<PartitionId, CursorPosition> positions;

  std::string encode() const;
  /// Errors: invalid_argument, one sentence for a client, for anything but exactly what `encode` gives. Never reads beyond 10,000
  /// partitions.
  static Result<Cursor> decode(std::string_view text);

  friend bool operator==(const Cursor&, const Cursor&) = default;
};

/// Where a subscription or a read begins. websocket-sse.md C2.3, rest-api.md B5.6
struct StartFrom {
  enum class Kind : std::uint8_t { earliest, latest, last, offsets, time, ago, cursor };
  Kind kind = Kind::latest;
  std::int64_t last = 0;                       ///< records in all, after filters
  std::map<PartitionId, Offset> offsets = {};  ///< partitions not named begin at the earliest record
  TimestampMs time = no_timestamp;
  Millis ago_ms = 0;
  std::optional<Cursor> cursor = {};

  friend bool operator==(const StartFrom&, const StartFrom&) = default;
};

/// The form of REST and SSE: "earliest", "latest", "last:N", "offset:P:O,P:O", "time:T" (ms or RFC 3339), "ago:D" (500ms, 10s,
/// 5m, 2h, 1d).
/// Errors: invalid_argument, naming what was wrong.
Result<StartFrom> parse_start(std::string_view text);

/// Milliseconds since 1970 from "1764000000123" or RFC 3339 with zone.
Result<TimestampMs> parse_time(std::string_view text);

}  // namespace troupe::consumer
