#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "storage/checkpoint_file.hpp"

/// What the log keeps in checkpoint files. All of it is derived (S4): a missing or damaged file costs time, not answers.
namespace troupe::storage {

/// Which checkpoint a file holds, so that one under another's name is refused. Part of the format: never renumber.
enum class CheckpointMagic : std::uint32_t {
  recovery_points = 0x54525250,    ///< "TRRP", one file a data directory: each log is synced below its offset
  high_watermarks = 0x54524857,    ///< "TRHW", one file a data directory
  log_start_offsets = 0x5452534f,  ///< "TRSO", one file a data directory
  cleaned_offsets = 0x5452434f,    ///< "TRCO", one file a data directory: each log is compacted below its offset
  known_logs = 0x54524b4c,  ///< "TRKL", one file a data directory: at which offset of the metadata each partition was known
  owner = 0x54524f57,       ///< "TROW", one file a data directory; the only one that is not derived
};

using PartitionOffsets = std::vector<std::pair<TopicIdPartition, Offset>>;

/// Ascending by partition, whatever the order of `offsets`. A partition must not appear twice, offsets must not be negative.
ByteBuffer encode_offsets(PartitionOffsets offsets);
/// Ascending by partition. Errors: corrupt_message (a length, a negative number, a partition out of order or twice).
Result<PartitionOffsets> decode_offsets(ByteView payload);

/// write_checkpoint and read_checkpoint with the payloads above; their errors.
Status write_offsets(FileSystem& files, const std::string& path, CheckpointMagic magic, PartitionOffsets offsets);
Result<std::optional<PartitionOffsets>> read_offsets(FileSystem& files, const std::string& path, CheckpointMagic magic);

}  // namespace troupe::storage
