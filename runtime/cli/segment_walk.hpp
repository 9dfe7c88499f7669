#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/record/record_batch.hpp"
#include "storage/file_system.hpp"

namespace troupe::cli {

/// A place of a segment that is not what it must be.
struct DamagedPlace {
  std::uint64_t position;  ///< of the first batch that is wrong
  Offset expected;         ///< the offset that it should have
  std::string reason;
  std::optional<record::RecordBatchHeader> claims;  ///< what its header says, if it says anything
  std::optional<std::uint64_t> resumes_at;          ///< position of the next intact batch; nullopt: none follows
};

/// Where the batches of a segment begin, and after what.
struct WalkStart {
  std::optional<Offset> base_offset;  ///< nullopt: whatever the first batch says
  LeaderEpoch epoch_min = no_leader_epoch;
};

struct WalkEnd {
  Offset next_offset;
  LeaderEpoch last_epoch;
  std::uint64_t position;  ///< after the last intact batch
};

/// Walks all batches of [0, end), in bounded memory. Unlike a recovery it does not stop at damage: it says so and goes on at
/// the next intact batch. What it visits has a right checksum; offsets are dense between two damaged places.
/// Errors: storage_error.
Result<WalkEnd> walk_segment(const storage::File& file, std::uint64_t end, WalkStart start,
                             const std::function<void(const record::RecordBatchView&, std::uint64_t position)>& on_batch,
                             const std::function<void(const DamagedPlace&)>& on_damage);

}  // namespace troupe::cli
