#include "actors/log_config.hpp"

#include <algorithm>

namespace troupe::actors {

storage::LogConfig log_config_of(const metadata::TopicConfig& config) {
  const bool synced = config.flush == metadata::FlushMode::fsync;
  const bool removes = config.removes_old();
  // The active segment is never compacted: with a limit for that it has to end in time.
  const auto age_max = config.compacts() ? std::min(config.segment_ms, config.max_compaction_lag_ms) : config.segment_ms;
  return {.flush = synced ? storage::FlushPolicy::fsync : storage::FlushPolicy::interval,
          .flush_interval_ms = config.flush_interval_ms,
          .segment_bytes_max = static_cast<std::uint32_t>(config.segment_bytes),
          .segment_age_ms_max = age_max,
          .retention_ms = removes ? config.retention_ms : -1,
          .retention_bytes = removes ? config.retention_bytes : -1,
          .retention_records = removes ? config.retention_records : -1,
          .compact = config.compacts(),
          .delete_retention_ms = config.delete_retention_ms,
          .min_dirty_permille = config.min_cleanable_dirty_permille,
          .min_compaction_lag_ms = config.min_compaction_lag_ms,
          .max_compaction_lag_ms = config.max_compaction_lag_ms};
}

}  // namespace troupe::actors
