#include <algorithm>

#include "base/log.hpp"
#include "storage/cleanable.hpp"
#include "storage/partition_log.hpp"

/// What a log's writer does for compaction. The rest of the class is in partition_log.cpp, the compaction itself in log_cleaning.cpp.
namespace troupe::storage {
namespace {

bool same_part(const LogView::Part& a, const LogView::Part& b) {
  return a.segment == b.segment && a.next_offset == b.next_offset && a.end_position == b.end_position &&
         a.generation == b.generation && a.segment->generation() == b.generation;
}

}  // namespace

std::optional<CleaningPlan> PartitionLog::plan_cleaning(Offset first_dirty, Offset removable_before,
                                                        std::optional<TimestampMs> now) const {
  if (!config_.compact || !health_.can_append()) return std::nullopt;
  std::vector<SegmentFacts> facts;
  facts.reserve(closed_->size());
  for (const auto& part : *closed_) {
    facts.push_back({part.segment->base_offset(), part.next_offset, part.end_position, part.max_timestamp});
  }
  const auto found = cleanable(facts, config_, first_dirty, removable_before, now);
  if (!found) return std::nullopt;
  return CleaningPlan{.config = config_,
                      .directory = location_.directory,
                      .files = files_,
                      .segments = {closed_->begin(), closed_->begin() + static_cast<std::ptrdiff_t>(found->segments)},
                      .first_dirty = first_dirty,
                      .dirty_permille = found->dirty_permille};
}

Status PartitionLog::settle_closed() {
  TROUPE_TRY(writable());
  if (closed_->empty() || recovery_point_ >= closed_->back().next_offset) return ok();
  // The file system as a whole alone knows of files that nobody holds open.
  if (barrier_needed_ || parents_dirty_) return sync();
  for (const auto& file : dirty_) {
    if (file == active_file_) continue;
    if (auto synced = file->sync(); !synced) return offline(synced.error());
  }
  std::erase_if(dirty_, [&](const auto& file) { return file != active_file_; });
  if (directory_dirty_) {
    if (auto synced = file_system().sync_directory(location_.directory); !synced) return offline(synced.error());
    directory_dirty_ = false;
  }
  recovery_point_ = closed_->back().next_offset;
  return ok();
}

Status PartitionLog::replace(const CleanedSegment& cleaned) {
  if (cleaned.replaces.empty()) return ok();
  const auto give_up = [&](Error error) {
    (void)file_system().remove(cleaned.path);  // or the next start does
    return error;
  };
  if (auto refused = writable(); !refused) return give_up(refused.error());
  const auto first = std::ranges::find(*closed_, cleaned.replaces.front().segment, &LogView::Part::segment);
  const auto count = static_cast<std::ptrdiff_t>(cleaned.replaces.size());
  if (closed_->end() - first < count || !std::equal(cleaned.replaces.begin(), cleaned.replaces.end(), first, same_part)) {
    return give_up({Errc::stale_log_view, location_.directory + " is no longer the log that was compacted"});
  }
  const OffsetRange range{cleaned.replaces.front().segment->base_offset(), cleaned.replaces.back().next_offset};
  const auto swap_path = location_.directory + "/" + swap_file_name(range);
  if (auto renamed = file_system().rename(cleaned.path, swap_path); !renamed) return give_up(renamed.error());
  // From here on recovery completes what is left undone: the changes of a directory survive in their order.
  if (auto synced = file_system().sync_directory(location_.directory); !synced) return offline(synced.error());
  if (auto removed = remove_states_below(cleaned.plan_end); !removed)
    log::warn("old log states left behind", {log::kv("path", location_.directory), log::kv("error", removed.error())});
  for (const auto& part : cleaned.replaces) {
    // Not as in a truncation: the bytes stay as they are for the views that still read them.
    if (auto doomed = std::const_pointer_cast<Segment>(part.segment)->doom(); !doomed) return offline(doomed.error());
  }
  const auto segment = std::const_pointer_cast<Segment>(cleaned.part.segment);
  if (auto renamed = file_system().rename(swap_path, segment->path()); !renamed) return offline(renamed.error());
  if (auto saved = segment->save_index(); !saved)
    log::warn("derived file not saved; it will be rebuilt", {log::kv("error", saved.error())});
  segment->close_index();
  auto closed = std::make_shared<LogView::Parts>(closed_->begin(), first);
  closed->push_back(cleaned.part);
  closed->insert(closed->end(), first + count, closed_->end());
  closed_ = std::move(closed);
  return ok();
}

Result<std::optional<record::RecordBatchHeader>> PartitionLog::gap_across(Offset offset) const {
  if (offset <= log_start_offset_ || offset >= log_end_offset_) return std::optional<record::RecordBatchHeader>{};
  TROUPE_TRY_ASSIGN(const auto slice, view().read(offset, 1));
  TROUPE_TRY_ASSIGN(const auto header, record::parse_batch_header(slice.batches));
  const bool across = header.base_offset < offset && record::is_gap(header);
  return across ? std::optional{header} : std::nullopt;
}

}  // namespace troupe::storage
