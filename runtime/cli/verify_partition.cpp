#include "runtime/cli/verify_partition.hpp"

#include <algorithm>
#include <limits>

#include "core/record/batch_validator.hpp"
#include "runtime/cli/log_paths.hpp"
#include "runtime/cli/segment_walk.hpp"
#include "storage/log_cleaning.hpp"
#include "storage/log_state.hpp"
#include "storage/segment_scan.hpp"

namespace troupe::cli {
namespace {

constexpr std::uint64_t index_bytes_max = std::uint64_t{64} << 20;
constexpr const char* restore_it =
    "see \"A damaged log\" in docs/recovery.md: restore the file from a copy, or reset the log";
constexpr const char* derived =
    "reads by offset or time, or the next start, do more work than they need to; no record is lost";
constexpr const char* delete_derived = "nothing, or delete the file: it is rebuilt";

/// A log holds what was accepted under the limits of its time: only what no limit ever allowed is wrong here.
constexpr record::BatchLimits stored_limits{
    .batch_bytes_max = storage::stored_batch_bytes_max,
    .record_bytes_max = std::numeric_limits<std::int32_t>::max(),
    .headers_max = std::numeric_limits<std::int32_t>::max(),
    .inflate = {.bytes_max = std::size_t{256} << 20, .ratio_max = std::size_t{1} << 20}};

class Verification {
 public:
  Verification(ReadOnlyFileSystem& files, const PartitionToVerify& partition, Report& report)
      : files_(files), partition_(partition), expected_(partition.expectation), report_(report) {
    if (partition.committed == nullptr) return;
    for (const auto& batch : partition.committed->batches) committed_.emplace(batch.base_offset, batch.crc);
  }

  Status run() {
    ++report_.partitions;
    TROUPE_TRY(list());
    if (segments_.empty()) {
      without_segments();
      return ok();
    }
    begin_state();
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      TROUPE_TRY(verify_segment(i));
    }
    check_state(next_offset_);
    check_end();
    if (!partition_.running && partition_.in_data_directory) ask_recovery();
    return ok();
  }

 private:
  std::string path_of(Offset offset, std::string_view extension) const {
    return partition_.directory + "/" + storage::segment_file_name(offset, extension);
  }

  Status list() {
    TROUPE_TRY_ASSIGN(const auto entries, list_sorted(files_, partition_.directory));
    for (const auto& entry : entries) {
      const auto path = partition_.directory + "/" + entry.name;
      if (entry.type == storage::EntryType::file) {
        if (const auto base = storage::parse_segment_file_name(entry.name, storage::log_extension)) {
          segments_.push_back(*base);
          continue;
        }
        if (const auto offset = storage::parse_segment_file_name(entry.name, storage::state_extension)) {
          states_.push_back(*offset);
          continue;
        }
        if (storage::parse_segment_file_name(entry.name, storage::index_extension)) continue;
        if (entry.name.ends_with(storage::deleted_extension)) {
          report_.note(path, "left of a removal; the node or its next start removes it");
          continue;
        }
      }
      if (storage::parse_segment_file_name(entry.name, storage::cleaned_extension)) {
        report_.note(path, "written by a compaction that has not ended, or never will; the next start removes it");
        continue;
      }
      if (storage::parse_swap_file_name(entry.name)) {
        report_.note(path, "a compacted segment on its way into the log; the next start completes that");
        continue;
      }
      report_.note(path, "not a file of ours; every start leaves it alone");
    }
    return ok();
  }

  void without_segments() {
    if (!partition_.in_data_directory || expected_.recovery_point <= expected_.log_start_offset) {
      report_.note(partition_.directory, "no segments: the log is empty");
      return;
    }
    report_.finding(
        {.file = partition_.directory,
         .offset = expected_.log_start_offset,
         .reason = "no segments, but everything below offset " + to_string(expected_.recovery_point) + " was on disk",
         .means = "the log is lost here; it takes no appends",
         .action = restore_it});
  }

  // --- segments

  Status verify_segment(std::size_t number) {
    const auto base = segments_[number];
    const bool last = number + 1 == segments_.size();
    const auto path = path_of(base, storage::log_extension);
    auto opened = files_.open(path, storage::OpenMode::read);
    if (!opened && opened.error().code == Errc::not_found && partition_.running) return ok();  // retention took it
    if (!opened) return std::move(opened).error();
    const auto& file = **opened;
    TROUPE_TRY_ASSIGN(const auto size, file.size());
    if (number > 0 && base != next_offset_ && !end_damaged_) {
      report_.finding(
          {.file = path,
           .offset = next_offset_,
           .reason = "begins at offset " + to_string(base) + ", but the segment before ends at " + to_string(next_offset_),
           .means = "the offsets between are missing, or a file was renamed or put in from elsewhere",
           .action = restore_it});
      state_known_ = false;
    }
    end_damaged_ = false;
    load_index(base, size, last);
    auto on_batch = [&](const record::RecordBatchView& batch, std::uint64_t position) { visit(path, batch, position); };
    auto on_damage = [&](const DamagedPlace& place) { damaged(path, size, last, place); };
    TROUPE_TRY_ASSIGN(const auto walked, walk_segment(file, size, {base, last_epoch_}, on_batch, on_damage));
    check_index(base, walked.position);
    next_offset_ = walked.next_offset;
    last_epoch_ = walked.last_epoch;
    ++report_.segments;
    report_.bytes += size;
    return ok();
  }

  void visit(const std::string& path, const record::RecordBatchView& batch, std::uint64_t position) {
    const auto& header = batch.header;
    if (const auto valid = record::validate_batch(batch.bytes, stored_limits, record::BatchOrigin::replica); !valid) {
      report_.finding({.file = path,
                       .position = position,
                       .offset = header.base_offset,
                       .reason = "the checksum is right, but " + valid.error().message,
                       .means = "it was written like this, by a bug or by something that is not Troupe; readers fail at it",
                       .action = "report it, with `troupe debug dump-log --from " + to_string(header.base_offset) + "`"});
    }
    check_state(header.base_offset);
    const auto inside = [&](Offset offset) { return header.base_offset < offset && offset < header.next_offset(); };
    // Both files may be of a time before this batch was compacted.
    const bool compacted = header.records_count <= header.last_offset_delta || header.has_delete_horizon();
    if (partition_.in_data_directory && inside(expected_.recovery_point) && !compacted) {
      report_.finding({.file = path,
                       .position = position,
                       .offset = header.base_offset,
                       .reason = "the recovery point " + to_string(expected_.recovery_point) + " lies inside of this batch",
                       .means = "recovery-points and this segment are not of the same time: one of them is a copy",
                       .action = "do not mix files of two backups; restore the whole directory"});
    }
    if (const auto committed = committed_.find(header.base_offset); committed != committed_.end()) {
      if (committed->second != header.crc && header.base_offset >= expected_.recovery_point && !compacted) {
        report_.finding({.file = path,
                         .position = position,
                         .offset = header.base_offset,
                         .reason = "another batch stands here than in the commit log",
                         .means = "which of the two was acknowledged cannot be told from here",
                         .action = "keep a copy of the data directory, then report it"});
      }
    }
    if (index_) {
      index_->note(header, static_cast<std::uint32_t>(position));
      if (saved_index_ && index_->end_position() == saved_index_->end_position())
        index_agrees_ = equal_bytes(index_->encode(), saved_index_->encode());
    }
    state_.apply(header);
    next_offset_ = header.next_offset();
    ++report_.batches;
    report_.records += static_cast<std::uint64_t>(header.records_count);
  }

  void damaged(const std::string& path, std::uint64_t size, bool last, const DamagedPlace& place) {
    if (index_ && saved_index_ && place.position < saved_index_->end_position())
      index_agrees_ = true;  // not the index's fault
    index_.reset();
    state_known_ = false;
    first_damage_ = std::min(first_damage_, place.expected);
    end_damaged_ = !place.resumes_at;
    const bool tail = last && end_damaged_;
    Finding finding{.file = path,
                    .position = place.position,
                    .offset = place.expected,
                    .reason = place.reason,
                    .means = {},
                    .action = {}};
    const bool in_commit_log =
        expected_.commit_log_from && *expected_.commit_log_from <= place.expected && place.expected < expected_.durable_end;
    if (tail && partition_.running && place.expected >= expected_.recovery_point) {
      report_.note(path, "ends inside of a batch at position " + std::to_string(place.position) +
                             ": the running node is appending, or this is a torn tail that its next start cuts");
      return;
    }
    if (!partition_.in_data_directory) {
      finding.means = tail ? "a torn write, or lost records: which of them only the data directory knows"
                           : "records from here on are damaged, or written to the wrong place";
      finding.action = tail ? "verify the data directory that it belongs to" : restore_it;
    } else if (in_commit_log) {
      finding.means = "nothing is lost: the commit log holds the batches from here on";
      finding.action = "start the node: it repairs the segment";
    } else if (place.expected < expected_.durable_end) {
      finding.means = "records that were promised are damaged: the log serves offsets below " + to_string(place.expected) +
                      " and takes no appends";
      finding.action = restore_it;
    } else if (tail) {
      finding.means = "a write was under way when the process or the machine stopped; nobody was promised these " +
                      std::to_string(size - place.position) + " bytes";
      finding.action = "nothing: the next start cuts them off";
    } else {
      finding.means = "batches that were written but never synced survived a power cut in part";
      finding.action = "nothing: the next start goes on at this offset and keeps the rest in quarantine";
    }
    if (place.resumes_at) finding.reason += "; the next intact batch is at position " + std::to_string(*place.resumes_at);
    report_.finding(finding);
  }

  // --- indexes and states

  void load_index(Offset base, std::uint64_t size, bool last) {
    index_.reset();
    saved_index_.reset();
    const auto path = path_of(base, storage::index_extension);
    const auto bytes = read_whole(files_, path, index_bytes_max);
    if (!bytes && bytes.error().code == Errc::not_found) return;
    auto saved = bytes ? storage::SegmentIndex::decode(*bytes, base) : Result<storage::SegmentIndex>{bytes.error()};
    if (!saved) {
      report_.finding({.file = path, .reason = saved.error().message, .means = derived, .action = delete_derived});
      return;
    }
    if (saved->end_position() > size || (!last && saved->end_position() < size)) {
      report_.finding({.file = path,
                       .reason = "it covers " + std::to_string(saved->end_position()) + " bytes, the segment has " +
                                 std::to_string(size),
                       .means = derived,
                       .action = delete_derived});
      return;
    }
    index_.emplace(base, saved->interval_bytes());
    index_agrees_ = saved->size() == 0;
    saved_index_ = std::move(*saved);
  }

  void check_index(Offset base, std::uint64_t end) {
    if (!saved_index_ || index_agrees_ || end < saved_index_->end_position()) return;
    report_.finding({.file = path_of(base, storage::index_extension),
                     .reason = "its checksum is right, but it does not describe the segment",
                     .means = "a start that believes it may miss records",
                     .action = "stop the node and delete the file: it is rebuilt; then report it"});
  }

  /// Where the first segment does not begin at offset 0, what came before is known from the state saved there, or not at all.
  void begin_state() {
    const auto base = segments_.front();
    next_offset_ = base;
    state_known_ = base == Offset{0};
  }

  void check_state(Offset offset) {
    if (!std::ranges::binary_search(states_, offset) || offset == checked_state_) return;
    checked_state_ = offset;
    auto saved = storage::load_log_state(files_, partition_.directory, offset);
    const auto path = path_of(offset, storage::state_extension);
    if (!saved) {
      if (saved.error().code == Errc::not_found) return;
      report_.finding({.file = path, .reason = saved.error().message, .means = derived, .action = delete_derived});
      return;
    }
    const auto start = std::max(expected_.log_start_offset, segments_.front());
    auto computed = state_;
    computed.epochs.truncate_to_start(start);
    saved->epochs.truncate_to_start(start);
    const bool same = saved->epochs.entries() == computed.epochs.entries() && saved->producers == computed.producers;
    if (state_known_ && !same) {
      report_.finding({.file = path,
                       .reason = "its checksum is right, but leader epochs or producers are not those of the log",
                       .means = "retries may be taken for new records, and new ones for retries",
                       .action = "stop the node and delete the file: it is rebuilt; then report it"});
    } else if (!state_known_) {
      state_ = std::move(*saved);
      state_known_ = true;
    }
  }

  // --- the log as a whole

  void check_end() {
    if (!partition_.in_data_directory || first_damage_ != Offset::max()) return;
    const auto path = path_of(segments_.back(), storage::log_extension);
    const bool continued = expected_.commit_log_from && *expected_.commit_log_from <= next_offset_;
    if (next_offset_ < expected_.durable_end && continued) {
      report_.note(path, "offsets " + to_string(next_offset_) + " to " + to_string(expected_.durable_end - 1) +
                             " are in the commit log only; the next start appends them here");
    } else if (next_offset_ < expected_.durable_end && next_offset_ >= expected_.log_start_offset) {
      report_.finding(
          {.file = path,
           .offset = next_offset_,
           .reason = "the log ends here, but everything below offset " + to_string(expected_.durable_end) + " was on disk",
           .means = "records that were promised are gone; the log takes no appends",
           .action = restore_it});
    }
    if (next_offset_ < expected_.log_start_offset) {
      report_.note(path, "the log ends at offset " + to_string(next_offset_) + ", below its log start " +
                             to_string(expected_.log_start_offset) + ": no record is left");
    }
    for (const auto offset : states_) {
      if (offset > std::max(next_offset_, expected_.durable_end))
        report_.note(path_of(offset, storage::state_extension),
                     "of offsets that the log does not have; the next start removes it");
    }
  }

  /// The last word has the code that a start runs.
  void ask_recovery() {
    auto barrier = files_.open_barrier(partition_.directory);
    auto open_files = std::make_shared<storage::OpenFiles>(files_, std::move(*barrier), 4);
    const auto recovered =
        storage::recover_log(open_files, {partition_.directory, partition_.directory + ".quarantine"}, {}, expected_);
    if (!recovered) {
      report_.finding({.file = partition_.directory,
                       .reason = "a start could not recover this log: " + recovered.error().message,
                       .means = "the partition stays offline",
                       .action = "repair what the sentence names, then verify again"});
      return;
    }
    const auto& health = recovered->health;
    if (health.kind == storage::LogHealth::Kind::good) return;
    report_.note(partition_.directory, "a start would find this log " + std::string(to_string(health.kind)) +
                                           " from offset " + to_string(health.from));
  }

  ReadOnlyFileSystem& files_;
  const PartitionToVerify& partition_;
  const storage::LogExpectation& expected_;
  Report& report_;
  std::unordered_map<Offset, std::uint32_t> committed_;
  std::vector<Offset> segments_;
  std::vector<Offset> states_;
  Offset next_offset_{0};
  LeaderEpoch last_epoch_ = no_leader_epoch;
  Offset first_damage_ = Offset::max();
  bool end_damaged_ = false;  ///< the segment's last bytes are damaged, so that it is no wonder where it ends
  std::optional<storage::SegmentIndex> index_;        ///< of the segment under way, computed as it is read
  std::optional<storage::SegmentIndex> saved_index_;  ///< the file's
  bool index_agrees_ = false;
  storage::LogState state_;
  bool state_known_ = false;
  Offset checked_state_ = no_offset;
};

}  // namespace

Status verify_partition(ReadOnlyFileSystem& files, const PartitionToVerify& partition, Report& report) {
  return Verification{files, partition, report}.run();
}

}  // namespace troupe::cli
