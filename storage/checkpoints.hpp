#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "core/record/leader_epoch_cache.hpp"
#include "storage/checkpoint_file.hpp"

/// What the log keeps in checkpoint files. All of it is derived (S4): a missing or damaged file costs time, not answers.
namespace troupe::storage {

/// Which checkpoint a file holds, so that one under another's name is refused. Part of the format: never renumber.
enum class CheckpointMagic : std::uint32_t {
  leader_epochs = 0x54524c45,      ///< "TRLE", one file a partition
  recovery_points = 0x54525250,    ///< "TRRP", one file a data directory: each log is synced below its offset
  high_watermarks = 0x54524857,    ///< "TRHW", one file a data directory
  log_start_offsets = 0x5452534f,  ///< "TRSO", one file a data directory
};

using LeaderEpochEntries = std::vector<record::LeaderEpochCache::Entry>;
using PartitionOffsets = std::vector<std::pair<TopicIdPartition, Offset>>;

ByteBuffer encode_leader_epochs(std::span<const record::LeaderEpochCache::Entry> entries);
/// The entries in their written order; that they ascend is for `LeaderEpochCache::from_entries` to say.
/// Errors: corrupt_message (a length or a negative number).
Result<LeaderEpochEntries> decode_leader_epochs(ByteView payload);

/// Ascending by partition, whatever the order of `offsets`. A partition must not appear twice, offsets must not be negative.
ByteBuffer encode_offsets(PartitionOffsets offsets);
/// Ascending by partition. Errors: corrupt_message (a length, a negative number, a partition out of order or twice).
Result<PartitionOffsets> decode_offsets(ByteView payload);

/// write_checkpoint and read_checkpoint with the payloads above; their errors.
Status write_leader_epochs(FileSystem& files, const std::string& path,
                           std::span<const record::LeaderEpochCache::Entry> entries);
Result<std::optional<LeaderEpochEntries>> read_leader_epochs(FileSystem& files, const std::string& path);
/// `magic`: any but leader_epochs.
Status write_offsets(FileSystem& files, const std::string& path, CheckpointMagic magic, PartitionOffsets offsets);
Result<std::optional<PartitionOffsets>> read_offsets(FileSystem& files, const std::string& path, CheckpointMagic magic);

}  // namespace troupe::storage
