#pragma once

#include <cstdint>
#include <limits>

#include "base/clock.hpp"

namespace troupe::storage {

/// What an acknowledged batch is worth.
enum class FlushPolicy : std::uint8_t {
  fsync,     ///< on stable storage before it is acknowledged
  interval,  ///< in the page cache when it is acknowledged; on stable storage within `flush_interval_ms`
};

/// How one partition's log is kept. Sizes in bytes, times in milliseconds, -1: no limit.
struct LogConfig {
  FlushPolicy flush = FlushPolicy::fsync;
  Millis flush_interval_ms = 1000;  ///< 10 and more; with FlushPolicy::interval
  std::uint32_t segment_bytes_max = std::uint32_t{1}
                                    << 30;  ///< 4 KiB to 2 GiB; a larger single batch gets a segment of its own
  Millis segment_age_ms_max = Millis{7} * 24 * 3600 * 1000;  ///< by record timestamps: old records leave in time
  std::uint32_t index_interval_bytes = 4096;                 ///< batches between two index entries
  Millis retention_ms = Millis{7} * 24 * 3600 * 1000;        ///< records older than this may go
  std::int64_t retention_bytes = -1;                         ///< whole segments above this size go, oldest first
  std::int64_t retention_records = -1;                       ///< whole segments above this many offsets go, oldest first
  bool compact = false;                                      ///< of each key only the latest record has to stay
  Millis delete_retention_ms = Millis{24} * 3600 * 1000;     ///< compacted: how long tombstones are kept once they are alone
  std::int32_t min_dirty_permille = 500;  ///< compacted when so much of the closed segments was not yet, 0 to 1000
  Millis min_compaction_lag_ms = 0;       ///< records younger than this are left as they are
  Millis max_compaction_lag_ms =
      std::numeric_limits<Millis>::max();  ///< with older ones, whatever `min_dirty_permille` says
};

}  // namespace troupe::storage
