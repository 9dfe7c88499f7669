#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/record/record_batch.hpp"
#include "storage/file_system.hpp"

namespace troupe::storage {

/// No batch in a log is larger. A length field above it is damage, not a reason to allocate.
inline constexpr std::size_t stored_batch_bytes_max = std::size_t{64} << 20;

/// What a batch at some place of a log must be (S6): where it has to stand, and after what.
struct BatchExpectation {
  Offset base_offset;          ///< of the next batch
  bool holes_allowed = false;  ///< compaction left holes: any offset from `base_offset` on
  LeaderEpoch epoch_min = no_leader_epoch;
};

enum class ScanDepth {
  headers,    ///< lengths, offsets and epochs: enough to find one's way in bytes that were checked before
  checksums,  ///< each batch's CRC-32C, too
};

struct ScanEnd {
  std::uint64_t position;  ///< after the last good batch
  Offset next_offset;
  LeaderEpoch last_epoch;
  std::optional<std::string> damage;  ///< why the scan ended before `to`: what is wrong with the batch at `position`
};

/// Receives each good batch: its bytes, whole, and where they stand in the file.
using ScanVisitor = std::function<void(const record::RecordBatchView& batch, std::uint32_t position)>;

/// Walks the batches of `file` from position `from` up to `to`, and stops at the first one that is not what it must be.
/// Errors: storage_error (a read failed; that is never taken for the end, S8).
Result<ScanEnd> scan_batches(const File& file, std::uint64_t from, std::uint64_t to, BatchExpectation expectation,
                             ScanDepth depth, const ScanVisitor& visit);

/// The position of the first intact batch in [from, to) that could belong to the log at `offset_min` or later; nullopt when there is
/// none. Tells a torn tail (nothing good follows) from damage in the middle (something does): S3.
Result<std::optional<std::uint64_t>> find_intact_batch(const File& file, std::uint64_t from, std::uint64_t to,
                                                       Offset offset_min);

}  // namespace troupe::storage
