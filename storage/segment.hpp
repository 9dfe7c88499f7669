#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "storage/open_files.hpp"
#include "storage/segment_index.hpp"

namespace troupe::storage {

/// "00000000000000000042" + extension: file names carry the first offset that may be in them, so that they sort.
std::string segment_file_name(Offset base_offset, std::string_view extension);
/// The offset of a name of that form with that extension; nullopt for any other name.
std::optional<Offset> parse_segment_file_name(std::string_view name, std::string_view extension);

inline constexpr std::string_view log_extension = ".log";
inline constexpr std::string_view index_extension = ".index";
inline constexpr std::string_view deleted_extension = ".deleted";

/// One `.log` file with its index. The writer grows, cuts and dooms it; readers find their way in it. Shared by reference count:
/// a doomed segment's file goes when the last view of it goes. Safe to share between threads.
class Segment {
 public:
  Segment(std::shared_ptr<OpenFiles> files, std::string directory, Offset base_offset, std::uint32_t index_interval_bytes);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  Offset base_offset() const { return base_offset_; }
  std::string path() const;
  /// No other segment of this process has it, also not one that takes this one's place and name.
  std::uint64_t serial() const { return serial_; }

  /// The file, opened when it is not. Errors: as FileSystem::open.
  Result<std::shared_ptr<File>> file() const;

  /// Grows by one before bytes of this segment are cut off: who read across the change read nothing (`stale_log_view`).
  std::uint32_t generation() const { return generation_.load(std::memory_order_acquire); }

  /// Where to start reading for an offset or a time, in a segment whose readable bytes end at `end_position`. Loads the index of
  /// a closed segment on first use; a missing or damaged one is rebuilt from the segment.
  Result<SegmentIndex::Entry> floor(Offset offset, std::uint32_t end_position) const;
  Result<SegmentIndex::Entry> floor(TimestampMs timestamp, std::uint32_t end_position) const;

  // For the writer.

  void note(const record::RecordBatchHeader& batch, std::uint32_t position);
  /// The index of a segment that grows on; it stays in memory.
  void set_index(SegmentIndex index);
  void begin_truncation() { generation_.fetch_add(1, std::memory_order_acq_rel); }
  /// Writes the index beside the segment. A failure costs a rebuild later, no more.
  Status save_index() const;
  /// Makes a segment whose index may be on disk only one that can grow on. Errors: as `floor`.
  Status resume_index(std::uint32_t end_position);
  /// The segment grows no more: its index is read from the disk from now on, when it is needed.
  void close_index();
  /// Reads the saved index; the error says why it cannot be used.
  Result<SegmentIndex> load_saved_index() const;
  /// The saved index no longer describes the segment. Durable after the directory's next sync.
  Status remove_saved_index() const;
  /// Renames the files, so that a restart removes what is left of them, and removes them with the last view.
  Status doom();

 private:
  Result<SegmentIndex> read_saved_index() const;
  Result<SegmentIndex> load_or_rebuild(std::uint32_t end_position) const;
  template <class Key>
  Result<SegmentIndex::Entry> find_floor(Key key, std::uint32_t end_position) const;
  std::string path_of(std::string_view extension) const;
  std::string deleted_suffix() const;

  const std::uint64_t serial_;
  const std::shared_ptr<OpenFiles> files_;  ///< shared: a view may outlive the log that made it
  const std::string directory_;
  const Offset base_offset_;
  const std::uint32_t index_interval_bytes_;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<bool> doomed_{false};
  mutable std::mutex names_mutex_;  ///< held while the files get other names, and by who has to know which ones they have
  mutable std::mutex index_mutex_;
  std::optional<SegmentIndex> growing_index_;
  mutable std::weak_ptr<const SegmentIndex> closed_index_;
};

}  // namespace troupe::storage
