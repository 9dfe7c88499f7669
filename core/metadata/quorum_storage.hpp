#pragma once

#include <optional>
#include <vector>

#include "core/metadata/quorum_effects.hpp"

/// How the quorum's log, snapshots and hard state lie on a disk: docs/formats/quorum.md, "On disk".
namespace troupe::quorum {

/// The name of the hard state's file in the directory of the metadata log.
inline constexpr const char* hard_state_file_name = "quorum-state";

/// The record batch in which an entry is stored: a data entry's payload as it is, a control entry's as the value of a control record.
Bytes entry_batch(const LogEntry& entry);

/// The entries of whole batches as they were read from the log; those that end at or below `from` are passed over. Their payloads share
/// `batches`. Errors: corrupt_message.
Result<std::vector<LogEntry>> entries_of(const Bytes& batches, Offset from);

/// Whether an entry that another replica sent can be stored and replayed: a data entry is one record batch for this very place, whole,
/// with as many offsets as it says. Errors: corrupt_message.
Status check_entry(const LogEntry& entry);

/// A snapshot's file: its description, then the image's bytes.
ByteBuffer encode_snapshot_file(const SnapshotMeta& snapshot, ByteView image);

struct SnapshotFile {
  std::optional<SnapshotMeta> snapshot = {};  ///< nullopt: written before there was a quorum
  Bytes image = {};
};
/// Errors: corrupt_message, invalid_record (a newer node's).
Result<SnapshotFile> decode_snapshot_file(const Bytes& payload);

/// The hard state of a disk that was written before there was a quorum, by the only node of its cluster.
HardState adopted_hard_state(const Uuid& cluster_id, const ReplicaKey& self, const record::LeaderEpochCache& epochs);

/// The description of a snapshot from that time. `voters`: the genesis, as nobody else had a vote.
SnapshotMeta adopted_snapshot(Offset end_offset, ByteView image, VoterSet voters, const record::LeaderEpochCache& epochs);

}  // namespace troupe::quorum
