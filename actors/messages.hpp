#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include "base/result.hpp"
#include "storage/data_directory.hpp"

/// What the actors of one node say to each other about the disk. Immutable values; payloads are shared `Bytes`.
///
/// None of them ever leaves the node (views hold file descriptors), so none has a serialised form: each is declared at the end as
/// a type that CAF may pass but not serialise. Messages between nodes are envelopes of our own codec.
namespace troupe::actors {

// --- appends: fire and forget ---------------------------------------------------------------------------------------------

/// To disk_worker: append `batches` to a log that is open. All or none. The sender hears of it in one of its `AppendResults`.
/// Whoever sends this monitors the worker: what a worker that went down had not answered has an unknown outcome.
struct AppendBatches {
  TopicIdPartition partition;
  std::uint64_t token = 0;  ///< the caller's, given back unseen
  std::vector<storage::PlacedBatch> batches;
  caf::actor reply_to;
};

/// What became of one AppendBatches.
struct AppendResult {
  TopicIdPartition partition;
  std::uint64_t token = 0;
  /// Success: in the log, and as durable as its FlushPolicy says. storage_full, invalid_argument, corrupt_message, log_offline,
  /// unknown_topic_or_partition: nothing was appended. storage_error: unknown until the log has been recovered.
  Status status;
  Offset log_end_offset{0};  ///< after this append; meaningless in a failure
};

/// A log that a turn appended to, as it is after the turn.
struct AppendedLog {
  TopicIdPartition partition;
  storage::LogView view;
};

/// From disk_worker, one a turn to each `reply_to`: everything of it that the turn decided, in the order it was sent.
struct AppendResults {
  std::vector<AppendResult> results;
  std::vector<AppendedLog> logs;  ///< of this receiver, each once; empty when the turn failed
};

/// To disk_worker, no answer: kept in memory and written with the next checkpoint.
struct SetHighWatermark {
  TopicIdPartition partition;
  Offset high_watermark{0};
};

// --- requests to disk_worker: each ends the turn first, so an answer never shows what is less durable than was promised ------------

/// Opens and recovers a log, or takes over another configuration for it. -> LogSnapshot
struct OpenLog {
  TopicIdPartition partition;
  storage::LogConfig config;
};
/// Removes all records at and above `offset`, durably. -> LogSnapshot
struct TruncateLog {
  TopicIdPartition partition;
  Offset offset{0};
};
/// Empties the log and starts it anew at `offset`, durably. -> LogSnapshot
struct ResetLog {
  TopicIdPartition partition;
  Offset offset{0};
};
/// Records below `offset` no longer exist. -> LogSnapshot
struct AdvanceLogStart {
  TopicIdPartition partition;
  Offset offset{0};
};
/// Applies the limits of time, size and count, below the high watermark. -> LogSnapshot
struct ApplyRetention {
  TopicIdPartition partition;
  std::optional<TimestampMs> now;  ///< nullopt: time is not to be trusted, only the other limits apply
};
/// Which log needs compaction most. -> CleaningOffer
struct NextCleaning {
  std::optional<TimestampMs> now;        ///< as ApplyRetention's
  std::vector<TopicIdPartition> except;  ///< these were tried in vain a while ago
};
/// Puts a compacted segment into its log, as PartitionLog::replace. -> Done
struct ReplaceSegments {
  TopicIdPartition partition;
  storage::CleanedSegment cleaned;
};
/// Deletes the partition. -> Done
struct RemoveLog {
  TopicIdPartition partition;
  storage::DataDirectory::Removal removal = storage::DataDirectory::Removal::for_ever;
};
/// Moves the partition's files out of the way. -> Done
struct QuarantineLog {
  TopicIdPartition partition;
};
/// As DataDirectory::set_aside: other nodes hold what this log should. The next OpenLog finds an empty one. -> Done
struct SetAsideLog {
  TopicIdPartition partition;
};
/// No answer: nobody else can stand in for the log that failed. The directory is let go, and recovered by the worker's next run.
struct RecoverDirectory {
  TopicIdPartition partition;
};
/// Syncs everything, so that the next open scans nothing. -> Done
struct Checkpoint {};
/// -> DirectoryContents
struct ListLogs {};
/// Replaces `<directory>/<name>`, as storage::write_checkpoint does. -> Done. Errors: as that; the worker goes on.
struct WriteSideFile {
  std::string name;
  std::uint32_t magic = 0;
  Bytes payload;
};
/// -> SideFile. Errors: corrupt_message, storage_error.
struct ReadSideFile {
  std::string name;
  std::uint32_t magic = 0;
};
/// Ends the turn, closes the directory and ends the actor. -> Done
struct CloseDirectory {};

/// An open log after the request that this answers.
struct LogSnapshot {
  TopicIdPartition partition;
  storage::LogView view;  ///< has log start and log end offset
  storage::LogHealth health;
  std::shared_ptr<const storage::LogState> state;  ///< at the log end; null from AdvanceLogStart and ApplyRetention
  Offset high_watermark{0};
  std::uint64_t size_bytes = 0;
};

struct CleaningOffer {
  std::optional<storage::CleaningPlan> plan;  ///< nullopt: none needs it
};

struct DirectoryContents {
  Uuid cluster_id;
  Uuid directory_id;
  std::vector<TopicIdPartition> partitions;  ///< those with files
};

struct SideFile {
  std::optional<Bytes> payload;  ///< nullopt: there is no file
};

struct Done {};

/// From disk_worker to its listener, each time that it has opened its directory: the logs have to be opened again, and every view
/// and promise of an earlier run is over.
struct DirectoryOpened {
  std::uint64_t incarnation = 0;  ///< as its row in the ActorTable counts restarts
  DirectoryContents contents;
  std::size_t repaired_batches = 0;
  std::vector<std::string> findings;  ///< one sentence each, for people
};

/// From disk_worker to its listener: the disk failed under this log, and the others go on. The listener answers by SetAsideLog or
/// RecoverDirectory; when it does not, the directory is recovered.
struct LogFailed {
  TopicIdPartition partition;
  Error error;
};

// --- cold reads: through LogReaders (actors/log_reader.hpp) ----------------------------------------------------------------------

/// Reads as LogView::read. Answered by one ReadResult, whatever happens.
struct ReadLog {
  TopicIdPartition partition;
  std::uint64_t token = 0;
  storage::LogView view;
  Offset from{0};
  std::size_t bytes_max = 0;
  Offset up_to = Offset::max();
  storage::ReadPosition hint = {};
  caf::actor reply_to;
};
struct ReadResult {
  TopicIdPartition partition;
  std::uint64_t token = 0;
  Result<storage::LogSlice> slice;  ///< errors as LogView::read; overloaded: come back later
};

/// Finds as LogView::find. Answered by one TimestampResult, whatever happens.
struct FindTimestamp {
  TopicIdPartition partition;
  std::uint64_t token = 0;
  storage::LogView view;
  TimestampMs timestamp{0};
  caf::actor reply_to;
};
struct TimestampResult {
  TopicIdPartition partition;
  std::uint64_t token = 0;
  Result<std::optional<storage::TimestampAndOffset>> found;  ///< errors as LogView::find; overloaded: come back later
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AppendBatches)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AppendResults)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SetHighWatermark)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::OpenLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TruncateLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ResetLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AdvanceLogStart)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ApplyRetention)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::NextCleaning)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ReplaceSegments)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CleaningOffer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RemoveLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::QuarantineLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SetAsideLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RecoverDirectory)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LogFailed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Checkpoint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ListLogs)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::WriteSideFile)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ReadSideFile)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::SideFile)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CloseDirectory)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LogSnapshot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DirectoryContents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DirectoryOpened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ReadResult)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::TimestampResult)
