#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "core/record/leader_epoch_cache.hpp"
#include "core/record/producer_state.hpp"
#include "storage/file_system.hpp"

namespace troupe::storage {

/// What a log's batches add up to: leader epochs and producers. A pure function of the log up to some offset (P4).
struct LogState {
  record::LeaderEpochCache epochs;
  record::ProducerStates producers;

  void apply(const record::RecordBatchHeader& batch) {
    epochs.assign(batch.leader_epoch, batch.base_offset);
    producers.apply(batch);
  }
};

inline constexpr std::string_view state_extension = ".state";

/// Keeps the state as of `offset` in `<offset>.state`, so that a restart or a truncation replays the log from there instead of from
/// its start. Derived, checksummed, written once: not synced, and a damaged one is passed over. docs/formats/log-state.md
Status save_log_state(FileSystem& file_system, const std::string& directory, Offset offset, const LogState& state);

/// Errors: not_found, corrupt_message, storage_error.
Result<LogState> load_log_state(FileSystem& file_system, const std::string& directory, Offset offset);

}  // namespace troupe::storage
