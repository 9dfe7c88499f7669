#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "storage/file_system.hpp"

namespace troupe::storage {

/// A batch with its place in the log. The batch's own base offset and leader epoch are not looked at: these two are written.
struct PlacedBatch {
  Offset base_offset;
  LeaderEpoch leader_epoch;
  Bytes batch;
};

/// What the commit log knows about one partition since that partition's segments were last known to be on disk.
struct CommittedTail {
  std::vector<PlacedBatch> batches;   ///< ascending, without holes, truncations applied; offsets and epochs stamped
  Offset lowest_cut = Offset::max();  ///< the log was truncated to here: what was durable above it no longer is
  std::optional<Offset> reset_to;     ///< a reset to here was begun, and nothing says that it was finished
};
using CommittedTails = std::unordered_map<TopicIdPartition, CommittedTail>;

/// One file that takes the batches of all partitions of a data directory, so that a turn costs one fdatasync however many
/// partitions it touched. Segments get the same bytes through the page cache; a commit-log file is used again once every
/// segment that it covers was synced.
///
///   turn = what was added between two commits, one frame, sequence numbers without gaps, each frame at a 4 KiB boundary:
///
///   file 7   [turn 41 ][turn 42    ][turn 43][zeros ....................]
///   file 8   [turn 44 ][turn 45][what was here before: turns 12, 13 ....]   <- written now; an older turn ends it
///
/// A turn that does not check out and is followed by no later turn was being written when the lights went out: it was never
/// acknowledged. One that is followed by a later turn is corruption. docs/formats/commit-log.md
class CommitLog {
 public:
  struct Options {
    std::string directory;
    std::uint64_t file_bytes = std::uint64_t{64} << 20;  ///< when a file is full; a larger turn makes it larger
    std::uint64_t grow_bytes = std::uint64_t{1}
                               << 20;  ///< zeros written ahead, so that a sync need not update the file's size
  };

  struct Recovered {
    std::unique_ptr<CommitLog> log;
    CommittedTails tails;
    std::optional<std::string> damage;  ///< turns in the middle could not be read: what they held may be lost
    std::size_t turns = 0;
  };

  /// Reads what is there and prepares for writing. Files that were read stay until `release`.
  /// Errors: storage_error, storage_full.
  static Result<Recovered> open(FileSystem& file_system, Options options);

  /// Adds to the turn. The batch must have been validated.
  void add(const TopicIdPartition& id, const PlacedBatch& batch);
  void add_truncation(const TopicIdPartition& id, Offset offset);
  void add_reset(const TopicIdPartition& id, Offset offset);
  /// The log was emptied, durably.
  void add_reset_done(const TopicIdPartition& id, Offset offset);
  bool turn_empty() const { return entries_.empty(); }
  std::size_t turn_bytes() const { return turn_bytes_; }

  /// Writes the turn and syncs it: one fdatasync. Durable on return.
  /// Errors: storage_full (nothing is durable and nothing was lost: the turn is dropped, the log goes on),
  /// storage_error (the log is offline: no later commit succeeds).
  Status commit();
  /// Drops the turn.
  void abandon_turn();

  /// The file that the next turn goes to. Files are numbered from 1.
  std::uint64_t current_file() const { return current_file_; }
  std::uint64_t oldest_file() const;
  /// How full the current file is, 0 to 1.
  double fullness() const;
  /// Nothing in files up to and including `file` is needed any more; they will be written again. The current file stays.
  Status release(std::uint64_t file);
  /// Nothing in any file is needed any more.
  Status release_all();
  /// Leaves the files of an earlier run where they can be looked at: moves them to `directory`.
  Status move_recovered_files(const std::string& directory);

 private:
  struct Entry {
    std::uint8_t kind;
    TopicIdPartition id;
    PlacedBatch batch;
  };
  struct OldFile {
    std::uint64_t number;
    std::string path;
  };

  CommitLog(FileSystem& file_system, Options options) : file_system_(file_system), options_(std::move(options)) {}

  std::string path_of(std::uint64_t number) const;
  Status start_file();
  Status reserve(std::uint64_t bytes);
  Status write_turn();
  Status unwrite_turn(ByteView zeros);

  FileSystem& file_system_;
  Options options_;
  std::unique_ptr<File> file_;
  std::uint64_t current_file_ = 1;
  std::uint64_t position_ = 0;   ///< where the next turn goes
  std::uint64_t allocated_ = 0;  ///< bytes of the current file that exist
  std::uint64_t next_turn_ = 1;
  bool offline_ = false;
  std::vector<Entry> entries_;
  std::size_t turn_bytes_ = 0;
  std::vector<OldFile> old_files_;    ///< full ones, ascending
  std::vector<OldFile> spare_files_;  ///< released ones
};

}  // namespace troupe::storage
