#include "storage/data_directory.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "storage/checkpoints.hpp"
#include "storage/paths.hpp"
#include "storage/quarantine.hpp"

namespace troupe::storage {
namespace {

/// From this many logs on, one sync of the whole file system is cheaper than one of each.
constexpr std::size_t barrier_logs_min = 64;
/// So many full commit-log files are kept for the sake of logs that failed.
constexpr std::uint64_t held_files_max = 4;

}  // namespace

// --- turns ----------------------------------------------------------------------------------------------------------------

Result<PartitionLog*> DataDirectory::log(const TopicIdPartition& id, const LogConfig& config) {
  if (const auto found = entries_.find(id); found != entries_.end()) {
    auto& log = *found->second.log;
    // What was appended under `interval` is not in the commit log: it must be on disk before a promise is made beyond it.
    if (config.flush == FlushPolicy::fsync && log.config().flush == FlushPolicy::interval && log.dirty()) {
      TROUPE_TRY(log.sync());
      settled(id, found->second);
    }
    log.set_config(config);
    return &log;
  }
  if (manifest_.state(id) == Manifest::State::removed) {
    if (vacated_.contains(id)) return bring_back(id, config);
    return Error{Errc::unknown_topic_or_partition, "partition " + to_string(id) + " was removed"};
  }
  TROUPE_TRY_ASSIGN(auto* entry, open_log(id, config, nullptr));
  if (entry->log->dirty() && entry->log->health().can_append()) {
    // Bytes of the last run above its recovery point: promised again from now on, so they have to be on disk.
    TROUPE_TRY(entry->log->sync());
  }
  return entry->log.get();
}

const PartitionLog* DataDirectory::find(const TopicIdPartition& id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.log.get();
}

Result<DataDirectory::Entry*> DataDirectory::opened(const TopicIdPartition& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) {
    return Error{Errc::unknown_topic_or_partition, "partition " + to_string(id) + " is not open here"};
  }
  return &found->second;
}

Status DataDirectory::append(const TopicIdPartition& id, std::span<const PlacedBatch> batches, MonotonicMs now) {
  TROUPE_TRY(usable());
  TROUPE_TRY_ASSIGN(auto* entry, opened(id));
  auto& log = *entry->log;
  TROUPE_TRY(manifest_.note(id, Manifest::State::written));
  if (auto appended = log.append(batches); !appended) {
    (void)failed_alone(id, *entry);
    return appended;
  }
  note_dirty(id, *entry);
  if (!entry->in_turn) {
    entry->in_turn = true;
    turn_.push_back(id);
  }
  if (log.config().flush == FlushPolicy::fsync) {
    for (const auto& batch : batches) commit_log_->add(id, batch);
  } else if (!entry->dirty_since) {
    entry->dirty_since = now;
  }
  return ok();
}

Status DataDirectory::usable() {
  if (failure_) return Error{Errc::log_offline, *failure_};
  if (const auto& failed = files_->barrier_failure()) return fail_turn(*failed);
  return ok();
}

Status DataDirectory::commit(MonotonicMs now) {
  TROUPE_TRY(usable());
  if (auto synced = manifest_.sync(); !synced) return fail_turn(synced.error());
  if (!commit_log_->turn_empty()) {
    auto committed = commit_log_->commit();
    if (!committed && committed.error().code == Errc::storage_full) {
      if (!std::exchange(commit_log_full_, true))
        log::warn("no room in the commit log; each turn syncs its segments instead", {log::kv("error", committed.error())});
      committed = sync_turn();
    } else if (committed) {
      commit_log_full_ = false;
    }
    if (!committed) return fail_turn(committed.error());
  }
  note_committed();
  for (const auto& id : turn_) entries_.at(id).in_turn = false;
  release_descriptors();
  turn_.clear();
  if (const auto held = held_file(); held && commit_log_->current_file() - *held > held_files_max) {
    return fail_turn({Errc::storage_error, "the commit log grows for logs that failed, of which one is partition " +
                                               to_string(*failed_.begin())});
  }
  if (auto settled = settle_some(now); !settled) return unless_full(std::move(settled));
  return ok();
}

/// Of work that only gives space back: on a full disk it waits for a later turn (S7), any other failure is one of the directory.
Status DataDirectory::unless_full(Status status) {
  if (status || status.error().code != Errc::storage_full) return status ? status : fail_turn(status.error());
  log::warn("commit log and checkpoints wait for space", {log::kv("path", options_.path), log::kv("error", status.error())});
  return ok();
}

/// Writes what a truncation or a reset of `id` added to the commit log, and the turn before it.
Status DataDirectory::commit_now(const TopicIdPartition& id) {
  auto committed = commit_log_->commit();
  if (committed) {
    note_committed();
  } else if (committed.error().code == Errc::storage_full) {
    // The turn went with it; its segments have to hold it then.
    if (auto synced = sync_turn(); !synced) return fail_turn(synced.error());
    return committed.error().with_context("partition " + to_string(id));
  } else {
    return fail_turn(committed.error());
  }
  return ok();
}

/// Not whether the log was dirty already: retention and the like leave a directory to sync, and nobody waits for that.
void DataDirectory::note_dirty(const TopicIdPartition& id, Entry& entry) {
  if (!entry.queued) dirty_.push_back(id);
  entry.queued = true;
}

/// The commit log has the turn's batches up to now. A truncation in mid-turn writes the first part of a turn earlier, perhaps to
/// an earlier file than the rest.
void DataDirectory::note_committed() {
  for (const auto& id : turn_) {
    auto& entry = entries_.at(id);
    if (entry.log->dirty() && entry.log->config().flush == FlushPolicy::fsync && !entry.commit_file) {
      entry.commit_file = commit_log_->current_file();
    }
  }
}

/// There is no room in the commit log: the turn's segments are synced instead, each for itself.
Status DataDirectory::sync_turn() {
  for (const auto& id : turn_) {
    auto& entry = entries_.at(id);
    if (entry.log->config().flush != FlushPolicy::fsync) continue;
    TROUPE_TRY(entry.log->sync());
    settled(id, entry);
  }
  return ok();
}

Status DataDirectory::fail_turn(const Error& error) {
  failure_ = error.message;
  log::error("data directory offline", {log::kv("path", options_.path), log::kv("reason", error)});
  for (auto& [id, entry] : entries_) {
    entry.in_turn = false;
    entry.log->fail(error.message);
  }
  turn_.clear();
  commit_log_->abandon_turn();
  return Error{Errc::storage_error, error.message};
}

/// Keeps the number of descriptors that wait for a sync bounded: the logs that have waited longest let go of theirs.
void DataDirectory::release_descriptors() {
  for (const auto& id : turn_) {
    auto& entry = entries_.at(id);
    if (!entry.log->dirty() || std::exchange(entry.pinned, true)) continue;
    pinned_.push_back(id);
  }
  while (pinned_.size() > options_.dirty_files_max) {
    const auto oldest = entries_.find(pinned_.front());
    pinned_.pop_front();
    if (oldest == entries_.end() || !std::exchange(oldest->second.pinned, false)) continue;
    oldest->second.log->release_files();
  }
}

// --- settling: from the page cache to stable storage ------------------------------------------------------------------------

/// Works through the logs that keep a full commit-log file from being used again, a few a turn, so that no turn waits for all.
Status DataDirectory::settle_some(MonotonicMs) {
  if (commit_log_->oldest_file() >= held_file().value_or(commit_log_->current_file())) return ok();
  const auto waiting = [&](const TopicIdPartition& id) {
    if (failed_.contains(id)) return false;
    const auto& file = entries_.at(id).commit_file;
    return file && *file < commit_log_->current_file();
  };
  if (settling_.empty()) {
    std::copy_if(dirty_.begin(), dirty_.end(), std::back_inserter(settling_), waiting);
    settle_total_ = settling_.size();
    settling_through_ = commit_log_->current_file() - 1;
    for (const auto& id : settling_) entries_.at(id).log->start_writeback();
  }
  // Done when the current file is half full, so that the next one is there in time.
  const auto due = std::min(1.0, 2.0 * commit_log_->fullness());
  const auto left_allowed = static_cast<std::size_t>(static_cast<double>(settle_total_) * (1.0 - due));
  if (settle_total_ >= barrier_logs_min) {
    if (due < 1.0) return ok();
    return checkpoint();
  }
  while (settling_.size() > left_allowed) {
    const auto id = settling_.front();
    settling_.pop_front();
    const auto found = entries_.find(id);
    if (found == entries_.end() || !waiting(id)) continue;
    if (auto synced = found->second.log->sync(); !synced) {
      if (!failed_alone(id, found->second)) return synced;
      continue;
    }
    settled(id, found->second);
  }
  if (!settling_.empty()) return ok();
  TROUPE_TRY(write_checkpoints());
  // Not the files that were filled meanwhile: logs that were not dirty when the list was made rest on those.
  return release(settling_through_);
}

/// Commit-log files up to this one, but for what logs that failed rest on.
Status DataDirectory::release(std::uint64_t file) {
  const auto held = held_file();
  return commit_log_->release(held ? std::min(file, *held - 1) : file);
}

/// The oldest commit-log file that a failed log rests on.
std::optional<std::uint64_t> DataDirectory::held_file() const {
  std::optional<std::uint64_t> oldest;
  for (const auto& id : failed_) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || !found->second.commit_file) continue;
    oldest = std::min(oldest.value_or(*found->second.commit_file), *found->second.commit_file);
  }
  return oldest;
}

/// Whether it is this log that failed, and not the directory. What the commit log says of it counts from here on.
bool DataDirectory::failed_alone(const TopicIdPartition& id, Entry& entry) {
  if (failure_ || entry.log->health().kind != LogHealth::Kind::offline) return false;
  failed_.insert(id);
  if (!entry.commit_file) entry.commit_file = commit_log_->current_file();
  return true;
}

std::vector<TopicIdPartition> DataDirectory::failed_logs() const { return {failed_.begin(), failed_.end()}; }

void DataDirectory::settled(const TopicIdPartition& id, Entry& entry) {
  entry.commit_file.reset();
  entry.dirty_since.reset();
  entry.pinned = false;
  if (entry.queued) std::erase(dirty_, id);
  entry.queued = false;
}

/// Syncs all logs and writes down how far each is on disk. The commit log is left as it is.
Status DataDirectory::checkpoint_logs() {
  const bool all_at_once = dirty_.size() >= barrier_logs_min;
  if (all_at_once) TROUPE_TRY(files_->sync_file_system());
  for (const auto& id : dirty_) {
    auto& entry = entries_.at(id);
    if (!entry.log->health().can_append()) {
      // Its promises rest on the commit log from here on, which therefore must not be emptied.
      if (entry.commit_file && !failed_alone(id, entry)) return Error{Errc::storage_error, entry.log->health().reason};
      continue;
    }
    if (all_at_once) {
      entry.log->settled();
    } else if (auto synced = entry.log->sync(); !synced) {
      if (!failed_alone(id, entry)) return synced;
      continue;
    }
    entry.commit_file.reset();
    entry.dirty_since.reset();
    entry.pinned = false;
  }
  pinned_.clear();
  std::erase_if(dirty_, [&](const TopicIdPartition& id) {
    if (failed_.contains(id)) return false;
    entries_.at(id).queued = false;
    return true;
  });
  settling_.clear();
  return write_checkpoints();
}

Status DataDirectory::checkpoint() {
  TROUPE_TRY(usable());
  auto done = checkpoint_logs();
  if (done) done = held_file() ? release(commit_log_->current_file() - 1) : commit_log_->release_all();
  // A caller who asked for it has to know about a full disk; any other failure leaves nothing to rest a promise on.
  if (!done && done.error().code != Errc::storage_full) return fail_turn(done.error());
  return done;
}

Status DataDirectory::write_checkpoints() {
  // A checkpoint that speaks of a partition which the manifest has lost says nothing.
  TROUPE_TRY(manifest_.sync());
  for (const auto& [id, entry] : entries_) {
    if (manifest_.state(id) != Manifest::State::written) continue;
    if (!entry.log->health().can_append()) continue;  // what is written down of it is what was promised
    recovery_points_[id] = entry.log->recovery_point();
    log_starts_[id] = entry.log->log_start_offset();
  }
  const auto listed = [&](const std::unordered_map<TopicIdPartition, Offset>& offsets) {
    PartitionOffsets list;
    for (const auto& [id, offset] : offsets) {
      if (manifest_.state(id) == Manifest::State::written) list.emplace_back(id, offset);
    }
    return list;
  };
  TROUPE_TRY(
      write_offsets(file_system_, path("recovery-points"), CheckpointMagic::recovery_points, listed(recovery_points_)));
  TROUPE_TRY(
      write_offsets(file_system_, path("log-start-offsets"), CheckpointMagic::log_start_offsets, listed(log_starts_)));
  TROUPE_TRY(
      write_offsets(file_system_, path("high-watermarks"), CheckpointMagic::high_watermarks, listed(high_watermarks_)));
  if (!cleaned_changed_) return ok();
  TROUPE_TRY(write_offsets(file_system_, path("cleaned-offsets"), CheckpointMagic::cleaned_offsets, listed(cleaned_)));
  cleaned_changed_ = false;
  return ok();
}

std::optional<MonotonicMs> DataDirectory::next_deadline() const {
  std::optional<MonotonicMs> earliest;
  for (const auto& id : dirty_) {
    const auto& entry = entries_.at(id);
    if (!entry.dirty_since) continue;
    const auto due = *entry.dirty_since + entry.log->config().flush_interval_ms;
    if (!earliest || due < *earliest) earliest = due;
  }
  return earliest;
}

Status DataDirectory::on_deadline(MonotonicMs now) {
  TROUPE_TRY(usable());
  std::vector<TopicIdPartition> due;
  for (const auto& id : dirty_) {
    const auto& entry = entries_.at(id);
    if (entry.dirty_since && now - *entry.dirty_since >= entry.log->config().flush_interval_ms) due.push_back(id);
  }
  if (due.size() >= barrier_logs_min) {
    return unless_full(checkpoint_logs());
  }
  for (const auto& id : due) {
    auto& entry = entries_.at(id);
    if (auto synced = entry.log->sync(); !synced) {
      log::error("flush failed", {log::kv("partition", id), log::kv("error", synced.error())});
      // What the commit log holds of it stays: its segments are not to be trusted (S2).
      if (failed_alone(id, entry)) {
        entry.dirty_since.reset();
        continue;
      }
    }
    settled(id, entry);
  }
  return usable();
}

// --- changes to one log -----------------------------------------------------------------------------------------------------

Status DataDirectory::truncate(const TopicIdPartition& id, Offset offset) {
  TROUPE_TRY(usable());
  TROUPE_TRY_ASSIGN(auto* entry, opened(id));
  auto& log = *entry->log;
  // Refused before recovery is told of it; also above the end, which is in doubt then.
  if (!log.health().can_append() || offset >= log.log_end_offset()) return log.truncate_to(offset);
  // When it cannot be read there, the truncation takes the damage away, or says what is wrong.
  const auto gap = log.gap_across(offset);
  if (!gap) log::warn("a log cannot be read where it is cut", {log::kv("partition", id), log::kv("error", gap.error())});
  if (gap && *gap) return truncate_inside(id, *entry, **gap, offset);
  if (const auto clean = cleaned_.find(id); clean != cleaned_.end()) clean->second = std::min(clean->second, offset);
  commit_log_->add_truncation(id, offset);
  TROUPE_TRY(commit_now(id));
  // From here on nothing above is promised, however far the truncation itself gets.
  if (const auto point = recovery_points_.find(id); point != recovery_points_.end()) {
    point->second = std::min(point->second, offset);
  }
  auto truncated = log.truncate_to(offset);
  // Refused, so the commit log now says less about this log than it holds: its segments have to say it.
  if (!truncated && log.health().can_append()) TROUPE_TRY(log.sync());
  if (!truncated && failed_alone(id, *entry)) return truncated;
  if (!log.dirty()) settled(id, *entry);
  return truncated;
}

Status DataDirectory::reset(const TopicIdPartition& id, Offset offset) {
  TROUPE_TRY(usable());
  TROUPE_TRY_ASSIGN(auto* entry, opened(id));
  if (entry->log->health().kind == LogHealth::Kind::offline) return entry->log->reset_to(offset);
  return begin_anew(id, *entry, offset);
}

/// The commit log is told first: what it holds of the log before is not put into this one.
Status DataDirectory::begin_anew(const TopicIdPartition& id, Entry& entry, Offset offset) {
  auto& log = *entry.log;
  if (cleaned_.erase(id) > 0) cleaned_changed_ = true;
  commit_log_->add_reset(id, offset);
  TROUPE_TRY(commit_now(id));
  recovery_points_.erase(id);  // nothing is promised until the reset is done
  auto done = manifest_.note(id, Manifest::State::written);
  if (done) done = manifest_.sync();
  if (done) done = log.reset_to(offset);
  if (done) {
    log_starts_[id] = offset;
    recovery_points_[id] = offset;
    settled(id, entry);
    done = write_checkpoints();
  }
  if (done) {
    commit_log_->add_reset_done(id, offset);
    done = commit_now(id);
  }
  // Until it is known to be done, recovery empties the log again: nothing may be appended before.
  if (!done) {
    log.fail(done.error().message);
    (void)failed_alone(id, entry);
  }
  return done;
}

Status DataDirectory::advance_log_start(const TopicIdPartition& id, Offset offset) {
  TROUPE_TRY_ASSIGN(auto* entry, opened(id));
  TROUPE_TRY(entry->log->advance_log_start(offset));
  log_starts_[id] = entry->log->log_start_offset();
  return write_checkpoints();
}

Result<bool> DataDirectory::apply_retention(const TopicIdPartition& id, std::optional<TimestampMs> now) {
  TROUPE_TRY_ASSIGN(auto* entry, opened(id));
  TROUPE_TRY_ASSIGN(const bool moved, entry->log->apply_retention(high_watermark(id), now));
  if (moved) log_starts_[id] = entry->log->log_start_offset();
  return moved;
}

void DataDirectory::set_high_watermark(const TopicIdPartition& id, Offset offset) { high_watermarks_[id] = offset; }

Offset DataDirectory::high_watermark(const TopicIdPartition& id) const {
  const auto found = high_watermarks_.find(id);
  return found == high_watermarks_.end() ? Offset{0} : found->second;
}

Status DataDirectory::close() {
  if (failure_) return Error{Errc::log_offline, *failure_};
  TROUPE_TRY(checkpoint());
  for (auto& [id, entry] : entries_) {
    if (auto closed = entry.log->close(); !closed) {
      log::warn("log not closed cleanly; the next start scans it",
                {log::kv("partition", id), log::kv("error", closed.error())});
    }
  }
  return ok();
}

}  // namespace troupe::storage
