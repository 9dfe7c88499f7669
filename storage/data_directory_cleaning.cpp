#include <algorithm>

#include "storage/data_directory.hpp"

/// Which log is compacted next, and how it takes over what came of it. The rest of the class is in data_directory.cpp.
namespace troupe::storage {

Result<std::optional<CleaningPlan>> DataDirectory::next_cleaning(std::optional<TimestampMs> now,
                                                                 const std::vector<TopicIdPartition>& except) {
  TROUPE_TRY(usable());
  std::optional<CleaningPlan> best;
  for (const auto& [id, entry] : entries_) {
    if (!entry.log->config().compact || std::ranges::find(except, id) != except.end()) continue;
    const auto known = cleaned_.find(id);
    const auto first_dirty = known == cleaned_.end() ? Offset{0} : std::min(known->second, entry.log->log_end_offset());
    auto plan = entry.log->plan_cleaning(first_dirty, high_watermark(id), now);
    if (!plan || (best && best->dirty_permille >= plan->dirty_permille)) continue;
    plan->partition = id;
    best = std::move(plan);
  }
  if (!best) return best;
  auto& entry = entries_.at(best->partition);
  if (auto settled = entry.log->settle_closed(); !settled) {
    (void)failed_alone(best->partition, entry);
    return std::move(settled).error();
  }
  return best;
}

Status DataDirectory::replace(const TopicIdPartition& id, const CleanedSegment& cleaned) {
  TROUPE_TRY(usable());
  TROUPE_TRY_ASSIGN(auto* entry, opened(id));
  if (auto replaced = entry->log->replace(cleaned); !replaced) {
    (void)failed_alone(id, *entry);
    return replaced;
  }
  if (!cleaned.clean_below) return ok();
  cleaned_[id] = *cleaned.clean_below;
  cleaned_changed_ = true;  // written with the next checkpoint: without it more is compacted than has to be
  return ok();
}

/// Compaction made one batch of many, and the log is to end inside of it: to where it begins, and its first part again.
Status DataDirectory::truncate_inside(const TopicIdPartition& id, Entry& entry, const record::RecordBatchHeader& gap,
                                      Offset offset) {
  TROUPE_TRY(truncate(id, gap.base_offset));
  const PlacedBatch rest{gap.base_offset, gap.leader_epoch,
                         Bytes::adopt(record::build_gap(gap.base_offset, offset - 1, gap.leader_epoch, gap.max_timestamp))};
  auto done = entry.log->append(std::span{&rest, 1});
  if (done) done = entry.log->sync();
  if (!done) {
    (void)failed_alone(id, entry);
    return done;
  }
  settled(id, entry);
  return ok();
}

}  // namespace troupe::storage
