#include "storage/log_recovery.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "storage/log_cleaning.hpp"
#include "storage/paths.hpp"
#include "storage/quarantine.hpp"
#include "storage/segment_scan.hpp"

namespace troupe::storage {
namespace {

struct Listing {
  std::vector<Offset> segments;
  std::vector<Offset> states;
  std::vector<Offset> indexes;
};

/// Sorts a log directory's names; leaves what it does not know alone.
/// `finish_deletions`: nobody reads the files any more that were renamed in order to go.
Result<Listing> list_log(FileSystem& file_system, const std::string& directory, bool finish_deletions) {
  Listing listing;
  auto entries = file_system.list(directory);
  if (!entries && entries.error().code == Errc::not_found) return listing;
  if (!entries) return std::move(entries).error();
  for (const auto& entry : *entries) {
    const auto path = directory + "/" + entry.name;
    if (entry.type == EntryType::file) {
      if (const auto base = parse_segment_file_name(entry.name, log_extension)) {
        listing.segments.push_back(*base);
        continue;
      }
      if (const auto offset = parse_segment_file_name(entry.name, state_extension)) {
        listing.states.push_back(*offset);
        continue;
      }
      if (const auto base = parse_segment_file_name(entry.name, index_extension)) {
        listing.indexes.push_back(*base);
        continue;
      }
      if (entry.name.ends_with(deleted_extension) || parse_segment_file_name(entry.name, cleaned_extension)) {
        if (finish_deletions) TROUPE_TRY(file_system.remove(path));
        continue;
      }
      if (parse_swap_file_name(entry.name)) continue;
    }
    log::warn("unknown file in a log directory left alone", {log::kv("path", path)});
  }
  std::sort(listing.segments.begin(), listing.segments.end());
  std::sort(listing.states.begin(), listing.states.end());
  return listing;
}

struct Scanned {
  RecoveredSegment segment;
  LeaderEpoch last_epoch = no_leader_epoch;
  std::uint64_t file_bytes = 0;
  std::optional<std::string> damage;
  std::size_t bytes_scanned = 0;
};

class Recovery {
 public:
  Recovery(const std::shared_ptr<OpenFiles>& files, const LogLocation& location, const LogConfig& config,
           const LogExpectation& expectation)
      : files_(files), location_(location), config_(config), expectation_(expectation) {}

  Result<RecoveredLog> run() {
    TROUPE_TRY(finish_swaps());
    TROUPE_TRY_ASSIGN(auto listing, list_log(files_->file_system(), location_.directory, true));
    TROUPE_TRY(finish_retention(listing));
    TROUPE_TRY(drop_empty(listing));
    TROUPE_TRY(remove_orphans(listing));
    if (listing.segments.empty()) return without_segments(listing);
    TROUPE_TRY(scan_segments(listing));
    TROUPE_TRY(log_.segments.back().segment->resume_index(log_.segments.back().end_position));
    log_.log_start_offset = std::max(expectation_.log_start_offset, log_.segments.front().segment->base_offset());
    log_.log_end_offset = log_.segments.back().next_offset;
    if (log_.log_end_offset < log_.log_start_offset && log_.health.can_append() && !continued_by_commit_log()) {
      if (expectation_.durable_end <= log_.log_start_offset) return below_start(listing);
      note_missing_end();
      log_.log_end_offset = log_.log_start_offset;
    }
    if (!log_.health.can_append()) {
      log_.log_end_offset = std::max(log_.log_end_offset, log_.log_start_offset);
    } else {
      note_missing_end();
      TROUPE_TRY(remove_stale_states(listing));
    }
    auto state = rebuild_state(*files_, location_.directory, log_.segments, log_.log_start_offset, log_.log_end_offset);
    if (!state && state.error().code == Errc::corrupt_message && indexes_believed_) return again_without_indexes();
    if (!state) return std::move(state).error();
    log_.state = std::move(*state);
    return std::move(log_);
  }

 private:
  FileSystem& file_system() { return files_->file_system(); }

  /// Bytes that an index vouched for have changed since: damage, and not a reason to refuse the log. One pass over every byte
  /// finds out where it begins.
  Result<RecoveredLog> again_without_indexes() {
    indexes_believed_ = false;
    const auto before = std::exchange(log_, {});
    TROUPE_TRY_ASSIGN(auto log, run());
    if (log.health.kind == LogHealth::Kind::good) log.health = before.health;
    log.directory_changed |= before.directory_changed;
    log.bytes_scanned += before.bytes_scanned;
    return log;
  }

  bool continued_by_commit_log() const {
    return expectation_.commit_log_from && *expectation_.commit_log_from <= log_.log_end_offset &&
           expectation_.durable_end > log_.log_end_offset;
  }

  /// A compacted segment that was whole and named takes its place: what is left of the segments that it was made of goes.
  Status finish_swaps() {
    const auto entries = file_system().list(location_.directory);
    if (!entries && entries.error().code == Errc::not_found) return ok();
    if (!entries) return entries.error();
    for (const auto& swap : *entries) {
      const auto range = parse_swap_file_name(swap.name);
      if (!range) continue;
      log_.directory_changed = true;
      for (const auto& entry : *entries) {
        for (const auto extension : {index_extension, log_extension}) {
          const auto base = parse_segment_file_name(entry.name, extension);
          if (base && *base >= range->base && *base < range->next)
            TROUPE_TRY(file_system().remove(location_.directory + "/" + entry.name));
        }
      }
      TROUPE_TRY(file_system().rename(location_.directory + "/" + swap.name,
                                      location_.directory + "/" + segment_file_name(range->base, log_extension)));
    }
    return ok();
  }

  /// Segments that lie below the log start wholly are on their way out; what a crash left of them says nothing.
  Status finish_retention(Listing& listing) {
    while (listing.segments.size() > 1 && listing.segments[1] <= expectation_.log_start_offset) {
      TROUPE_TRY(discard(listing.segments.front()));
      listing.segments.erase(listing.segments.begin());
    }
    return ok();
  }

  /// A segment that was created and never written to holds nothing, and need not begin where the log ends: the append that it was
  /// for may have failed, and the log have gone on in the segment before.
  Status drop_empty(Listing& listing) {
    // Never the first: it may be empty because its pages were lost, and is all that says where the log begins.
    for (auto i = listing.segments.size(); i-- > 1;) {
      const Segment segment{files_, location_.directory, listing.segments[i], config_.index_interval_bytes};
      TROUPE_TRY_ASSIGN(const auto file, segment.file());
      TROUPE_TRY_ASSIGN(const auto size, file->size());
      if (size != 0) continue;
      TROUPE_TRY(discard(listing.segments[i]));
      listing.segments.erase(listing.segments.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return ok();
  }

  Status discard(Offset base_offset) {
    log_.directory_changed = true;
    Segment old{files_, location_.directory, base_offset, config_.index_interval_bytes};
    return old.doom();
  }

  /// An index without its segment would be taken for that of the next segment of this name.
  Status remove_orphans(const Listing& listing) {
    for (const auto base : listing.indexes) {
      if (std::binary_search(listing.segments.begin(), listing.segments.end(), base)) continue;
      TROUPE_TRY(remove_derived(base, index_extension));
    }
    return ok();
  }

  Status remove_derived(Offset offset, std::string_view extension) {
    log_.directory_changed = true;
    auto removed = file_system().remove(location_.directory + "/" + segment_file_name(offset, extension));
    if (!removed && removed.error().code == Errc::not_found) return ok();
    return removed;
  }

  Result<RecoveredLog> without_segments(const Listing& listing) {
    for (const auto offset : listing.states) TROUPE_TRY(remove_derived(offset, state_extension));
    const auto start = expectation_.log_start_offset;
    log_.log_end_offset = expectation_.commit_log_from.value_or(start);
    log_.log_start_offset = std::max(start, log_.log_end_offset);
    const bool continued = expectation_.commit_log_from && *expectation_.commit_log_from <= start;
    if (expectation_.was_written && expectation_.recovery_point > start && !continued) {
      log_.health = {LogHealth::Kind::damaged, log_.log_start_offset,
                     location_.directory + " holds no segments, but offsets below " +
                         to_string(expectation_.recovery_point) + " were written"};
    }
    return std::move(log_);
  }

  /// What was lost and what is left lies below the log start: nothing of it was promised any more.
  Result<RecoveredLog> below_start(const Listing& listing) {
    for (const auto base : listing.segments) TROUPE_TRY(discard(base));
    for (const auto offset : listing.states) TROUPE_TRY(remove_derived(offset, state_extension));
    log_.segments.clear();
    log_.log_end_offset = log_.log_start_offset;
    return std::move(log_);
  }

  /// Scans in order until the end or the first damage, which it settles.
  Status scan_segments(const Listing& listing) {
    LeaderEpoch epoch = no_leader_epoch;
    for (std::size_t i = 0; i < listing.segments.size(); ++i) {
      const bool last = i + 1 == listing.segments.size();
      TROUPE_TRY_ASSIGN(auto scanned, scan_segment(listing.segments[i], epoch, last ? no_offset : listing.segments[i + 1]));
      log_.bytes_scanned += scanned.bytes_scanned;
      epoch = scanned.last_epoch;
      const auto next_offset = scanned.segment.next_offset;
      if (!last && !scanned.damage && next_offset != listing.segments[i + 1]) {
        scanned.damage = "the segment ends at offset " + to_string(next_offset) + ", the next one begins at " +
                         to_string(listing.segments[i + 1]);
      }
      log_.segments.push_back(scanned.segment);
      if (scanned.damage)
        return settle_damage(scanned,
                             {listing.segments.begin() + static_cast<std::ptrdiff_t>(i) + 1, listing.segments.end()});
    }
    return ok();
  }

  Result<Scanned> scan_segment(Offset base_offset, LeaderEpoch epoch_min, Offset next_base) {
    Scanned scanned;
    scanned.segment.segment =
        std::make_shared<Segment>(files_, location_.directory, base_offset, config_.index_interval_bytes);
    auto& segment = *scanned.segment.segment;
    TROUPE_TRY_ASSIGN(const auto file, segment.file());
    TROUPE_TRY_ASSIGN(scanned.file_bytes, file->size());

    // What an index covers was whole when the index was written; it is believed as far as its bytes were synced then.
    SegmentIndex index{base_offset, config_.index_interval_bytes};
    if (auto saved = segment.load_saved_index(); saved && indexes_believed_) {
      const bool fits =
          saved->end_position() <= scanned.file_bytes && saved->next_offset() <= expectation_.recovery_point &&
          (next_base == no_offset || (saved->end_position() == scanned.file_bytes && saved->next_offset() == next_base));
      if (fits) {
        index = std::move(*saved);
      } else {
        // It describes bytes that a crash took away. Others will stand in their place, and it must not be believed then.
        TROUPE_TRY(segment.remove_saved_index());
        log_.directory_changed = true;
      }
    }
    const auto visit = [&](const record::RecordBatchView& batch, std::uint32_t position) {
      index.note(batch.header, position);
    };
    // For the rest counts what the disk holds: after a failed sync the cache may show bytes that were never written (S2).
    if (index.end_position() < scanned.file_bytes) file->drop_cache();
    auto from = index.end_position();
    BatchExpectation expected{index.next_offset(), false, epoch_min};
    TROUPE_TRY_ASSIGN(auto end, scan_batches(*file, from, scanned.file_bytes, expected, ScanDepth::checksums, visit));
    if (end.damage && from > 0) {
      // A derived file is never the reason for damage: once more without it.
      index = SegmentIndex{base_offset, config_.index_interval_bytes};
      from = 0;
      expected.base_offset = base_offset;
      TROUPE_TRY_ASSIGN(end, scan_batches(*file, from, scanned.file_bytes, expected, ScanDepth::checksums, visit));
    }
    scanned.bytes_scanned = scanned.file_bytes - from;
    scanned.damage = std::move(end.damage);
    scanned.last_epoch = end.last_epoch;
    scanned.segment.next_offset = index.next_offset();
    scanned.segment.end_position = index.end_position();
    scanned.segment.max_timestamp = index.max_timestamp();
    TROUPE_TRY_ASSIGN(scanned.segment.first_timestamp, first_timestamp(*file, index.end_position()));
    const bool grows_on = next_base == no_offset || scanned.damage;
    if (grows_on || from == 0) segment.set_index(std::move(index));
    if (!grows_on && from == 0) {
      if (auto saved = segment.save_index(); saved) segment.close_index();
    }
    return scanned;
  }

  static Result<TimestampMs> first_timestamp(const File& file, std::uint32_t end_position) {
    if (end_position < record::batch_header_bytes) return no_timestamp;
    ByteBuffer head(record::batch_header_bytes);
    TROUPE_TRY_ASSIGN(const auto got, file.read_at(0, head));
    head.resize(got);
    const auto header = record::parse_batch_header(head);
    return header ? header->max_timestamp : no_timestamp;
  }

  /// Decides about the first bad batch, as the picture at `recover_log` says.
  Status settle_damage(const Scanned& scanned, std::vector<Offset> later) {
    const auto& segment = *scanned.segment.segment;
    const auto bad = scanned.segment.next_offset;
    const auto where = "batch at " + std::to_string(scanned.segment.end_position) + " in " + segment.path() + " (offset " +
                       to_string(bad) + "): " + *scanned.damage;
    const bool repairable =
        expectation_.commit_log_from && *expectation_.commit_log_from <= bad && bad < expectation_.durable_end;
    if (bad < expectation_.durable_end && !repairable) {
      log_.health = {LogHealth::Kind::damaged, bad, where};
      log::error("log damaged", {log::kv("offset", bad), log::kv("reason", where)});
      return ok();
    }
    TROUPE_TRY_ASSIGN(const auto file, segment.file());
    TROUPE_TRY_ASSIGN(const auto intact,
                      find_intact_batch(*file, scanned.segment.end_position + std::uint64_t{1}, scanned.file_bytes, bad));
    const bool something_follows = intact.has_value() || !later.empty();
    if (something_follows) TROUPE_TRY(quarantine_rest(scanned, *file, later));
    TROUPE_TRY(file->truncate(scanned.segment.end_position));
    TROUPE_TRY(file->sync());
    if (repairable) {
      log::warn("damaged batch is repaired from the commit log", {log::kv("offset", bad), log::kv("reason", where)});
    } else if (something_follows) {
      log_.health = {LogHealth::Kind::unclean, bad, where};
      log::error("unclean recovery: batches that were never synced are lost in part, the rest is in quarantine",
                 {log::kv("offset", bad), log::kv("reason", where), log::kv("quarantine", location_.quarantine)});
    } else {
      log::info("torn tail cut",
                {log::kv("offset", bad), log::kv("bytes", scanned.file_bytes - scanned.segment.end_position),
                 log::kv("reason", where)});
    }
    return ok();
  }

  Status quarantine_rest(const Scanned& scanned, const File& file, const std::vector<Offset>& later) {
    const auto base_offset = scanned.segment.segment->base_offset();
    const auto name = segment_file_name(base_offset, ".from-" + std::to_string(scanned.segment.end_position));
    TROUPE_TRY(
        quarantine_bytes(file_system(), file, scanned.segment.end_position, scanned.file_bytes, location_.quarantine, name));
    // From the last on, so that a crash in between leaves a log without a hole in its middle.
    for (auto base = later.rbegin(); base != later.rend(); ++base) {
      const auto path = location_.directory + "/" + segment_file_name(*base, log_extension);
      files_->forget(path);
      TROUPE_TRY(quarantine_path(file_system(), path, location_.quarantine, std::string(file_name(path))));
      TROUPE_TRY(remove_derived(*base, index_extension));
    }
    return ok();
  }

  /// The segments are whole, but may end before what was promised: where the commit log does not continue them, that is loss.
  void note_missing_end() {
    const auto end = log_.log_end_offset;
    if (end >= expectation_.durable_end) return;
    if (expectation_.commit_log_from && *expectation_.commit_log_from <= end) return;
    log_.health = {LogHealth::Kind::damaged, end,
                   "the log ends at offset " + to_string(end) + ", but everything below " +
                       to_string(expectation_.durable_end) + " was on disk"};
    log::error("log damaged", {log::kv("path", location_.directory), log::kv("reason", log_.health.reason)});
  }

  /// A state beyond the end speaks of batches that a crash took away; others will stand in their place.
  Status remove_stale_states(const Listing& listing) {
    for (const auto offset : listing.states) {
      if (offset <= log_.log_end_offset) continue;
      TROUPE_TRY(remove_derived(offset, state_extension));
    }
    return ok();
  }

  const std::shared_ptr<OpenFiles>& files_;
  const LogLocation& location_;
  const LogConfig& config_;
  const LogExpectation& expectation_;
  RecoveredLog log_;
  bool indexes_believed_ = true;
};

}  // namespace

std::string_view to_string(LogHealth::Kind kind) noexcept {
  switch (kind) {
    case LogHealth::Kind::good: return "good";
    case LogHealth::Kind::unclean: return "unclean";
    case LogHealth::Kind::damaged: return "damaged";
    case LogHealth::Kind::offline: return "offline";
  }
  return "offline";
}

Result<RecoveredLog> recover_log(const std::shared_ptr<OpenFiles>& files, const LogLocation& location,
                                 const LogConfig& config, const LogExpectation& expectation) {
  return Recovery{files, location, config, expectation}.run();
}

Result<LogState> rebuild_state(OpenFiles& files, const std::string& directory, const std::vector<RecoveredSegment>& segments,
                               Offset log_start_offset, Offset log_end_offset) {
  auto& file_system = files.file_system();
  LogState state;
  TROUPE_TRY_ASSIGN(const auto listing, list_log(file_system, directory, false));
  auto replay_from = segments.empty() ? log_end_offset : segments.front().segment->base_offset();
  for (auto offset = listing.states.rbegin(); offset != listing.states.rend(); ++offset) {
    if (*offset > log_end_offset || *offset < replay_from) continue;
    auto loaded = load_log_state(file_system, directory, *offset);
    if (!loaded) {
      log::warn("log state passed over", {log::kv("error", loaded.error())});
      continue;
    }
    state = std::move(*loaded);
    replay_from = *offset;
    break;
  }
  for (const auto& segment : segments) {
    if (segment.next_offset <= replay_from) continue;
    TROUPE_TRY_ASSIGN(const auto file, segment.segment->file());
    TROUPE_TRY_ASSIGN(const auto entry, segment.segment->floor(replay_from, segment.end_position));
    const BatchExpectation anything{Offset{0}, true};
    TROUPE_TRY_ASSIGN(const auto end, scan_batches(*file, entry.position, segment.end_position, anything, ScanDepth::headers,
                                                   [&](const record::RecordBatchView& batch, std::uint32_t) {
                                                     if (batch.header.base_offset >= replay_from) state.apply(batch.header);
                                                   }));
    if (end.damage) {
      return Error{Errc::corrupt_message,
                   "batch at " + std::to_string(end.position) + " in " + segment.segment->path() + ": " + *end.damage};
    }
  }
  state.epochs.truncate_to_start(log_start_offset);
  return state;
}

}  // namespace troupe::storage
