#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/log_config.hpp"
#include "storage/log_state.hpp"
#include "storage/segment.hpp"

namespace troupe::storage {

/// What a log found when it was opened, and so what it may do.
struct LogHealth {
  enum class Kind {
    good,
    unclean,  ///< bytes that nobody was promised were cut off and put into quarantine; serves everything
    damaged,  ///< promised bytes are gone or wrong: reads below `from`, no appends, until the log is reset or restored
    offline,  ///< the disk failed while the log was in use: no appends until it is recovered
  };
  Kind kind = Kind::good;
  Offset from = no_offset;  ///< the first offset that was cut, is damaged, or is in doubt
  std::string reason;

  bool can_append() const { return kind == Kind::good || kind == Kind::unclean; }
};

std::string_view to_string(LogHealth::Kind kind) noexcept;

/// Where a log lies and where its unknown bytes go.
struct LogLocation {
  std::string directory;
  std::string quarantine;  ///< created when needed
};

/// What is known about a log from outside its directory.
struct LogExpectation {
  Offset recovery_point{0};    ///< everything below was synced to segments
  Offset durable_end{0};       ///< everything below was promised: the recovery point, or what the commit log holds beyond it
  Offset log_start_offset{0};  ///< records below were deleted
  bool was_written = false;    ///< the log had files: an empty directory means that they are lost
  std::optional<Offset> commit_log_from;  ///< the commit log holds everything from here to `durable_end`
};

struct RecoveredSegment {
  std::shared_ptr<Segment> segment;
  Offset next_offset;
  std::uint32_t end_position;
  TimestampMs max_timestamp;
  TimestampMs first_timestamp;  ///< the first batch's max timestamp, -1 in an empty segment
};

struct RecoveredLog {
  std::vector<RecoveredSegment> segments;  ///< ascending; the last one is written on
  Offset log_start_offset{0};
  Offset log_end_offset{0};  ///< below the log start when the commit log has yet to continue what is left
  LogState state;
  LogHealth health;
  std::size_t bytes_scanned = 0;
  bool directory_changed = false;  ///< stale derived files were removed: sync the directory before anything else is promised
};

/// Reads a log's directory back into a log that is a prefix of what was appended and holds everything that was promised (S1), or
/// says that it cannot.
///
///   segments  [0..99 ok] [100..149 ok | bad .... ]       first bad batch at offset 150
///
///   150 is in the commit log                  -> cut at 150; the caller appends from the commit log: repaired
///   150 < recovery point (or promised)        -> damaged from 150: nothing is cut, nothing appended          (S3)
///   150 is beyond what was promised, and
///     no intact batch follows                 -> torn tail: cut at 150
///     an intact batch follows                 -> unclean: the rest goes to quarantine, cut at 150            (S10)
///
/// Indexes and state files are taken where they check out and rebuilt where not (S4).
/// Errors: storage_error (the disk does not answer; nothing was changed), wrong kinds of files (invalid_argument).
Result<RecoveredLog> recover_log(const std::shared_ptr<OpenFiles>& files, const LogLocation& location,
                                 const LogConfig& config, const LogExpectation& expectation);

/// State of a log at its end, from the newest usable `.state` file at or below it and the batches after it.
Result<LogState> rebuild_state(OpenFiles& files, const std::string& directory, const std::vector<RecoveredSegment>& segments,
                               Offset log_start_offset, Offset log_end_offset);

}  // namespace troupe::storage
