#include "actors/log_config.hpp"

namespace troupe::actors {

storage::LogConfig log_config_of(const metadata::TopicConfig& config) {
  const bool synced = config.flush == metadata::FlushMode::fsync;
  return {.flush = synced ? storage::FlushPolicy::fsync : storage::FlushPolicy::interval,
          .flush_interval_ms = config.flush_interval_ms,
          .segment_bytes_max = static_cast<std::uint32_t>(config.segment_bytes),
          .segment_age_ms_max = config.segment_ms,
          .retention_ms = config.retention_ms,
          .retention_bytes = config.retention_bytes,
          .retention_records = config.retention_records};
}

}  // namespace troupe::actors
